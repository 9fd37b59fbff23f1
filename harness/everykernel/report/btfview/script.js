
"use strict";
// Shows what the page holds. Names came from outside: they reach the document as text (textContent), never as HTML.

const LISTED = 300;  // entries of a list that are shown at once
const KINDS = ["struct", "union", "enum", "typedef", "func"];
const [KIND, NAME, TITLE, SIZE, LINES] = [0, 1, 2, 3, 4];  // of an entry: model.Entry.data
const [WHAT, DEPTH, TEXT, PATH, PLACE, WIDTH, USES] = [0, 1, 2, 3, 4, 5, 6];  // of a row: model.Line

const $ = (id) => document.getElementById(id);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function read() {
  const packed = Uint8Array.from(atob($("data").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// One subject for each type that one or both kernels have: at[k] is its entry in kernel k, -1 where it has none.
function subjects(data) {
  const found = [], of = data.types.map((types) => new Array(types.length));
  const add = (at, rows) => {
    const kernel = at[0] >= 0 ? 0 : 1, entry = data.types[kernel][at[kernel]];
    const subject = { at, rows, kind: entry[KIND], name: entry[NAME], title: entry[TITLE], low: entry[NAME].toLowerCase() };
    subject.what = data.types.length < 2 ? "" : at[1] < 0 ? "gone" : at[0] < 0 ? "new" : rows.length ? "changed" : "";
    at.forEach((place, k) => { if (place >= 0) of[k][place] = subject; });
    found.push(subject);
  };
  for (const [one, two, rows] of data.pairs) add([one, two], rows);
  data.types.forEach((types, k) => types.forEach((entry, place) => {
    if (!of[k][place]) add(data.types.map((_, other) => (other === k ? place : -1)), []);
  }));
  const times = new Map();
  for (const subject of found) {  // the address of each: its kind and name, numbered where several share them
    const key = subject.name ? `${subject.kind} ${subject.name}` : `nameless ${subject.kind}`;
    const count = (times.get(key) || 0) + 1;
    times.set(key, count);
    subject.key = count > 1 ? `${key} ${count}` : key;
  }
  found.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
  return { found, of, byKey: new Map(found.map((subject) => [subject.key, subject])) };
}

// For each kernel: entry → the entries that name it. Made when it is first asked for.
function users(data) {
  return data.types.map((types) => {
    const by = types.map(() => []);
    types.forEach((entry, place) => {
      const seen = new Set();
      for (const line of entry[LINES]) for (const used of line[USES]) {
        if (!seen.has(used)) { seen.add(used); by[used].push(place); }
      }
    });
    return by;
  });
}

function search(all, data, query, kinds, changed) {
  const wanted = query.trim().toLowerCase(), found = [[], [], [], []];
  if (wanted.startsWith(".") && wanted.length > 1) {  // .member
    const member = wanted.slice(1);
    for (const subject of all) {
      if (!subject.name || !kinds.has(subject.kind) || (changed && !subject.what)) continue;
      const has = subject.at.some((place, k) => place >= 0 && data.types[k][place][LINES].some(
        (line) => line[DEPTH] && line[PATH].toLowerCase().split(".").pop() === member));
      if (has) found[0].push(subject);
    }
    return found[0];
  }
  const bare = wanted.replace(/^(struct|union|enum) +/, "");
  for (const subject of all) {
    if (!subject.name || !kinds.has(subject.kind) || (changed && !subject.what)) continue;
    const at = subject.low.indexOf(bare);
    if (at < 0) continue;
    found[subject.low === bare ? 0 : at === 0 ? 1 : subject.low[at - 1] === "_" ? 2 : 3].push(subject);
  }
  return found.flat();
}

// Where a title stands in a text by itself, not as a part of another name; -1 for nowhere.
function whole(text, title) {
  const within = (character) => character !== undefined && /\w/.test(character);
  let at = text.indexOf(title);
  while (at >= 0 && (within(text[at - 1]) || within(text[at + title.length]))) at = text.indexOf(title, at + 1);
  return at;
}

// Put text into a cell, each type that it names as a link.
function linked(cell, text, used, k, state) {
  let rest = text;
  for (const place of used) {
    const title = state.data.types[k][place][TITLE], at = whole(rest, title);
    if (at < 0) continue;
    cell.append(rest.slice(0, at), link(state.of[k][place], title));
    rest = rest.slice(at + title.length);
  }
  cell.append(rest);
}

function link(subject, text) {
  const made = element("a", text || subject.title);
  made.href = "#" + encodeURIComponent(subject.key);
  return made;
}

const bytes = (count) => `${count} byte${count === 1 ? "" : "s"}`;

function cells(line, k, state, side) {
  const edge = side ? " edge" : "";
  if (!line) return [element("td", "", "number" + edge), element("td", "", "number"), element("td")];
  const gap = line[WHAT] === "hole" || line[WHAT] === "padding", pad = "    ".repeat(line[DEPTH]);
  const place = element("td", gap ? "" : line[PLACE], "number" + edge);
  if (/^\d+$/.test(line[PLACE]) && line[WHAT] !== "value") place.title = "0x" + Number(line[PLACE]).toString(16);
  const text = element("td", undefined, gap ? "hole" : "");
  if (gap) text.textContent = `${pad}${line[WHAT]}: ${/bit/.test(line[WIDTH]) ? line[WIDTH] : bytes(Number(line[WIDTH]))}`;
  else {
    text.append(pad);
    linked(text, line[TEXT], line[USES], k, state);
  }
  return [place, element("td", gap ? "" : line[WIDTH], "number"), text];
}

function table(subject, state) {
  const { data } = state, made = element("table"), head = element("tr"), body = element("tbody");
  const sides = data.kernels.map((_, k) => k).filter((k) => subject.at[k] >= 0);
  const enumerators = subject.kind === "enum", plain = subject.kind === "typedef" || subject.kind === "func";
  for (const k of sides) {
    const edge = k !== sides[0] ? "edge" : "";
    head.append(element("th", plain ? "" : enumerators ? "value" : "offset", edge));
    head.append(element("th", plain || enumerators ? "" : "size"), element("th", data.kernels[k]));
  }
  const lines = sides.map((k) => data.types[k][subject.at[k]][LINES]);
  const same = lines[0].map((_, i) => (sides.length > 1 ? [i, i, []] : [i, -1, []]));
  for (const [one, two, marks] of subject.rows.length ? subject.rows : same) {
    const row = element("tr", undefined, marks.map((mark) => mark.split(" ")[0]).join(" "));
    sides.forEach((k, side) => {
      const place = side ? two : one;
      row.append(...cells(place >= 0 ? lines[side][place] : null, k, state, side));
    });
    if (sides.length > 1) row.append(element("td", marks.join(", "), "marks"));
    body.append(row);
  }
  made.append(head, body);
  const scroll = element("div", undefined, "scroll");
  scroll.append(made);
  return scroll;
}

function names(parent, heading, found) {
  if (!found.length) return;
  parent.append(element("h3", `${heading} (${found.length})`));
  const box = element("div", undefined, "names");
  const show = (some) => some.forEach((subject) => box.append(link(subject)));
  show(found.slice(0, LISTED));
  parent.append(box);
  if (found.length > LISTED) {
    const more = element("button", `all ${found.length}`);
    more.onclick = () => { show(found.slice(LISTED)); more.remove(); };
    parent.append(more);
  }
}

function show(subject, state) {
  const { data } = state, view = $("view");
  view.replaceChildren(element("h2", subject.title));
  const sizes = subject.at.map((place, k) => {
    const size = place < 0 ? -1 : data.types[k][place][SIZE];
    const label = data.kernels.length > 1 ? `${data.kernels[k]}: ` : "";
    return label + (place < 0 ? "not there" : size < 0 ? subject.kind === "func" ? "function" : "no size" : bytes(size));
  });
  view.append(element("p", sizes.join(" · "), "faint"), table(subject, state));
  state.users = state.users || users(data);
  const uses = new Set(), used = new Set();
  subject.at.forEach((place, k) => {
    if (place < 0) return;
    for (const line of data.types[k][place][LINES]) for (const other of line[USES]) uses.add(state.of[k][other]);
    for (const other of state.users[k][place]) used.add(state.of[k][other]);
  });
  const order = (found) => [...found].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || (a.low < b.low ? -1 : 1));
  names(view, "uses", order(uses));
  names(view, "used by", order(used));
  view.scrollTop = 0;
}

function list(state) {
  const kinds = new Set(KINDS.filter((kind) => state.boxes[kind].checked));
  const found = search(state.found, state.data, $("query").value, kinds, state.boxes.changed && state.boxes.changed.checked);
  $("count").textContent = `${found.length} types` + (found.length > LISTED ? `, ${LISTED} shown` : "");
  state.listed = found.slice(0, LISTED);
  state.current = 0;
  $("list").replaceChildren(...state.listed.map((subject) => {
    const item = element("li"), made = link(subject);
    if (subject.what) made.append(element("span", "  " + subject.what, "tag"));
    item.append(made);
    return item;
  }));
  mark(state);
}

function mark(state) {
  [...$("list").children].forEach((item, i) => item.firstChild.setAttribute("aria-current", String(i === state.current)));
  const item = $("list").children[state.current];
  if (item) item.scrollIntoView({ block: "nearest" });
}

function keys(event, state) {
  const typing = document.activeElement === $("query");
  if (event.key === "/" && !typing) { event.preventDefault(); $("query").focus(); $("query").select(); }
  else if (event.key === "Escape" && typing) { $("view").focus(); }
  else if (typing && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const next = state.current + (event.key === "ArrowDown" ? 1 : -1);
    state.current = Math.max(0, Math.min(state.listed.length - 1, next));
    mark(state);
  } else if (typing && event.key === "Enter" && state.listed[state.current]) {
    location.hash = encodeURIComponent(state.listed[state.current].key);
  }
}

function address() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}

function open(state) {
  const subject = state.byKey.get(address());
  if (subject) show(subject, state);
  else $("view").replaceChildren(element("p", "Type a name; / searches, arrows and Enter choose, .member finds the " +
    "types that have it. Offsets and sizes are bytes; hold the pointer on an offset for its hexadecimal.", "faint"));
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    $("count").textContent = "this browser is too old: it lacks DecompressionStream (Chrome 80, Firefox 113, Safari 16.4)";
    return;
  }
  const data = await read(), state = { data, boxes: {}, ...subjects(data) };
  for (const name of data.kernels.length > 1 ? [...KINDS, "changed"] : KINDS) {
    const label = element("label"), box = element("input");
    box.type = "checkbox";
    box.checked = name !== "func" && name !== "changed";
    box.onchange = () => list(state);
    state.boxes[name] = box;
    label.append(box, " " + (name === "func" ? "functions" : name === "changed" ? "only what changed" : name));
    $("filters").append(label, " ");
  }
  $("query").oninput = () => list(state);
  document.addEventListener("keydown", (event) => keys(event, state));
  window.addEventListener("hashchange", () => open(state));
  list(state);
  open(state);
  $("query").focus();
}

start().catch((error) => { $("count").textContent = `cannot be opened: ${error.message}`; });
