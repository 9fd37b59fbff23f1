"""``everykernel report render``: the views of a results file."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.cli import sourcing
from everykernel.report import folder as report_folder
from everykernel.report.sources import Sources


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Where to. [default: beside FILE]"
)
@sourcing.options
def render(file: Path, folder: Path | None, source_root: str, path_maps: tuple[str, ...]) -> int:
    """Write every view of the results in FILE (results.json, or the folder that holds one)."""
    path = report_folder.results_in(file)
    for written in report_folder.render(path, folder or path.parent, Sources.of(source_root, path_maps)):
        click.echo(str(written))
    return 0
