// Pictures of one program over kernels, and of where a cell's time went.

const HIGH = 44, GAP = 6, [LEAST, MOST] = [34, 84];

// Bars, one a kernel, with the number above it: values are numbers, or null where nobody knows.
function bars(values, labels, title, here) {
  const wide = Math.min(MOST, Math.max(LEAST, 6.2 * Math.max(...labels.map((label) => label.length)))), fits = Math.floor(wide / 6.1);
  const most = Math.max(...values.filter((value) => value !== null), 1), width = values.length * (wide + GAP);
  const told = values.map((value, i) => `${labels[i]}: ${value === null ? "not known" : value}`).join(", ");
  const made = drawn("svg", { viewBox: `0 0 ${width} ${HIGH + 30}`, width, height: HIGH + 30, role: "img", "aria-label": `${title}: ${told}` });
  values.forEach((value, i) => {
    const x = i * (wide + GAP), high = value === null ? 0 : Math.max(1, Math.round((HIGH * value) / most));
    const label = labels[i].length > fits ? `${labels[i].slice(0, fits - 1)}…` : labels[i];
    const tip = drawn("title", {});
    tip.textContent = `${labels[i]}: ${value === null ? "not known" : value}`;
    const number = drawn("text", { x: x + wide / 2, y: HIGH + 10 - high, class: value === null ? "faint" : "" });
    number.textContent = value === null ? "–" : short(value);
    const foot = drawn("text", { x: x + wide / 2, y: HIGH + 26, class: i === here ? "here" : "faint" });
    foot.textContent = label;
    made.append(drawn("g", {}, tip, drawn("rect", { x, y: HIGH + 13 - high, width: wide, height: high, class: i === here ? "bar here" : "bar" }), number, foot));
  });
  return made;
}

function short(value) {
  if (value < 10000) return String(value);
  return value < 999500 ? `${Math.round(value / 1000)}k` : `${(value / 1e6).toFixed(1)}M`;
}

// One bar: the seconds of each stage, and what is left of the whole.
function timeline(stages, seconds) {
  const parts = stages.map(([name, , , , , time]) => [name, time]);
  const known = parts.reduce((sum, [, time]) => sum + time, 0), whole = Math.max(seconds, known, 1e-9);
  parts.push(["start and host", Math.max(0, seconds - known)]);
  const made = drawn("svg", { viewBox: "0 0 1000 12", preserveAspectRatio: "none", class: "timeline", role: "img",
    "aria-label": parts.map(([name, time]) => `${name} ${time.toFixed(2)} s`).join(", ") });
  let x = 0;
  parts.forEach(([name, time], i) => {
    const width = (1000 * time) / whole, tip = drawn("title", {});
    tip.textContent = `${name}: ${time.toFixed(3)} s`;
    made.append(drawn("rect", { x, y: 0, width, height: 12, class: `t${i}` }, tip));
    x += width;
  });
  const key = element("p", "key", ...parts.filter(([, time]) => time > 0).map(([name, time]) => {
    const at = parts.findIndex(([other]) => other === name);
    const mark = drawn("svg", { viewBox: "0 0 10 10", class: `t${at}`, "aria-hidden": "true" }, drawn("rect", { width: 10, height: 10 }));
    return element("span", "", mark, ` ${name} ${time.toFixed(2)} s`);
  }));
  return element("div", "", made, key);
}
