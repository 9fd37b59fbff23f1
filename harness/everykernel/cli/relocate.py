"""``everykernel relocate``: an object against a BTF, on this machine, without any kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from everykernel import core, object, wire
from everykernel.btf import Btf, image
from everykernel.errors import CaseError, UsageError
from everykernel.load.relocate import describe
from everykernel.object import ObjectSpec

_WIDE = 200  # characters in a line where there is no terminal to wrap for
_STYLES = {core.PATCHED: "", core.POISONED: "yellow", core.FAILED: "bold red"}


@click.command()
@click.argument("file", metavar="OBJ", type=click.Path(path_type=Path))
@click.option(
    "--btf",
    "source",
    metavar="FILE|KERNEL",
    required=True,
    help="The BTF: raw, an ELF file that holds one (vmlinux), or a kernel by its spec (6.1).",
)
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
def relocate(file: Path, source: str, form: str) -> int:
    """Show what each CO-RE relocation of OBJ comes to in a kernel, which is not booted for it.

    Exit code 1 if one fails (libbpf would refuse the program); one that is poisoned is shown, and fails only if the
    program reaches it.
    """
    spec = object.read(read_file(file), str(file))
    found = list(relocations(spec, core.Target(read_btf(source))))
    if form == "jsonl":
        for record in found:
            click.echo(json.dumps(record))
    else:
        out = Console(highlight=False)
        out.print(_table(found), width=out.width if out.is_terminal else _WIDE)
    return CaseError.exit_code if any(r["outcome"] == core.FAILED for r in found) else 0


def relocations(spec: ObjectSpec, target: core.Target) -> Iterator[wire.Relocation]:
    """Yield every relocation of an object, each once, as it comes out for the first program that it belongs to."""
    if spec.btf is None:
        return
    session = core.Session(spec.btf, target)
    seen = set()
    for program in spec.programs:
        for applied in core.relocate_program(spec, program, session).applied:
            key = (applied.function.section, applied.fixup.index)
            if key not in seen:
                seen.add(key)
                yield describe(applied)


def _table(found: list[wire.Relocation]) -> Table | Text:
    if not found:
        return Text("the object has no CO-RE relocations")
    table = Table(box=None, pad_edge=False)
    for name in ("program", "insn", "kind", "access", "local", "target"):
        table.add_column(name, overflow="fold", no_wrap=name != "access")
    table.add_column("outcome")
    for r in found:
        style = _STYLES[r["outcome"]]
        said = f"{r['outcome']}: {r['message']}" if r.get("message") else r["outcome"]
        cells = (r["program"], r["insn"], r["kind"], r["access"], r["local"], r["target"])
        table.add_row(*(Text("-" if c is None else str(c)) for c in cells), Text(said, style))
    return table


def read_btf(source: str) -> Btf:
    """Return the BTF in a file, or of a kernel (which is fetched, not booted).

    Raises UsageError where there is none, BtfMalformed for a damaged one, UnknownKernel for what is neither.
    """
    file = Path(source)
    if file.is_file():
        raw = image.extract(read_file(file), name=source)
        remedy = "give raw BTF, vmlinux or a compiled object"
    else:
        raw, remedy = _btf_of_kernel(source), "give a BTF made for it"
    if raw is None:
        raise UsageError("holds no BTF", where=source, remedy=remedy)
    return Btf.parse(raw, name="vmlinux" if not file.is_file() else file.name)


def _btf_of_kernel(spec: str) -> bytes | None:
    """Return a kernel's BTF; raise UsageError for a spec that looks like a file which is not there."""
    from everykernel import kernels
    from everykernel.cli.progress import shown

    if not spec[:1].isdigit() and spec not in ("lts", "latest") and not spec.startswith("debian:"):
        raise UsageError("there is no such file, nor such a kernel", where=spec)
    with shown() as progress:
        resolved = kernels.resolve([spec], progress)
        if len(resolved) != 1:
            raise UsageError(f"means {len(resolved)} kernels, and one is wanted", where=spec)
        return kernels.btf(resolved[0].fetch(progress))


def read_file(file: Path) -> bytes:
    """Return a file's bytes; raise UsageError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(file)) from e
