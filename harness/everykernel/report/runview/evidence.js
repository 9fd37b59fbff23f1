// The evidence of a cell, a part each: what a part has nothing to say on is null.

const OF_PROGRAMS = 40, ASKED = 60;  // rows of a table that stand open

function part(title, count, open, ...children) {
  const made = element("details", "part", element("summary", "", title, count === null ? "" : element("span", "count", count)), ...children);
  made.open = open;
  return made;
}

function table(heads, rows, className) {
  const made = element("table", className || "plain");
  const tr = element("tr", "", ...heads.map((head) => { const th = element("th", "", head); th.scope = "col"; return th; }));
  made.append(element("thead", "", tr), element("tbody", "", ...rows));
  return element("div", "scroll", made);
}

const row = (...cells) => element("tr", "", ...cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : element("td", "", cell))));
const number = (value) => element("td", "number", value === null || value === undefined ? "–" : value);

// Rows beyond the first so many, behind a button.
function shortened(rows, most, make) {
  const first = make(rows.slice(0, most));
  if (rows.length <= most) return first;
  const box = element("div", "", first), more = button(`all ${rows.length}`, "", () => box.replaceChildren(make(rows)));
  box.append(more);
  return box;
}

function reasons(cell) {
  const found = cell.problems.map(([stage, code, said, programs, hint]) => element("div", "problem",
    element("p", "", element("code", "bad", stage ? `${stage}: ${code}` : code), " ", said),
    programs.length ? element("p", "faint", `${plural(programs.length, "program")}: ${programs.slice(0, 12).join(", ")}${programs.length > 12 ? " …" : ""}`) : null,
    hint ? element("p", "hint", hint) : null));
  if (!found.length && cell.code) {
    found.push(element("div", "problem", element("p", "", element("code", "bad", cell.stage ? `${cell.stage}: ${cell.code}` : cell.code), " ", cell.message),
      cell.hint ? element("p", "hint", cell.hint) : null));
  }
  const expected = cell.stages.filter(([, , status, code, , , reason]) => status === "failed" && reason && code);
  for (const [stage, , , code, message, , reason] of expected) {
    found.push(element("div", "problem", element("p", "", element("code", "expected", `${stage}: ${code}`), " ", message), element("p", "hint", `expected: ${reason}`)));
  }
  return found.length ? element("section", "why", ...found) : null;
}

function misreads(cell) {
  return cell.misreads.length ? part("Misreads", cell.misreads.length, true, element("ul", "lines", ...cell.misreads.map((text) => element("li", "", text)))) : null;
}

// A verifier's log, folded around the instruction that failed.
function log(told) {
  const made = element("div", "log");
  if (told.line || told.at) made.append(element("p", "source", told.at ? element("b", "", told.at) : null, told.at && told.line ? "  " : "", element("code", "", told.line)));
  const before = told.before ? told.before.split("\n") : [];
  if (before.length) {
    const fold = element("details", "", element("summary", "", `${plural(before.length + told.left, "line")} before${told.left ? `, the first ${told.left} left out` : ""}`));
    fold.ontoggle = () => { if (fold.open && fold.children.length === 1) fold.append(element("pre", "", told.before)); };
    made.append(fold);
  }
  const pre = element("pre");
  told.near.forEach((line, i) => pre.append(element("span", i === told.near.length - 1 ? "failing" : line.startsWith("; ") ? "c" : "", line), "\n"));
  for (const line of told.said) pre.append(element("span", "bad", line), "\n");
  made.append(pre);
  if (told.report.length) made.append(element("ul", "lines", ...told.report.map((line) => element("li", "", line))));
  if (told.end.length) made.append(element("p", "faint", told.end.join(" · ")));
  return made;
}

// Whether it stands above, with what to do.
const above = ([, , message, unexpected], cell) => unexpected && cell.problems.some(([, , said]) => said === message);

function refused(cell) {
  const failed = cell.programs.filter((program) => program.why);
  if (!failed.length) return null;
  const wrong = failed.some((program) => program.why.some(([, , , unexpected]) => unexpected));
  const blocks = failed.filter((program) => program.log || program.why.some((why) => !above(why, cell))).map((program) => {
    const box = element("div", "refused", element("h4", "", program.name, element("span", "faint", program.section ? `  ${program.section}` : "")));
    for (const why of program.why) {
      const [stage, code, message, unexpected, reason] = why;
      if (!above(why, cell)) box.append(element("p", "", element("code", unexpected ? "bad" : "expected", `${stage}: ${code}`), " ", message));
      if (reason) box.append(element("p", "hint", `expected: ${reason}`));
    }
    if (program.log) box.append(log(program.log));
    return box;
  });
  if (!blocks.length) return null;
  return part("Programs that were refused", failed.length, wrong || failed.length < 4, shortened(blocks, 8, (some) => element("div", "", ...some)));
}

