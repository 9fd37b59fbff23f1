"""Relocations for people: one kernel in detail, or many side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from everykernel import core
from everykernel.escaping import printable
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from everykernel import wire

_STYLES = {core.PATCHED: "", core.POISONED: "yellow", core.FAILED: "bold red"}
_YES_NO = frozenset({"field_exists", "type_exists", "enumval_exists", "type_matches", "signed"})
_ASKS = {
    "byte_off": "", "byte_sz": "size of ", "field_exists": "has ", "signed": "signed ", "lshift_u64": "lshift of ",
    "rshift_u64": "rshift of ", "local_type_id": "local id of ", "target_type_id": "id of ", "type_exists": "has ",
    "type_size": "size of ", "enumval_exists": "has ", "enumval_value": "", "type_matches": "matches ",
}  # fmt: skip

CHANGED = "*"


class Ask(NamedTuple):
    """What a record asks for, apart from where it stands: records that ask the same share a row."""

    kind: str
    access: str

    def __str__(self) -> str:
        return _ASKS.get(self.kind, self.kind + " ") + self.access


class Answer(NamedTuple):
    """What one kernel says to it: patched, poisoned or failed, the value, and the new width of a load or store."""

    outcome: str
    target: int | None
    mem_size: int | None = None
    message: str = ""

    def text(self, kind: str) -> str:
        """Return the cell: a value, yes or no, ``-`` where the kernel lacks it, ``refused`` where libbpf refuses."""
        if self.outcome != core.PATCHED:
            return "-" if self.outcome == core.POISONED else "refused"
        if kind in _YES_NO:
            return "yes" if self.target else "no"
        return str(self.target)


def answers(relocations: list[wire.Relocation]) -> dict[Ask, Answer]:
    """Return what an object's relocations ask of a kernel, in the order of the records, each question once."""
    found: dict[Ask, Answer] = {}
    for r in relocations:
        answer = Answer(r["outcome"], r["target"], r.get("mem_size"), r.get("message", ""))
        found.setdefault(Ask(r["kind"], r["access"]), answer)
    return found


class Cell(NamedTuple):
    """One cell of a table: its text, printable, and the style that it has where there are colours."""

    text: str
    style: str = ""


class Rows(NamedTuple):
    """A table, to be drawn by whoever shows it.

    Attributes:
        head: the names of the columns.
        rows: a cell for each of them.
        right: whether the columns after the first are aligned to the right.
        folds: the column that gives way where a terminal is too narrow.
        legend: what stands below; where there are no rows, instead of the table.
    """

    head: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    right: bool
    folds: str
    legend: str = ""


_NONE = "the object has no CO-RE relocations"


def details(relocations: list[wire.Relocation]) -> Rows:
    """Return a row for each record, against one kernel."""
    names = ("program", "insn", "kind", "access", "local", "target")
    rows = []
    for r in relocations:
        said = f"{r['outcome']}: {r['message']}" if r.get("message") else r["outcome"]
        cells = (r["program"], r["insn"], r["kind"], r["access"], r["local"], r["target"])
        shown = [Cell("-" if c is None else printable(str(c))) for c in cells]
        rows.append((*shown, Cell(printable(said), _STYLES[r["outcome"]])))
    return Rows((*names, "outcome"), rows, False, "access", "" if rows else _NONE)


def side_by_side(columns: Mapping[str, list[wire.Relocation]]) -> Rows:
    """Return a table, rows what is asked, columns kernels, and its legend; changes between neighbours are marked."""
    by_kernel = {label: answers(found) for label, found in columns.items()}
    asks = list(dict.fromkeys(ask for found in by_kernel.values() for ask in found))
    rows, seen = [], set()
    for ask in asks:
        cells = []
        before: str | None = None
        for found in by_kernel.values():
            answer = found[ask]
            value = answer.text(ask.kind)
            changed = before is not None and value != before
            seen.update({answer.outcome, CHANGED if changed else ""})
            style = _STYLES[answer.outcome] or ("bold" if changed else "")
            cells.append(Cell(printable((CHANGED if changed else "") + value), style))
            before = value
        rows.append((Cell(printable(str(ask))), *cells))
    legend = ["offsets and sizes in bytes"]
    if CHANGED in seen:
        legend.append(f"{CHANGED} differs from the kernel to its left")
    if core.POISONED in seen:
        legend.append("- not in this kernel (fails if it is reached)")
    if core.FAILED in seen:
        legend.append("refused: libbpf would not load the program")
    head = ("access", *map(printable, columns))
    return Rows(head, rows, True, "access", "; ".join(legend) if rows else _NONE)


def plain(table: Rows) -> Iterator[str]:
    """Yield the lines of a table for what is no terminal: as wide as they come, without colour."""
    if table.rows:
        texts = [table.head, *(tuple(cell.text for cell in row) for row in table.rows)]
        widths = [max(map(len, column)) for column in zip(*texts)]
        for line in texts:
            cells = [t.rjust(w) if table.right and n else t.ljust(w) for n, (t, w) in enumerate(zip(line, widths))]
            yield "  ".join(cells).rstrip()
    if table.legend:
        yield table.legend
