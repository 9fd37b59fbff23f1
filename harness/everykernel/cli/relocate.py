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
from everykernel.core import Fixup
from everykernel.errors import CaseError, UsageError
from everykernel.object import Function, ObjectSpec

_WIDE = 200  # characters in a line where there is no terminal to wrap for
_STYLES = {core.PATCHED: "", core.POISONED: "yellow", core.FAILED: "bold red"}


@click.command()
@click.argument("file", metavar="OBJ", type=click.Path(path_type=Path))
@click.option("--btf", "btf_file", metavar="FILE", type=click.Path(path_type=Path), required=True,
              help="The kernel's BTF: raw, or an ELF file that holds one (vmlinux).")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
def relocate(file: Path, btf_file: Path, form: str) -> int:
    """Show what each CO-RE relocation of OBJ comes to in the kernel whose BTF is FILE.

    Exit code 1 if one fails (libbpf would refuse the program); one that is poisoned is shown, and fails only if the
    program reaches it.
    """
    spec = object.read(read_file(file), str(file))
    found = list(relocations(spec, core.Target(read_btf(btf_file))))
    if form == "jsonl":
        for record in found:
            click.echo(json.dumps(record))
    else:
        out = Console(highlight=False)
        out.print(_table(found), width=out.width if out.is_terminal else _WIDE)
    return CaseError.exit_code if any(r["outcome"] == core.FAILED for r in found) else 0


def relocations(spec: ObjectSpec, target: core.Target) -> Iterator[wire.Relocation]:
    """Yield every relocation of an object, each once, computed in the order in which libbpf computes them."""
    if spec.btf is None:
        return
    seen = set()
    for program in spec.programs:
        session = core.Session(spec.btf, target)  # libbpf, asked for one program at a time
        for function in spec.functions.values():
            if function.name != program.function and function.section != spec.shared_section:
                continue
            for index, record in function.core:
                insn = (record.insn_off - function.start) // 8
                code = function.code[insn * 8 : insn * 8 + 16]
                fixup = core.compute(record, index, spec.btf, target, code, session)
                if (function.section, index) not in seen:
                    seen.add((function.section, index))
                    yield _record(function, insn, fixup)


def _record(function: Function, insn: int, fixup: Fixup) -> wire.Relocation:
    record: wire.Relocation = {
        "section": function.section,
        "program": function.name,
        "index": fixup.index,
        "insn": insn,
        "kind": fixup.kind,
        "access": fixup.access,
        "local": fixup.local,
        "target": fixup.target,
        "outcome": fixup.outcome,
        "candidates": list(fixup.candidates),
    }
    if fixup.old is not None:
        record["old"] = fixup.old
    if fixup.new is not None:
        record["new"] = fixup.new
    if fixup.mem_size is not None:
        record["mem_size"] = fixup.mem_size
    if fixup.message:
        record["message"] = fixup.message
    return record


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


def read_btf(file: Path) -> Btf:
    """Return the BTF in a file; raise UsageError if it holds none, BtfMalformed if that is damaged."""
    raw = image.extract(read_file(file), name=str(file))
    if raw is None:
        raise UsageError("holds no BTF", where=str(file), remedy="give raw BTF, vmlinux or a compiled object")
    return Btf.parse(raw, name=file.name)


def read_file(file: Path) -> bytes:
    """Return a file's bytes; raise UsageError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(file)) from e
