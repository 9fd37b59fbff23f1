"""``everykernel report show``: a results file on the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.matrix import results
from everykernel.report import disagreements as disagreement
from everykernel.report import markdown, terminal
from everykernel.report.folder import results_in
from everykernel.report.screen import Screen


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["terminal", "markdown"]), default="terminal", show_default=True)
@click.option("--disagreements", is_flag=True, help="Show where loaders disagree, and by which known rule, instead.")
@click.option("-v", "--verbose", count=True, help="Show logs whole (-vv).")
def show(file: Path, form: str, disagreements: bool, verbose: int) -> int:
    """Show the results in FILE (results.json, or the folder that holds one) as a matrix."""
    found = results.read(results_in(file))
    if disagreements:
        refusals = disagreement.find(found["results"])
        specs = [kernel["spec"] for kernel in found["kernels"]]
        if form == "markdown":
            click.echo(markdown.disagreements(refusals, specs), nl=False)
        else:
            terminal.show_disagreements(Screen(), refusals, specs)
    elif form == "markdown":
        click.echo(markdown.render(found["results"], found["kernels"], found.get("run")), nl=False)
    else:
        terminal.show(Screen(), found["results"], found["kernels"], found["run"].get("loaders", []), verbose=verbose)
    return 0
