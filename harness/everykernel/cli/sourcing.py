"""The options that say where C sources are in a repository."""

from __future__ import annotations

import click

from everykernel.cli.choices import Command


def options(command: Command) -> Command:
    """Add ``--source-root`` and ``--path-map``, the arguments of `report.sources.Sources.of`."""
    command = click.option(
        "--path-map",
        "path_maps",
        multiple=True,
        metavar="FROM=TO",
        help="What paths of sources begin with, and what stands there in the repository. May be repeated.",
    )(command)
    return click.option(
        "--source-root",
        default=".",
        metavar="DIR",
        help="The repository: sources below it are told from there. [default: the current folder]",
    )(command)
