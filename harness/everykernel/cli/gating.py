"""The options of a gate, and the gate of a command: read, judge, tell, and bring the baseline up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from everykernel.cli import say
from everykernel.cli.choices import Command
from everykernel.gates.baseline import FILENAME
from everykernel.gates.gate import Gate, Judged
from everykernel.gates.policy import Policy
from everykernel.matrix.results import Results
from everykernel.report import gate as telling

NAMES = ("baseline", "update_baseline", "partial")
"""The parameters of `options`."""


def options(command: Command) -> Command:
    """Add ``--baseline``, ``--update-baseline`` and ``--partial``."""
    for option in reversed(
        (
            click.option(
                "--baseline",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="What is known not to be green: only changes decide.",
            ),
            click.option(
                "--update-baseline",
                is_flag=True,
                help=f"Write what is not green to the baseline. [default: {FILENAME}]",
            ),
            click.option(
                "--partial", is_flag=True, help="Leave alone what the baseline says of objects and kernels not run."
            ),
        )
    ):
        command = option(command)
    return command


def named() -> Path | None:
    """Return the baseline that the command under way was given on its command line, None for none."""
    context = click.get_current_context()
    given = context.get_parameter_source("baseline") is click.core.ParameterSource.COMMANDLINE
    return context.params["baseline"] if given else None


def gate(policy: Policy, update_baseline: bool) -> Gate:
    """Return the gate that options ask for; ``--update-baseline`` alone means the usual file in the current folder."""
    if update_baseline and policy.baseline is None:
        policy = replace(policy, baseline=Path(FILENAME))
    return Gate.of(policy, updates=update_baseline)


def tell(found: Gate, judged: Judged, results: Results, show: Callable[[str], None]) -> None:
    """Show a verdict, and what became of the baseline."""
    path = found.policy.baseline
    for line in telling.lines(judged.verdict, [k["spec"] for k in results["kernels"]], str(path or "")):
        show(line)
    if judged.updated is not None:
        made = judged.updated
        say.talk(f"everykernel: {path}: {made.added} added, {made.removed} removed, {made.kept} kept")