function programs(cell) {
  if (!cell.programs.length) return null;
  const rows = cell.programs.map((program) => row(element("td", program.why ? "expected" : "", program.name), program.section || "", program.type || "",
    program.variant || "", number(program.insns), number(program.verified_insns), number(program.states), number(program.runs)));
  return part("Programs", rows.length, false, shortened(rows, OF_PROGRAMS, (some) =>
    table(["program", "section", "type", "variant", "instructions", "verified", "states", "ran"], some)));
}

// What each relocation came to, on neighbouring kernels side by side: what moved first.
function relocations(cell, about) {
  const { detail, columns } = about;
  if (!cell.answers.some((answer) => answer >= 0)) return null;
  const every = detail.cells.filter((other) => other.number === cell.number && other.answers.some((answer) => answer >= 0));
  const here = every.indexOf(cell), near = every.filter((_, i) => Math.abs(i - here) <= 1);
  const box = element("div");
  const state = { all: false, kernels: false };
  const draw = () => {
    const sides = state.kernels ? every : near;
    const rows = detail.asks.map((ask, i) => ({ ask, answers: sides.map((side) => side.answers[i]), own: cell.answers[i] })).filter(({ own }) => own >= 0);
    const texts = (answers) => answers.filter((answer) => answer >= 0).map((answer) => detail.answers[answer][1]);
    const moved = rows.filter(({ answers, own }) => new Set(texts(answers)).size > 1 || detail.answers[own][0] !== "patched");
    const shown = state.all ? rows : moved;
    const still = rows.length - moved.length;
    const tools = element("p", "tools", `${moved.length} of ${plural(rows.length, "question")} ${moved.length === 1 ? "differs" : "differ"} or ${moved.length === 1 ? "has" : "have"} no answer here. `);
    if (still) tools.append(button(state.all ? "only what differs" : `all ${rows.length}`, "", () => { state.all = !state.all; draw(); }), " ");
    if (every.length > near.length) tools.append(button(state.kernels ? "only the neighbours" : `all ${plural(every.length, "kernel")}`, "", () => { state.kernels = !state.kernels; draw(); }));
    const made = shown.map(({ ask, answers }) => asked(ask, answers, sides, cell, about));
    const heads = ["asked", ...sides.map((side) => columns[side.column].name), "by"];
    box.replaceChildren(tools, ...(made.length ? [shortened(made, ASKED, (some) => table(heads, some, "plain relocations"))] : []));
  };
  draw();
  const failed = cell.answers.some((answer) => answer >= 0 && detail.answers[answer][0] === "failed");
  return part("Relocations", cell.answers.filter((answer) => answer >= 0).length, failed || near.length > 1, box);
}

function asked([kind, access, words, local, places, more], answers, sides, cell, { detail }) {
  const name = element("td", "", words);
  name.title = `${kind} ${access}${local === null ? "" : `: ${local} in the object`}`;
  let before = null;
  const cells = answers.map((answer, i) => {
    const td = element("td", "number" + (sides[i] === cell ? " own" : ""));
    if (answer < 0) { td.textContent = ""; return td; }
    const [outcome, text, message] = detail.answers[answer];
    td.textContent = text;
    if (outcome === "failed") td.classList.add("bad");
    else if (outcome !== "patched") td.classList.add("expected");
    if (before !== null && before !== text) td.classList.add("moved");
    if (message) td.title = message;
    before = text;
    return td;
  });
  const by = element("td", "faint", places.slice(0, 2).join(" ") + (places.length + more > 2 ? ` +${places.length + more - 2}` : ""));
  by.title = places.join("\n") + (more ? `\nand ${more} more` : "");
  return row(name, ...cells, by);
}

function maps(cell) {
  if (!cell.maps.length) return null;
  const bad = cell.maps.filter((map) => map[5] === "failed").length;
  return part("Maps", cell.maps.length, bad > 0, table(["map", "type", "key", "value", "entries", ""], cell.maps.map(([name, type, key, value, entries, status, why]) =>
    row(name, type, number(key), number(value), number(entries), element("td", status === "failed" ? "bad" : "faint", why || status)))));
}

