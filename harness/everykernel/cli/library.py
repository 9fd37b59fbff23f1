"""``everykernel library``: the loader for another machine, or the static program that takes its place there."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.architectures import ARCHITECTURES
from everykernel.errors import UsageError
from everykernel.images.agent import agent_zipapp
from everykernel.remote import program


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--static",
    "arch",
    type=click.Choice(list(ARCHITECTURES)),
    metavar="ARCH",
    help="Write the program for a machine of ARCH without Python instead: the loader stays here, and asks it.",
)
def library(file: Path, arch: str | None) -> int:
    """Write the loader and what it needs into FILE: on a target, PYTHONPATH=FILE python3 (3.9 or newer) imports it."""
    data = agent_zipapp() if arch is None else program.build(ARCHITECTURES[arch]).read_bytes()
    try:
        file.write_bytes(data)
        if arch is not None:
            file.chmod(0o755)
    except OSError as e:
        raise UsageError(f"cannot be written: {e.strerror}", where=str(file)) from e
    return 0
