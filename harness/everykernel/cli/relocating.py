"""``everykernel relocate``: objects against the BTF of many kernels, on this machine, without booting any."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from everykernel import core
from everykernel.cli import say
from everykernel.cli.misreads import Looking
from everykernel.cli.sources import all_sources, read_objects
from everykernel.errors import CaseError
from everykernel.namedtuple import NamedTuple
from everykernel.object import ObjectSpec, assembly
from everykernel.object.spec import INSN

if TYPE_CHECKING:
    from everykernel import wire


def show(
    objects: list[str], btf: list[str], form: str, kernel_list: str | None = None, *, with_source: bool = False
) -> int:
    """Print what relocations come to, and return the exit code."""
    specs = [spec for path in objects for spec in read_objects(Path(path))]
    found = all_sources(btf, kernel_list)
    failed = False
    for spec in specs:
        looking = {source.label: Looking(spec, source) for source in found}
        columns = {s.label: list(relocations(spec, core.Target(s.btf), looking[s.label])) for s in found}
        misreads = {label: one.misreads for label, one in looking.items()}
        failed |= any(r.row["outcome"] == core.FAILED for rows in columns.values() for r in rows)
        title = spec.name if len(specs) > 1 else ""
        if form == "jsonl":
            for label, rows in columns.items():
                for one in rows:
                    place = _place(spec, one) if with_source else {}
                    say.data(
                        {"object": spec.name, "btf": label, **one.row, **_misread(one.row, misreads[label]), **place}
                    )
        elif with_source:
            _print_source(spec, columns, misreads, title)
        else:
            _print({label: [one.row for one in rows] for label, rows in columns.items()}, misreads, title)
    return CaseError.exit_code if failed else 0


def _misread(row: wire.Relocation, misreads: list[wire.Misread]) -> dict[str, str]:
    """Return what a kernel has where a relocated access takes it for something else."""
    found = [m["kernel"] for m in misreads if row["kind"] == "byte_off" and m["access"] == row["access"]]
    return {"misread": found[0]} if found else {}


def _place(spec: ObjectSpec, found: Found) -> dict[str, object]:
    """Return where a relocation's instruction stands: its text before, and the line of C."""
    from everykernel.report.listing import Sources

    function, insn = found.applied.function, found.applied.insn
    line = next(assembly.disassemble(function.code[insn * INSN :], spec.byteorder), None)
    place = Sources(spec).at(function, insn)
    return {
        "text": line.text if line is not None else assembly.UNKNOWN,
        "file": place.file if place is not None else "",
        "line": place.line if place is not None else 0,
        "source": place.source if place is not None else "",
    }


def _print_source(
    spec: ObjectSpec, columns: dict[str, list[Found]], misreads: dict[str, list[wire.Misread]], title: str
) -> None:
    from everykernel.report import listing, screen
    from everykernel.report import misreads as of_misreads
    from everykernel.report.relocations import Answer, Ask

    records: dict[tuple[str, int], listing.Record] = {}
    by_place: dict[listing.Where, list[listing.Record]] = {}
    for label, rows in columns.items():
        for one in rows:
            function, insn, fixup = one.applied
            record = records.get((function.section, fixup.index))
            if record is None:
                record = listing.Record(Ask(fixup.kind, fixup.access), fixup.local)
                records[function.section, fixup.index] = record
                by_place.setdefault(listing.Where(function.name, insn), []).append(record)
            record.answers[label] = Answer(fixup.outcome, fixup.target, fixup.mem_size, fixup.message)
            if one.guarded:
                record.guarded.add(label)
    out = screen.Screen(soft_wrap=True)
    if title:
        out.print(screen.text(title, "bold underline"))
    for line in listing.listing(spec, by_place, list(columns)):
        out.print(line)
    for told in of_misreads.of_object(misreads.items()):
        out.print(screen.text(f"≠ {told}", "yellow"))


def _print(columns: dict[str, list[wire.Relocation]], misreads: dict[str, list[wire.Misread]], title: str) -> None:
    from everykernel.report import misreads as of_misreads
    from everykernel.report import relocations as report

    one = len(columns) == 1
    table = report.details(next(iter(columns.values()))) if one else report.side_by_side(columns)
    told = [f"≠ {line}" for line in of_misreads.of_object(misreads.items())]
    if not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR")):
        for line in (*(["", title] if title else []), *report.plain(table), *told):
            say.out(line)
        return
    from everykernel.report import drawn, screen  # with rich, which takes as long to import as an object to relocate

    out = screen.Screen()
    for part in (*(["", screen.text(title, "bold")] if title else []), *drawn.table(table)):
        out.print(part)
    for line in told:
        out.print(screen.text(line, "yellow"))


class Found(NamedTuple):
    """One relocation as it comes out for the first program of it; ``guarded``: no path of any program leads there."""

    applied: core.Applied
    row: wire.Relocation
    guarded: bool


def relocations(spec: ObjectSpec, target: core.Target, looking: Looking) -> Iterator[Found]:
    """Yield an object's relocations in the order of its records, as they come out for the first program of each.

    ``looking`` sees each program relocated.
    """
    if spec.btf is None:
        return
    session = core.Session(spec.btf, target)
    found: dict[tuple[str, int], core.Applied] = {}
    reached: set[tuple[str, int]] = set()
    for program in spec.programs:
        relocated = core.relocate_program(spec, program, session)
        looking.add(program, relocated)
        dead = looking.dead(program, relocated)
        for applied in relocated.applied:
            found.setdefault((applied.function.section, applied.fixup.index), applied)
            if (applied.function.name, applied.insn) not in dead:
                reached.add((applied.function.name, applied.insn))
    for section in spec.core_sections:
        for key in sorted(key for key in found if key[0] == section):
            one = found[key]
            yield Found(one, one.describe(), (one.function.name, one.insn) not in reached)
