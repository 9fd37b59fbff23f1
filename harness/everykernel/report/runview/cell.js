// The pane beside the matrix: the evidence of the cell that is open.

class Pane {
  constructor(data, matrix) {
    this.data = data;
    this.matrix = matrix;
    this.pane = $("cell");
    this.details = new Map();  // by row, as it was unpacked
    this.turn = 0;
  }

  get isOpen() { return !this.pane.hidden; }

  detail(row) {
    if (!this.details.has(row)) this.details.set(row, unpacked(`row${row}`));
    return this.details.get(row);
  }

  async open(row, column, number) {
    const turn = ++this.turn;
    this.at = { row, column, number };
    const detail = await this.detail(row);
    if (turn !== this.turn) return;  // another was asked for meanwhile
    const cell = detail.cells.find((one) => one.column === column && one.number === number);
    if (!cell) { this.close(); return; }
    const about = { detail, columns: this.data.columns, column: this.data.columns[column], row: this.data.rows[row] };
    const link = this.matrix.link(row, column, number);
    this.matrix.select(link);
    this.pane.replaceChildren(this.head(cell, about), ...[
      reasons(cell), again(cell), misreads(cell), refused(cell), relocations(cell, about), verified(cell, about), maps(cell), ran(cell),
      said(cell), attempts(cell), notes(cell), programs(cell),
      part("Time", `${cell.seconds.toFixed(2)} s`, false, timeline(cell.stages, cell.seconds), cell.start ? element("p", "faint", `the guest: ${cell.start}`) : null),
      facts(cell, about),
    ].filter(Boolean));
    this.pane.scrollTop = 0;
    this.pane.hidden = false;
    $("work").classList.add("open");
    if (link && link.offsetParent) this.matrix.reveal(link);
  }

  head(cell, { column, row, detail }) {
    const others = detail.cells.filter((other) => other.column === cell.column).length;
    const close = button("×", "close", () => leave()), before = this.beside(-1), after = this.beside(1);
    close.setAttribute("aria-label", "close (Esc)");
    const states = cell.stages.map(([name, mark, , code]) => element("li", "", element("i", this.data.marks[mark] || "", mark), ` ${name}`, code ? element("code", "faint", code) : null));
    const way = (to, text, name) => {
      const made = button(text, "way", () => { if (to) location.hash = to.hash; });
      made.disabled = !to;
      made.setAttribute("aria-label", name);
      return made;
    };
    return element("header", "", element("div", "line", element("h2", "", row.name, element("span", "on", " on "), column.name),
      way(before, "‹", "previous kernel"), way(after, "›", "next kernel"), close), element("ul", "states", ...states),
      element("p", "faint", row.words), others > 1 ? element("p", "faint", `one of ${others} results here: ${cell.machine}`) : null);
  }

  // The link of the next cell of this row that is shown.
  beside(way) {
    const link = this.matrix.link(this.at.row, this.at.column, this.at.number);
    return link && this.matrix.step(link, way > 0 ? "ArrowRight" : "ArrowLeft");
  }

  close() {
    this.turn += 1;
    this.pane.hidden = true;
    $("work").classList.remove("open");
    this.matrix.select(null);
  }
}
