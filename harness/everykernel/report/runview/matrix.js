// The matrix: rows and columns that the filter leaves, programs below their objects, and the keys that go through it.

function tell(data) {
  for (const row of data.rows) {
    row.cells = row.cells.map(([column, number, marks, tags, codes, stage, message]) => (
      { column, number, marks, tags: data.lists[tags], codes: data.lists[codes], stage, message }));
    row.text = [row.name, row.object, row.words, ...row.programs.flatMap(([name, section]) => [name, section])].join("\n").toLowerCase();
  }
  return data;
}

class Matrix {
  constructor(data) {
    this.data = data;
    this.body = $("table");
    this.rows = this.body ? [...this.body.tBodies].flatMap((body) => [...body.rows]) : [];
    this.programs = this.rows.map(() => null);  // the rows of programs, once they were made
    this.open = new Set();
    this.shown = data.columns.map(() => true);
    this.rows.forEach((row, i) => {
      row.dataset.row = i;
      if (!data.rows[i].programs.length) return;
      const made = button("", "more", () => this.toggle(i));
      made.setAttribute("aria-expanded", "false");
      made.setAttribute("aria-label", `programs of ${data.rows[i].name}`);
      made.tabIndex = -1;
      row.cells[0].prepend(made);
    });
    if (this.body) {
      this.body.addEventListener("pointerover", (event) => this.point(event.target));
      this.body.addEventListener("focusin", (event) => this.point(event.target));
    }
    const first = this.links()[0];
    if (first) first.tabIndex = 0;
  }

  // What a cell says at the pointer: made when it is first asked for.
  point(target) {
    const link = target.closest && target.closest("td > a");
    if (!link || link.title) return;
    const cell = this.cellOf(link);
    if (cell) link.title = link.getAttribute("aria-label") + (cell.message ? `\n${cell.message}` : "");
  }

  cellOf(link) {
    const row = this.data.rows[link.closest("tr").dataset.row], column = link.parentElement.cellIndex - 1;
    return row && row.cells.filter((cell) => cell.column === column)[[...link.parentElement.children].indexOf(link)];
  }

  link(row, column, number) {
    const td = this.rows[row] && this.rows[row].cells[column + 1];
    return (td && td.querySelectorAll("a")[number]) || null;
  }

  links() {
    return this.body ? [...this.body.querySelectorAll("tbody > tr:not([hidden]) > td:not([hidden]) > a")] : [];
  }

  toggle(i, to = !this.open.has(i)) {
    const row = this.rows[i];
    if (!row || !this.data.rows[i].programs.length) return;
    if (to && !this.programs[i]) {
      this.programs[i] = this.data.rows[i].programs.map((program) => this.program(program));
      row.after(...this.programs[i]);
    }
    if (to) this.open.add(i);
    else this.open.delete(i);
    row.querySelector(".more").setAttribute("aria-expanded", String(to));
    (this.programs[i] || []).forEach((made) => { made.hidden = !to || row.hidden; });
  }

  program([name, section, marks]) {
    const made = element("tr", "program"), head = element("th", "name");
    head.scope = "row";
    head.title = section ? `${name} (${section})` : name;
    head.append(element("span", "", name), element("small", "", section));
    made.append(head, ...marks.map((text, column) => {
      const td = element("td", "", ...[...text].map((mark) => element("i", this.data.marks[mark] || "", mark)));
      td.hidden = !this.shown[column];
      return td;
    }), element("td", "words", section));
    return made;
  }

