"""The command line of ``everykernel relocate``."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.cli import choices, relocating


@click.command()
@click.argument("objects", metavar="OBJ...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices.btf_sources
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
@click.option("--source", "with_source", is_flag=True, help="Show instructions and C beside the relocations.")
def relocate(
    objects: tuple[Path, ...], btf: tuple[str, ...], kernel_list: str | None, form: str, with_source: bool
) -> int:
    """Show what each CO-RE relocation of OBJ comes to in each kernel; nothing is booted.

    OBJ is a compiled object, or a file that holds some: a program, a library (FILE:NAME is one of them).

    With --source, the object's instructions stand below the C that they came from, and below each that is relocated
    what each kernel makes of it (--format jsonl: each relocation has its instruction and place in C).

    Exit code 1 if one fails (libbpf would refuse the program); one that is poisoned is shown, and fails only if the
    program reaches it.
    """
    return relocating.show(list(map(str, objects)), list(btf), form, kernel_list, with_source=with_source)
