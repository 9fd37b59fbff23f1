"""``everykernel report annotate``: what did not pass, at the lines of C that it is about."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel import settings
from everykernel.cli import gating, say, sourcing
from everykernel.gates import policy as policies
from everykernel.matrix import results
from everykernel.matrix.records import CaseResult
from everykernel.report import sarif, spots, terminal, workflow
from everykernel.report.folder import results_in
from everykernel.report.sources import Sources


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@sourcing.options
@click.option(
    "--baseline", type=click.Path(path_type=Path), metavar="FILE", help="What it lists is a notice, and no error."
)
@click.option("--format", "form", type=click.Choice(["github", "sarif"]), default="github", show_default=True)
def annotate(file: Path, source_root: str, path_maps: tuple[str, ...], baseline: Path | None, form: str) -> int:
    """Print what did not pass in FILE as annotations of lines of C: GitHub's workflow commands, or SARIF 2.1.0.

    Ten of each level at most, the first of which says how many there are. Exit code: 0.
    """
    found = results.read(results_in(file))
    gate = gating.gate(policies.of_project(settings.read(Path.cwd()), baseline=baseline), update_baseline=False)
    kernels = {kernel["spec"]: kernel for kernel in found["kernels"]}

    def level(result: CaseResult) -> str:
        spec = result.get("kernel", "?")
        excused = gate.excuse(result, kernels.get(spec, {"spec": spec}), found["kernels"])
        return spots.NOTICE if excused else spots.ERROR

    every = spots.find(found["results"], Sources.of(source_root, path_maps), level)
    if form == "sarif":
        click.echo(sarif.render(every, list(kernels)), nl=False)
    else:
        for line in workflow.lines(every, list(kernels), f"{terminal.counts(found['results'])}"):
            say.out(line)
    return 0
