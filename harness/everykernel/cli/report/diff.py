"""``everykernel report diff``: what changed from one run to another, and why."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.cli import say
from everykernel.comparing import difference
from everykernel.matrix import results
from everykernel.report import differences
from everykernel.report.folder import results_in
from everykernel.report.screen import Screen


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    metavar="OLD=NEW",
    help="Compare this kernel of OLD with that of NEW (5.10=6.12), and no others. May be repeated.",
)
@click.option(
    "--format", "form", type=click.Choice(["terminal", "markdown", "json"]), default="terminal", show_default=True
)
@click.option(
    "--explain",
    is_flag=True,
    help="Name what a kernel has in the place of what an object lost there, from the BTF of both (fetched if need be).",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell all rows, and all changes.")
def diff(old: Path, new: Path, pairs: tuple[str, ...], form: str, explain: bool, verbose: bool) -> int:
    """Say what changed from OLD to NEW (results.json files, or report folders), row by row, what changed first.

    Where each has one kernel that the other has not, these two are compared. Exit code 1 if a cell regressed.
    """
    before, after = (results.read(results_in(path)) for path in (old, new))
    found = difference.compare(before, after, pairs)
    if explain:
        from everykernel.cli.report import counterparts  # which needs what relocates

        found, notes = counterparts.told(found)
        for note in notes:
            say.talk(f"everykernel: {note}")
    if form == "json":
        say.data(difference.as_json(found), indent=1)
    elif form == "markdown":
        click.echo(differences.render(found, verbose=verbose), nl=False)
    else:
        differences.show(Screen(), found, verbose=verbose)
    return int(difference.REGRESSED in found.counts)