// Instructions that the verifier went through, and its states, of each program over the kernels.
function verified(cell, { detail, columns }) {
  const sides = detail.cells.filter((other) => other.number === cell.number), here = sides.indexOf(cell);
  const labels = sides.map((side) => columns[side.column].name), found = [];
  for (const { name } of cell.programs) {
    const of = sides.map((side) => side.programs.find((program) => program.name === name) || {});
    for (const [key, words] of [["verified_insns", "instructions"], ["states", "states"]]) {
      const values = of.map((program) => (typeof program[key] === "number" ? program[key] : null));
      if (values.some((value) => value !== null)) {
        found.push({ spread: Math.max(...values.filter((value) => value !== null)), figure: () =>
          element("figure", "", element("figcaption", "", name, element("span", "faint", ` ${words}`)), bars(values, labels, `${name}, ${words}`, here)) });
      }
    }
  }
  if (!found.length) return null;
  found.sort((a, b) => b.spread - a.spread);
  const made = part("Verified, over the kernels", found.length, found.length <= 6);
  const draw = () => { if (made.open && made.children.length === 1) made.append(shortened(found, 12, (some) => element("div", "figures", ...some.map(({ figure }) => figure())))); };
  made.ontoggle = draw;
  draw();
  return made;
}

function ran(cell) {
  const found = cell.seen.map(([name, text]) => element("div", "", element("h4", "", name), element("pre", "", text)));
  const { command } = cell;
  if (command) {
    found.push(element("h4", "", command.argv), element("p", "", command.end));
    for (const [name, text] of command.written) if (text) found.push(element("h4", "", name), element("pre", "", text));
    if (command.calls.length) {
      found.push(element("h4", "", `bpf(2) calls${command.more ? `, ${command.more} more` : ""}`), shortened(command.calls.map(([at, call, name, type, errno, why], i) =>
        row(number(at.toFixed(3)), call, name, type, element("td", i === command.blamed ? "bad" : errno ? "expected" : "", errno), why)), OF_PROGRAMS,
      (some) => table(["s", "call", "name", "type", "", ""], some)));
    }
  }
  return found.length ? part("Run", null, cell.stage === "run", ...found) : null;
}

function said(cell) {
  const parts = [];
  if (cell.warnings.length) parts.push(part("Kernel warnings", cell.warnings.length, true, ...cell.warnings.map((text) => element("pre", "", text))));
  if (cell.console) parts.push(part("Console", null, cell.outcome === "error", element("pre", "", cell.console)));
  if (cell.files) {
    const link = element("a", "", "the console"), folder = element("a", "", "everything");
    link.href = `${cell.files}/console.txt`;
    folder.href = `${cell.files}/`;
    parts.push(element("p", "faint files", "in the report's folder: ", link, ", ", folder));
  }
  return parts.length ? element("div", "", ...parts) : null;
}

// What was tried before, where a cell was run again.
function attempts(cell) {
  const found = cell.attempts.map(([outcome, code, message, console, files], i) => {
    const box = element("div", "", element("p", "", `${i + 1}: ${outcome} `, code ? element("code", "bad", code) : null, " ", message));
    if (console) box.append(element("pre", "", console));
    if (files) {
      const link = element("a", "", "its files");
      link.href = `${files}/`;
      box.append(element("p", "faint", link));
    }
    return box;
  });
  return found.length ? part("Attempts before", found.length, true, ...found) : null;
}

function notes(cell) {
  return cell.notes.length ? part("Notes", cell.notes.length, cell.notes.length < 4, element("ul", "lines", ...cell.notes.map((text) => element("li", "", text)))) : null;
}

function facts(cell, { column }) {
  const kernel = [["kernel", column.name], ["release", column.release], ["vendor", column.vendor], ["architecture", column.arch],
    ["package from", column.source], ["verified by", column.signed], ["its sha256", column.sha256]];
  const rows = [...cell.facts, ...kernel.filter(([, value]) => value)].map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value)));
  return part("What this cell is", null, false, element("dl", "facts", ...rows));
}

function again(cell) {
  if (!cell.again) return null;
  const command = element("code", "", cell.again), copy = button("copy", "copy", async () => {
    let done = true;
    try { await navigator.clipboard.writeText(cell.again); } catch {
      const range = document.createRange();
      range.selectNodeContents(command);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand("copy");
    }
    copy.textContent = done ? "copied" : "press Ctrl-C";
    setTimeout(() => { copy.textContent = "copy"; }, 2000);
  });
  return element("p", "again", command, copy);
}
