"""``everykernel btf``: look into BTF."""

from __future__ import annotations

from collections.abc import Iterator

import click

from everykernel.btf import Btf, render
from everykernel.cli.relocate import read_btf
from everykernel.errors import UsageError

_NAMED = ("struct", "union", "enum", "enum64", "typedef", "func", "int", "float", "fwd", "var", "datasec")


@click.group()
def btf() -> None:
    """Look into BTF."""


@btf.command()
@click.argument("source", metavar="FILE|KERNEL")
@click.argument("type_name", required=False, metavar="[TYPE]")
def dump(source: str, type_name: str | None) -> None:
    """Show the types in FILE (raw BTF, vmlinux, an object) or of KERNEL (6.1) as C; with TYPE, those of that name.

    TYPE is a name, with its kind where one name has several: "task_struct", "struct list_head".
    """
    types = read_btf(source)
    for text in _selected(types, type_name, source) if type_name else _all(types):
        click.echo(text)


def _all(types: Btf) -> Iterator[str]:
    for number in range(1, len(types)):
        if types.type(number).name:
            yield render.layout(types, number)


def _selected(types: Btf, wanted: str, where: str) -> list[str]:
    kind, _, name = wanted.rpartition(" ")
    kinds = (kind,) if kind else _NAMED
    found = [render.layout(types, number) for number in types.find_all(name, kinds)]
    if not found:
        raise UsageError(f"has no type {wanted!r}", where=where)
    return found
