"""``everykernel btf``: look into BTF, compare two, cut one down to what objects need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from everykernel import cache, core
from everykernel.btf import Btf, diff, kinds, render
from everykernel.btf.naming import title
from everykernel.btf.subset import Subset
from everykernel.cli import choices, say
from everykernel.cli.progress import shown
from everykernel.cli.sources import one, read_btf, read_object, read_objects
from everykernel.core import needed
from everykernel.errors import UsageError
from everykernel.kernels.supplied import Supply
from everykernel.matrix.supply import check
from everykernel.object import ObjectSpec
from everykernel.report import screen

_NAMED = ("struct", "union", "enum", "enum64", "typedef", "func", "int", "float", "fwd", "var", "datasec")
_STYLES = {"gone": "red", "new": "green", "renamed": "yellow", "retyped": "yellow", "resized": "yellow"}


_BASE = click.option("--base", metavar="FILE|KERNEL", default="", help="What FILE's split BTF (a module's) continues.")
_MODULE = click.option("--module", metavar="NAME", default="", help="Look into a module of KERNEL.")


@click.group()
def btf() -> None:
    """Look into BTF: of a file (raw, ELF, kernel image) or of a kernel by its spec (6.1); nothing is booted."""


@btf.command()
@click.argument("source", metavar="FILE|KERNEL")
@click.argument("type_name", required=False, metavar="[TYPE]")
@_BASE
@_MODULE
def dump(source: str, type_name: str | None, base: str, module: str) -> None:
    """Show the types in FILE (raw BTF, vmlinux, an object) or of KERNEL (6.1) as C; with TYPE, those of that name.

    TYPE is a name, with its kind where one name has several: "task_struct", "struct list_head". Of a module (--module
    nfs, or its .ko file) these are its own types; names of its kernel's are found too.
    """
    types = read_btf(source, base=base, module=module)
    for text in _selected(types, type_name, source) if type_name else _all(types):
        say.out(text)


@btf.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.argument("type_name", required=False, metavar="[TYPE]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a change.")
def diff_command(old: str, new: str, type_name: str | None, as_json: bool) -> int:
    """Show what changed between two BTFs: moved, renamed, resized, retyped, gone, new.

    With TYPE, in the types of that name; without, in every struct, union and enum. Exit code 1 if anything changed.

    Example: everykernel btf diff 5.10 6.12 task_struct
    """
    one, two = read_btf(old), read_btf(new)
    if type_name and not (diff.known(one, type_name) or diff.known(two, type_name)):
        raise UsageError(f"neither has a type {type_name!r}", where=f"{old}, {new}", remedy="everykernel btf find")
    changes: Iterable[diff.Change]
    changes = diff.compare(one, two, type_name) if type_name else diff.everything(one, two)
    out = screen.Screen(soft_wrap=True)
    found = False
    for change in changes:
        found = True
        if as_json:
            say.data(change._asdict())
        else:
            out.print(screen.text(change, _STYLES.get(change.what, "")))
    return int(found)


@btf.command()
@click.argument("source", metavar="FILE|KERNEL")
@click.argument("name")
@_BASE
@_MODULE
def find(source: str, name: str, base: str, module: str) -> None:
    """Show every type, member, enumerator and function called NAME (a part of a name with *: "*_comm").

    Exit code 2 if there is none; the modules that have a type of that name are named then.
    """
    types = read_btf(source, base=base, module=module)
    found = list(_named(types, name))
    if not found:
        raise UsageError(f"nothing is called {name!r}", where=source, remedy=_in_modules(source, name))
    for line in found:
        say.out(line)


@btf.command()
@click.argument("source", metavar="FILE|KERNEL")
@click.argument("other", metavar="[FILE|KERNEL]", required=False)
@click.option("--html", type=click.Path(path_type=Path), required=True, help="Where to write the page.")
def view(source: str, other: str | None, html: Path) -> None:
    """Write one HTML file in which the types are looked up: layouts with holes, what uses what, and is used by what.

    With two, the types of both stand side by side, and what moved, is gone or is new is marked. The page needs no
    network and no server: a browser opens it from where it lies.

    Example: everykernel btf view 5.10 6.12 --html btf.html
    """
    from everykernel.report.btfview.page import page

    names = [source, other] if other else [source]
    text = page([(name, read_btf(name)) for name in names])
    with cache.write_atomically(html) as file:
        file.write(text.encode())
    say.talk(f"{html}: {len(text)} bytes")


@btf.command()
@click.argument("objects", metavar="OBJ...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--btf", "source", metavar="FILE|KERNEL", required=True, help="The kernel's BTF.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Where to write the result.")
def minimise(objects: tuple[Path, ...], source: str, output: Path) -> None:
    """Cut a kernel's BTF down to the types that these objects need.

    Relocating the objects against the result gives the same instructions as against the whole; supply it where the
    kernel has no BTF of its own.
    """
    types = read_btf(source)
    data = _minimised([read_object(path) for path in objects], types)
    with cache.write_atomically(output) as file:
        file.write(data)
    say.talk(f"{output}: {len(data)} bytes of {len(types.raw)}")


@btf.command()
@click.argument("objects", metavar="OBJ...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices.kernels
@click.option("--btf", "supplies", metavar="[SPEC=]PATH|URL", multiple=True, help="BTF of kernels that have none.")
@click.option("--out", "output", metavar="DIR", type=click.Path(path_type=Path), required=True, help="The tree's top.")
@click.option("--tar-xz", is_flag=True, help="Pack each as UNAME.btf.tar.xz, as the public archive does.")
def archive(
    objects: tuple[Path, ...],
    kernel_list: str,
    kernels_missing: str,
    supplies: tuple[str, ...],
    output: Path,
    tar_xz: bool,
) -> None:
    """Write the BTFs that a tool has to ship for kernels without: of each kernel, what OBJ... need.

    They stand in the layout of the public BTF archive, DIR/DISTRIBUTION/VERSION/ARCH/UNAME.btf, which --btf DIR reads.
    OBJ is an object, or a program that holds some. What a kernel lacks in its image comes from --btf, as in `run`.

    Example: everykernel btf archive mytool --kernels 5.10,6.1/i386 --btf btfhub-archive --out btf
    """
    from everykernel.cli import archive as writing

    specs = [spec for path in objects for spec in read_objects(path)]
    chosen = writing.resolved(choices.specs(kernel_list), skip=kernels_missing == "skip")
    given = [Supply.parse(text) for text in supplies]
    with shown() as progress:
        check(given, [kernel.spec for kernel in chosen], progress)
    for kernel in chosen:
        types = writing.whole(kernel, given)
        data = _minimised(specs, types)
        path = writing.write(output, kernel, data, packed=tar_xz)
        say.talk(f"{path}: {len(data)} bytes of {len(types.raw)}")


def _minimised(specs: Iterable[ObjectSpec], types: Btf) -> bytes:
    """Return what of a kernel's BTF the records of objects need."""
    subset, target = Subset(types), core.Target(types)
    for spec in specs:
        if spec.btf is not None:
            records = (record for function in spec.functions.values() for _, record in function.core)
            needed.keep(records, spec.btf, target, subset)
    return subset.image()


