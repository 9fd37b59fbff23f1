"""``everykernel library``: the loader for another machine."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.errors import UsageError
from everykernel.images.agent import agent_zipapp


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def library(file: Path) -> int:
    """Write the loader and what it needs into FILE: on a target, PYTHONPATH=FILE python3 (3.9 or newer) imports it."""
    try:
        file.write_bytes(agent_zipapp())
    except OSError as e:
        raise UsageError(f"cannot be written: {e.strerror}", where=str(file)) from e
    return 0
