"""``everykernel report check``: the gate of a results file."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel import settings
from everykernel.cli import gating, say
from everykernel.gates import policy as policies
from everykernel.matrix import results
from everykernel.report import gate as telling
from everykernel.report.folder import results_in


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@gating.options
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="OLD",
    help="Results of an older run: what is known where there is no baseline, and what growth is measured from.",
)
@click.option("--max-insns-growth", default="", metavar="20%", help="With --against: how much programs may grow.")
@click.option("--require", multiple=True, metavar="RULE", help="A rule beside the project's. May be repeated.")
@click.option("--advisory", multiple=True, metavar="KERNEL", help="A kernel that does not decide. May be repeated.")
@click.option("--format", "form", type=click.Choice(["terminal", "markdown"]), default="terminal", show_default=True)
def check(
    file: Path,
    baseline: Path | None,
    update_baseline: bool,
    partial: bool,
    against: Path | None,
    max_insns_growth: str,
    require: tuple[str, ...],
    advisory: tuple[str, ...],
    form: str,
) -> int:
    """Say whether the results in FILE are green: against a baseline, an older run, and the project's rules.

    Exit code: 0 green, 1 something changed or a rule is broken, 2 usage, 3 a guest broke, 4 the harness broke, or
    nothing ran.
    """
    found = results.read(results_in(file))
    old = results.read(results_in(against)) if against is not None else None
    project = settings.read(Path.cwd())
    policy = policies.of_project(
        project, baseline=baseline, partial=partial, require=require, advisory=advisory, max_growth=max_insns_growth
    )
    gate = gating.gate(policy, update_baseline)
    judged = gate.judge(found, old)
    if form == "markdown":
        specs = [kernel["spec"] for kernel in found["kernels"]]
        click.echo(telling.markdown(judged.verdict, specs, str(policy.baseline or "")), nl=False)
    else:
        gating.tell(gate, judged, found, say.out)
    return judged.verdict.exit_code
