"""Relocations for people: one kernel in detail, or many side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from everykernel import core, wire
from everykernel.report.screen import text

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


def details(relocations: list[wire.Relocation]) -> Table | Text:
    """Return a row for each record, against one kernel."""
    if not relocations:
        return text("the object has no CO-RE relocations")
    table = Table(box=None, pad_edge=False)
    for name in ("program", "insn", "kind", "access", "local", "target"):
        table.add_column(name, overflow="fold", no_wrap=name != "access")
    table.add_column("outcome")
    for r in relocations:
        said = f"{r['outcome']}: {r['message']}" if r.get("message") else r["outcome"]
        cells = (r["program"], r["insn"], r["kind"], r["access"], r["local"], r["target"])
        table.add_row(*(text("-" if c is None else c) for c in cells), text(said, _STYLES[r["outcome"]]))
    return table


def side_by_side(columns: Mapping[str, list[wire.Relocation]]) -> Iterator[Table | Text]:
    """Yield a table, rows what is asked, columns kernels, and its legend; changes between neighbours are marked."""
    by_kernel = {label: answers(found) for label, found in columns.items()}
    asks = list(dict.fromkeys(ask for found in by_kernel.values() for ask in found))
    if not asks:
        yield text("the object has no CO-RE relocations")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("access", overflow="fold", ratio=1)
    for label in columns:
        table.add_column(text(label), justify="right", no_wrap=True)
    seen = set()
    for ask in asks:
        cells = []
        before: str | None = None
        for found in by_kernel.values():
            answer = found[ask]
            value = answer.text(ask.kind)
            changed = before is not None and value != before
            seen.update({answer.outcome, CHANGED if changed else ""})
            style = _STYLES[answer.outcome] or ("bold" if changed else "")
            cells.append(text((CHANGED if changed else "") + value, style))
            before = value
        table.add_row(text(ask), *cells)
    yield table
    legend = ["offsets and sizes in bytes"]
    if CHANGED in seen:
        legend.append(f"{CHANGED} differs from the kernel to its left")
    if core.POISONED in seen:
        legend.append("- not in this kernel (fails if it is reached)")
    if core.FAILED in seen:
        legend.append("refused: libbpf would not load the program")
    yield text("; ".join(legend), "dim")
