"""``everykernel relocate``: objects against the BTF of many kernels, on this machine, without booting any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from everykernel import core, wire
from everykernel.cli import choices, say
from everykernel.cli.sources import read_object
from everykernel.errors import CaseError
from everykernel.object import ObjectSpec

_WIDE = 1000  # characters in a line where there is no terminal to wrap for


@click.command()
@click.argument("objects", metavar="OBJ...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices.btf_sources
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
def relocate(objects: tuple[Path, ...], btf: tuple[str, ...], kernel_list: str | None, form: str) -> int:
    """Show what each CO-RE relocation of OBJ comes to in each kernel; nothing is booted.

    Exit code 1 if one fails (libbpf would refuse the program); one that is poisoned is shown, and fails only if the
    program reaches it.
    """
    specs = [read_object(path) for path in objects]
    found = choices.all_sources(btf, kernel_list)
    failed = False
    for spec in specs:
        columns = {source.label: list(relocations(spec, core.Target(source.btf))) for source in found}
        failed |= any(r["outcome"] == core.FAILED for rows in columns.values() for r in rows)
        if form == "jsonl":
            for label, rows in columns.items():
                for row in rows:
                    say.data({"object": spec.name, "btf": label, **row})
        else:
            _print(columns, spec.name if len(specs) > 1 else "")
    return CaseError.exit_code if failed else 0


def _print(columns: dict[str, list[wire.Relocation]], title: str) -> None:
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


def relocations(spec: ObjectSpec, target: core.Target) -> Iterator[wire.Relocation]:
    """Yield an object's relocations in the order of its records, as they come out for the first program of each."""
    if spec.btf is None:
        return
    session = core.Session(spec.btf, target)
    found: dict[tuple[str, int], wire.Relocation] = {}
    for program in spec.programs:
        for applied in core.relocate_program(spec, program, session).applied:
            found.setdefault((applied.function.section, applied.fixup.index), applied.describe())
    for section in spec.core_sections:
        yield from (found[key] for key in sorted(key for key in found if key[0] == section))