  filter(query) {
    const wanted = parsed(query), was = this.shown;
    this.shown = columnsOf(wanted, this.data.columns);
    if (this.shown.some((one, column) => one !== was[column])) this.columns();
    let count = 0, cells = 0;
    this.data.rows.forEach((row, i) => {
      const found = matching(row, wanted, this.shown), tr = this.rows[i];
      tr.hidden = found === null;
      if (found !== null) count += 1;
      cells += found ? found.length : 0;
      for (const link of tr.querySelectorAll("a.hit")) link.classList.remove("hit");
      for (const cell of found || []) this.link(i, cell.column, cell.number).classList.add("hit");
      (this.programs[i] || []).forEach((made) => { made.hidden = tr.hidden || !this.open.has(i); });
    });
    const hidden = this.shown.filter((one) => !one).length;
    $("matches").textContent = !query.trim() ? "" : `${count} of ${plural(this.rows.length, "row")}` +
      (wanted.cells.length ? `, ${plural(cells, "cell")}` : "") + (hidden ? `, ${hidden} of ${plural(this.shown.length, "kernel")} hidden` : "");
    if ($("nothing")) $("nothing").hidden = count > 0 || !this.rows.length;
    const links = this.links();
    if (links.length && !links.some((link) => link.tabIndex === 0)) links[0].tabIndex = 0;
  }

  columns() {
    const table = $("table");
    if (!table) return;
    for (const row of table.rows) {
      if (row.classList.contains("groups")) this.group(row);
      else this.shown.forEach((one, column) => { row.cells[column + 1].hidden = !one; });
    }
  }

  group(row) {
    let at = 0;
    for (const th of row.querySelectorAll("th")) {
      th.dataset.all = th.dataset.all || th.colSpan;
      const span = this.shown.slice(at, at + Number(th.dataset.all)).filter(Boolean).length;
      at += Number(th.dataset.all);
      th.hidden = span === 0;
      th.colSpan = Math.max(1, span);
    }
  }

  select(link) {
    if (!this.body) return;
    for (const one of this.body.querySelectorAll("a[aria-current]")) one.removeAttribute("aria-current");
    if (link) link.setAttribute("aria-current", "true");
  }

  focus(link) {
    for (const one of this.body.querySelectorAll('a[tabindex="0"]')) one.tabIndex = -1;
    link.tabIndex = 0;
    link.focus({ preventScroll: true });
    this.reveal(link);
  }

  // Bring a cell into view, beside the head and the names, which stay in their place.
  reveal(link) {
    const scroll = $("scroll"), inner = link.parentElement.getBoundingClientRect(), outer = scroll.getBoundingClientRect();
    const top = outer.top + $("table").tHead.offsetHeight, left = outer.left + link.closest("tr").cells[0].offsetWidth;
    const far = inner.bottom < outer.top || inner.top > outer.bottom;  // a link from elsewhere: into the middle
    if (far) scroll.scrollTop += inner.top - (top + outer.bottom) / 2;
    else if (inner.top < top) scroll.scrollTop -= top - inner.top;
    else if (inner.bottom > outer.bottom) scroll.scrollTop += inner.bottom - outer.bottom + 8;
    if (inner.left < left) scroll.scrollLeft -= left - inner.left;
    else if (inner.right > outer.right) scroll.scrollLeft += inner.right - outer.right + 8;
  }

  // The cell that a key leads to, null where there is none.
  step(link, key) {
    const row = link.closest("tr"), td = link.parentElement;
    const has = (cell) => cell && !cell.hidden && cell.querySelector("a");
    const along = (cell, way) => {
      for (let next = cell && cell[way]; next; next = next[way]) if (has(next)) return next.querySelector("a");
      return null;
    };
    const down = (way, most) => {
      let found = null, left = most;
      const all = [...this.body.tBodies].flatMap((body) => [...body.rows]);
      for (let i = all.indexOf(row) + way; all[i] && left; i += way) {
        const next = all[i];
        if (!next.hidden && has(next.cells[td.cellIndex])) { found = next.cells[td.cellIndex].querySelector("a"); left -= 1; }
      }
      return found;
    };
    switch (key) {
      case "ArrowRight": return link.nextElementSibling || along(td, "nextElementSibling");
      case "ArrowLeft": return link.previousElementSibling || along(td, "previousElementSibling");
      case "ArrowDown": return down(1, 1);
      case "ArrowUp": return down(-1, 1);
      case "PageDown": return down(1, 15);
      case "PageUp": return down(-1, 15);
      case "Home": return along(row.cells[0], "nextElementSibling");
      case "End": return [...row.cells].filter(has).map((cell) => cell.querySelector("a")).pop() || null;
      default: return undefined;
    }
  }
}
