// The page's address says what is shown: #q=FILTER&tab=NAME&row=ROW&kernel=COLUMN&n=NUMBER.

const OLD = 14;  // days after which a run says how old it is
const TABS = ["matrix", "reasons", "time", "provenance"];
let matrix, pane, data;

const address = () => new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));

// Go to an address that differs in these words; null takes one out.
function go(words, replace) {
  const now = address();
  for (const [name, value] of Object.entries(words)) {
    if (value === null || value === "") now.delete(name);
    else now.set(name, value);
  }
  const text = "#" + [...now].map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2F", "/").replaceAll("%3A", ":")}`).join("&");
  if (replace) { history.replaceState(null, "", text); show(); } else location.hash = text;
}

const leave = () => {
  const link = matrix.body && matrix.body.querySelector("a[aria-current]");
  go({ row: null, kernel: null, n: null });
  if (link && link.offsetParent) matrix.focus(link);
};

// All rows, which are not there when the page is first seen.
const whole = () => document.documentElement.classList.add("whole");

function show() {
  const now = address(), row = data.rows.findIndex((one) => one.name === now.get("row"));
  const column = data.columns.findIndex((one) => one.name === now.get("kernel"));
  const tab = TABS.includes(now.get("tab")) ? now.get("tab") : "matrix";
  for (const name of TABS) $(name).hidden = name !== tab;
  for (const link of $("tabs").querySelectorAll("a")) {
    if (link.hash === `#tab=${tab}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const query = now.get("q") || "";
  if (query || row >= 0) whole();
  if (query !== matrix.query) {
    matrix.query = query;
    if ($("query").value !== query) $("query").value = query;
    matrix.filter(query);
    $("different").setAttribute("aria-pressed", String(parsed(query).different === true));
    for (const one of $("counts").querySelectorAll("button")) {
      one.setAttribute("aria-pressed", String(one.dataset.query !== "" && query.split(/\s+/).includes(one.dataset.query)));
    }
  }
  $("filter").hidden = tab !== "matrix" || !matrix.rows.length;
  if (row >= 0 && column >= 0) pane.open(row, column, Math.max(0, (Number(now.get("n")) || 1) - 1));
  else pane.close();
}

// A word is taken out of the filter if it is there, and put in if not.
function switched(word) {
  const words = (matrix.query || "").split(/\s+/).filter(Boolean);
  return (words.includes(word) ? words.filter((one) => one !== word) : [...words, word]).join(" ");
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  whole();
  const active = document.activeElement, typing = active === $("query");
  const link = active && active.closest ? active.closest("#table td > a") : null;
  if (event.key === "Escape") {
    if (!$("syntax").hidden) help(false);
    else if (typing && !pane.isOpen) { active.blur(); const first = matrix.links()[0]; if (first) matrix.focus(first); }
    else if (pane.isOpen) leave();
    return;
  }
  if (typing) {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      const first = matrix.links()[0];
      if (first) { event.preventDefault(); matrix.focus(first); }
    }
    return;
  }
  if (event.key === "/") { event.preventDefault(); go({ tab: null }, true); $("query").focus(); $("query").select(); return; }
  if (event.key === "?") { help($("syntax").hidden); return; }
  if (event.key === "p" && !$("matrix").hidden) { $("programs").click(); return; }
  const from = link || (active === document.body && matrix.body && matrix.body.querySelector('a[tabindex="0"]'));
  const to = from && matrix.step(from, event.key);
  if (to === undefined || !from || $("matrix").hidden) return;
  event.preventDefault();
  if (to) {
    matrix.focus(link ? to : from);
    if (pane.isOpen && link) go(Object.fromEntries(["row", "kernel", "n"].map((name) => [name, new URLSearchParams(to.hash.slice(1).replaceAll("+", "%2B")).get(name)])), true);
  }
}

function help(to) {
  $("syntax").hidden = !to;
  $("help").setAttribute("aria-expanded", String(to));
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    whole();
    document.body.prepend(element("p", "empty", "This browser is too old to open cells: it lacks DecompressionStream (Chrome 80, Firefox 113, Safari 16.4)."));
    return;
  }
  data = tell(await unpacked("index"));
  matrix = new Matrix(data);
  pane = new Pane(data, matrix);
  $("query").oninput = () => go({ q: $("query").value }, true);
  $("different").onclick = () => go({ q: switched("is:different") }, true);
  $("help").onclick = () => help($("syntax").hidden);
  $("programs").onclick = () => {
    const to = $("programs").getAttribute("aria-pressed") !== "true";
    $("programs").setAttribute("aria-pressed", String(to));
    matrix.rows.forEach((_, i) => matrix.toggle(i, to));
  };
  $("counts").onclick = (event) => {
    const one = event.target.closest("button");
    if (one) go({ q: one.dataset.query ? switched(one.dataset.query) : null, tab: null }, true);
  };
  // A link within the page changes what it names, and keeps the filter.
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const to = new URLSearchParams(link.hash.slice(1).replaceAll("+", "%2B"));
    if (to.has("q")) go({ q: to.get("q"), tab: null, row: null, kernel: null, n: null });
    else if (to.has("tab")) go({ tab: to.get("tab") === "matrix" ? null : to.get("tab"), row: null, kernel: null, n: null });
    else go({ row: to.get("row"), kernel: to.get("kernel"), n: to.get("n") });
    if (link.closest("#table")) matrix.focus(link);
  });
  document.addEventListener("keydown", keys);
  const days = Math.floor((Date.now() - Date.parse($("started").dateTime)) / 86400000);
  if (days >= OLD) $("started").append(` (${days} days ago)`);
  window.addEventListener("hashchange", show);
  show();
  document.documentElement.dataset.ready = "true";
  performance.mark("ready");
  requestAnimationFrame(() => setTimeout(() => { whole(); document.body.offsetHeight; performance.mark("whole"); }));
}

start().catch((error) => {
  whole(); document.body.prepend(element("p", "empty", `This page cannot be opened: ${error.message}`));
});
