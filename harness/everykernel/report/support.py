"""The page of what was seen to work on which kernel, docs/support.md, from the results of a run of the cases.

No cell says more than a result does: a program *ran* where the kernel itself counted runs of it in a case that passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from everykernel import wire
from everykernel.matrix.records import PASSED, CaseResult, KernelRecord
from everykernel.object import sections
from everykernel.object.maps import MAP_TYPE

NOTHING = "-"
_INTRODUCTION = """# What runs where

Written by `nox -s support` from the results of the project's own cases; no cell is filled by hand. A program **loads**
where the kernel took it, **attaches** where it was attached in a run, and **runs** where the case passed and the kernel
counted runs of the program meanwhile (by `test_run`, or from a map that holds it, if it was never attached; of one that
replaces a function it counts none, and the case alone tells). A map is **created** where the kernel took it, and
**used** where the case whose programs use it passed. A code says why not ([reason codes](reason-codes.md)); kinds that
no case tries are listed below each table.
"""


@dataclass(frozen=True)
class Table:
    """What was seen of each kind: a cell by row and column.

    Attributes:
        title: the title.
        head: what a row is.
        columns: the kernels.
        rows: by name, a text for each column.
        untried: kinds that no case tries.
    """

    title: str
    head: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    untried: tuple[str, ...]


def tables(results: Iterable[CaseResult], kernels: Iterable[KernelRecord]) -> list[Table]:
    """Return the tables of programs and of maps."""
    columns = {k["spec"]: f"{k['spec']} ({k.get('release', '')})" for k in kernels}
    programs: dict[tuple[str, str], tuple[int, str]] = {}
    maps: dict[tuple[str, str], tuple[int, str]] = {}
    for result in results:
        for name, cell in _programs(result):
            key = (name, result["kernel"])
            programs[key] = max(programs.get(key, (-1, "")), cell)
        for name, cell in _maps(result):
            key = (name, result["kernel"])
            maps[key] = max(maps.get(key, (-1, "")), cell)
    kinds = list(dict.fromkeys(_kind(rule) for rule in sections.RULES))
    return [
        _table("Programs", "section (program type)", kinds, programs, columns),
        _table("Maps", "map type", [name for name in MAP_TYPE if name != "unspec"], maps, columns),
    ]


def _table(
    title: str, head: str, kinds: list[str], cells: Mapping[tuple[str, str], tuple[int, str]], columns: dict[str, str]
) -> Table:
    tried = {name for name, _ in cells}
    rows = {
        name: tuple(cells.get((name, spec), (0, NOTHING))[1] for spec in columns) for name in kinds if name in tried
    }
    return Table(title, head, tuple(columns.values()), rows, tuple(name for name in kinds if name not in tried))


def _kind(rule: sections.SectionRule) -> str:
    return f"{rule.stem} ({rule.type})"


def _programs(result: CaseResult) -> Iterable[tuple[str, tuple[int, str]]]:
    """Return kind, and rank and text of the cell, of each program of a result."""
    stages = result["stages"]
    run = stages.get("run", {})
    attached = {p.get("name"): p for p in run.get("programs", [])}
    uses = {use["name"]: use for use in run.get("uses", [])}
    for program in stages.get("load", {}).get("programs", []):
        rule, _ = sections.match(program.get("section", "").removeprefix("?"))
        if rule is not None and program.get("code") != "relocation-unresolved":
            name = program.get("name", "")
            passed = result["outcome"] == PASSED and run.get("status") == wire.PASSED
            yield _kind(rule), _cell(program, attached.get(name, {}), uses.get(name), passed=passed)


def _cell(
    loaded: wire.ProgramRecord, attached: wire.ProgramRecord, use: wire.ProgramUse | None, *, passed: bool
) -> tuple[int, str]:
    """Return rank and text: of several programs of a kind the one that got farthest is shown."""
    if loaded.get("status") != wire.PASSED:
        return 1, f"`{loaded.get('code') or 'load-failed'}`"
    ran = use is not None and passed and (use["runs"] is None or use["runs"] > 0)
    if use is not None and use["attached"]:
        return (5, "loads, attaches, runs") if ran else (3, "loads, attaches")
    if attached.get("status") == wire.FAILED:
        return 2, f"loads, `{attached.get('code')}`"
    if use is not None and use["test_runs"] and ran:
        return 4, "loads, runs by test_run"
    if use is not None and use["runs"] and ran:
        return 4, "loads, runs from a map"
    return 2, "loads"


def _maps(result: CaseResult) -> Iterable[tuple[str, tuple[int, str]]]:
    passed = result["outcome"] == PASSED and result["stages"].get("run", {}).get("status") == wire.PASSED
    for made in result["stages"].get("load", {}).get("maps", []):
        if made.get("status") != wire.PASSED:
            yield made.get("type", ""), (1, f"`{made.get('code') or 'map-create-failed'}`")
        else:
            yield made.get("type", ""), (3, "created, used") if passed else (2, "created")


def render(found: Iterable[Table]) -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for table in found:
        parts.append(f"## {table.title}\n")
        parts.append(_line(table.head, table.columns))
        parts.append("|" + "---|" * (1 + len(table.columns)))
        parts.extend(_line(name, cells) for name, cells in table.rows.items())
        if table.untried:
            parts.append(f"\nTried by no case: {', '.join(table.untried)}.")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _line(name: str, cells: Iterable[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def parse(page: str) -> list[Table]:
    """Return the tables of a page that `render` wrote."""
    found = []
    for part in page.split("\n## ")[1:]:
        title, _, rest = part.partition("\n")
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rest.splitlines() if line.startswith("|")]
        untried = next((line for line in rest.splitlines() if line.startswith("Tried by no case: ")), "")
        names = untried.removeprefix("Tried by no case: ").removesuffix(".")
        rows = {cells[0]: tuple(cells[1:]) for cells in lines[2:]}
        found.append(Table(title, lines[0][0], tuple(lines[0][1:]), rows, tuple(names.split(", ") if names else ())))
    return found
