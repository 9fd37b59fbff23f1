// The filter's language: words that all hold together, those on cells for one and the same cell.

const COLUMN_KEYS = ["kernel", "series", "vendor", "arch", "loader", "btf"];
const CELL_KEYS = ["status", "code", "stage"];

function parsed(query) {
  const wanted = { texts: [], columns: [], cells: [], different: null };
  for (const [, minus, key, quoted, bare] of query.matchAll(/([-!]?)(?:([a-z]+):)?(?:"([^"]*)"?|([^\s"]+))/g)) {
    const not = minus !== "", value = (quoted !== undefined ? quoted : bare).toLowerCase();
    const values = value.split(",").filter(Boolean);
    if (key === "is") {
      if (value === "different") wanted.different = !not;
      else wanted.cells.push({ key: "status", values, not });
    } else if (COLUMN_KEYS.includes(key)) {
      if (values.length) wanted.columns.push({ key, values, not });
    } else if (CELL_KEYS.includes(key)) {
      if (values.length) wanted.cells.push({ key, values, not });
    } else if (value || key) wanted.texts.push({ text: (key ? key + ":" : "") + value, not });
  }
  return wanted;
}

// Whether a name has a word of these: 6.1 is in 6.1/i386 and in ubuntu:6.1, not in 6.12 nor in 6.1.50.
function named(name, value) {
  const low = name.toLowerCase();
  for (let at = low.indexOf(value); at >= 0; at = low.indexOf(value, at + 1)) {
    const inside = (character) => character !== undefined && /[0-9a-z.]/.test(character);
    if (!inside(low[at - 1]) && !inside(low[at + value.length])) return true;
  }
  return false;
}

function ofColumn(column, { key, values }) {
  return values.some((value) => {
    if (key === "kernel") return named(column.name, value) || column.series === value || named(column.release, value);
    if (key === "btf") return (column.btf === "BTF") === (value !== "no" && value !== "none");
    return named(String(column[key]), value);
  });
}

// The columns that are shown: those that any word for them names, without those that one excludes.
function columnsOf(wanted, columns) {
  const kept = wanted.columns.filter((word) => !word.not), left = wanted.columns.filter((word) => word.not);
  const keys = [...new Set(kept.map((word) => word.key))];
  return columns.map((column) => keys.every((key) => kept.some((word) => word.key === key && ofColumn(column, word))) &&
    !left.some((word) => ofColumn(column, word)));
}

function ofCell(cell, { key, values, not }) {
  const has = values.some((value) => {
    if (key === "status") return cell.tags.includes(value);
    if (key === "stage") return cell.stage === value;
    return cell.codes.some((code) => code.includes(value));
  });
  return has !== not;
}

// The cells of a row that a filter is after, null if the row is not wanted at all.
function matching(row, wanted, shown) {
  const cells = row.cells.filter((cell) => shown[cell.column]);
  for (const { text, not } of wanted.texts) {
    if ((row.text.includes(text) || cells.some((cell) => cell.message.toLowerCase().includes(text))) === not) return null;
  }
  if (wanted.different !== null) {
    const kinds = new Set(cells.map((cell) => cell.marks + "\n" + cell.codes.join()));
    if ((kinds.size > 1) !== wanted.different) return null;
  }
  const found = cells.filter((cell) => wanted.cells.every((word) => ofCell(cell, word)));
  if (wanted.cells.length && !found.length) return null;
  if (wanted.columns.some((word) => !word.not) && !cells.length) return null;
  return wanted.cells.length ? found : [];
}
