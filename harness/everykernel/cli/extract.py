"""``everykernel extract``: the BPF objects inside programs, libraries or any other files, written out."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.cli import say
from everykernel.errors import HarnessError
from everykernel.matrix import inside
from everykernel.object import embedded
from everykernel.object.embedded import Embedded


@click.command()
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "-o", "folder", type=click.Path(path_type=Path), metavar="DIR", default=".", help="Where to.  [default: here]"
)
@click.option("--list", "only_list", is_flag=True, help="Write nothing: name, byte order, size, offset and SHA-256.")
def extract(files: tuple[Path, ...], folder: Path, only_list: bool) -> None:
    """Write the BPF objects inside FILE to DIR, each as FILE-NAME.bpf.o.

    Found are skeletons, bpf2go's embeds, include_bytes and whatever else holds an object as it is; not what is
    compressed. NAME is a symbol's, or the byte offset. An object that is there twice is written once; where a file has
    objects of both byte orders, -bpfel or -bpfeb is added.
    """
    for path in files:
        found = inside.inside(path)
        if not found.objects:
            raise embedded.none_in(found, str(path))
        for one in found.objects:
            if only_list:
                say.out(f"{path}:{one.name}  {one.byteorder}  {len(one.data)}  {one.offset:#x}  {one.sha256}")
            else:
                say.out(str(_write(one, path, folder, pair=len({o.byteorder for o in found.objects}) > 1)))


def _write(one: Embedded, path: Path, folder: Path, *, pair: bool) -> Path:
    """Write an object and return its path; raise HarnessError where that cannot be done."""
    order = {"little": "-bpfel", "big": "-bpfeb"}[one.byteorder] if pair else ""
    made = folder / f"{path.name}-{one.name}{order}.bpf.o"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made.write_bytes(one.data)
    except OSError as e:
        raise HarnessError(f"cannot be written: {e.strerror}", where=str(made)) from e
    return made
