"""``everykernel relocate``: objects against the BTF of many kernels, on this machine, without booting any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from everykernel import core, wire
from everykernel.cli import choices, say
from everykernel.cli.misreads import Looking
from everykernel.cli.sources import read_objects
from everykernel.errors import CaseError
from everykernel.object import ObjectSpec

_WIDE = 1000  # characters in a line where there is no terminal to wrap for


@click.command()
@click.argument("objects", metavar="OBJ...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices.btf_sources
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
def relocate(objects: tuple[Path, ...], btf: tuple[str, ...], kernel_list: str | None, form: str) -> int:
    """Show what each CO-RE relocation of OBJ comes to in each kernel; nothing is booted.

    OBJ is a compiled object, or a file that holds some: a program, a library (FILE:NAME is one of them).
    Exit code 1 if one fails (libbpf would refuse the program); one that is poisoned is shown, and fails only if the
    program reaches it.
    """
    specs = [spec for path in objects for spec in read_objects(path)]
    found = choices.all_sources(btf, kernel_list)
    failed = False
    for spec in specs:
        looking = {source.label: Looking(spec, source) for source in found}
        columns = {s.label: list(relocations(spec, core.Target(s.btf), looking[s.label])) for s in found}
        misreads = {label: one.misreads for label, one in looking.items()}
        failed |= any(r["outcome"] == core.FAILED for rows in columns.values() for r in rows)
        if form == "jsonl":
            for label, rows in columns.items():
                for row in rows:
                    say.data({"object": spec.name, "btf": label, **row, **_misread(row, misreads[label])})
        else:
            _print(columns, misreads, spec.name if len(specs) > 1 else "")
    return CaseError.exit_code if failed else 0


def _misread(row: wire.Relocation, misreads: list[wire.Misread]) -> dict[str, str]:
    """Return what a kernel has where a relocated access takes it for something else."""
    found = [m["kernel"] for m in misreads if row["kind"] == "byte_off" and m["access"] == row["access"]]
    return {"misread": found[0]} if found else {}


def _print(columns: dict[str, list[wire.Relocation]], misreads: dict[str, list[wire.Misread]], title: str) -> None:
    from everykernel.report import misreads as of_misreads
    from everykernel.report import relocations as report  # rich takes as long to import as an object to relocate
    from everykernel.report import screen

    out = screen.Screen()
    if not out.is_terminal:
        out.width = _WIDE  # what rich takes a pipe for is narrower than most rows
    if title:
        out.print()
        out.print(screen.text(title, "bold"))
    if len(columns) == 1:
        (rows,) = columns.values()
        out.print(report.details(rows))
    else:
        for part in report.side_by_side(columns):
            out.print(part)
    for line in of_misreads.of_object(misreads.items()):
        out.print(screen.text(f"≠ {line}", "yellow"))


def relocations(spec: ObjectSpec, target: core.Target, looking: Looking) -> Iterator[wire.Relocation]:
    """Yield an object's relocations in the order of its records, as they come out for the first program of each.

    ``looking`` sees each program relocated.
    """
    if spec.btf is None:
        return
    session = core.Session(spec.btf, target)
    found: dict[tuple[str, int], wire.Relocation] = {}
    for program in spec.programs:
        relocated = core.relocate_program(spec, program, session)
        looking.add(program, relocated)
        for applied in relocated.applied:
            found.setdefault((applied.function.section, applied.fixup.index), applied.describe())
    for section in spec.core_sections:
        yield from (found[key] for key in sorted(key for key in found if key[0] == section))