def _all(types: Btf) -> Iterator[str]:
    for number in range(types.first, len(types)):
        if types.type(number).name:
            yield render.layout(types, number)


def _in_modules(source: str, name: str) -> str:
    """Return where to look on: the kernel's modules that define a type of this name, "" where there are none."""
    from everykernel.cli import modules

    found = modules.defining(one(source), name) if not Path(source).is_file() else []
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"module {found[0]}{more} has it: everykernel btf find {source} {name} --module {found[0]}" if found else ""


def _selected(types: Btf, wanted: str, where: str) -> list[str]:
    kind, _, name = wanted.rpartition(" ")
    found = [render.layout(types, number) for number in types.find_all(name, (kind,) if kind else _NAMED)]
    if not found:
        raise UsageError(f"has no type {wanted!r}", where=where, remedy=f"everykernel btf find {where} '*{name}*'")
    return found


def _named(types: Btf, pattern: str) -> Iterator[str]:
    """Yield a line for each type, member and enumerator whose name matches."""
    from fnmatch import translate
    from re import compile as compile_

    matches = compile_(translate(pattern)).match
    for number, found in types:
        if found.name and matches(found.name):
            yield f"{number:6} {title(types, number)}"
        if isinstance(found, kinds.Struct):
            for member in found.members:
                if member.name and matches(member.name):
                    place, bits = divmod(member.bit_offset, 8)
                    words = render.declaration(types, member.type, member.name)
                    yield f"{number:6} {title(types, number)}: {words} at {place}{f':{bits}' if bits else ''}"
        elif isinstance(found, kinds.Enum):
            for value in found.values:
                if matches(value.name):
                    yield f"{number:6} {title(types, number)}: {value.name} = {value.value}"
