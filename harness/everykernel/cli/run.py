"""``everykernel run``: objects and cases on kernels, without pytest."""

from __future__ import annotations

import shlex
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from everykernel import machine
from everykernel.architectures import DEFAULT
from everykernel.cli import choices, debugging
from everykernel.errors import CaseError, GuestError, HarnessError, UnknownKernel
from everykernel.kernels.supplied import Supply
from everykernel.machine import MachineSpec, process, room, slots
from everykernel.matrix import plan, records, supply
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.matrix.ledger import Ledger, Writer
from everykernel.matrix.progress import Board
from everykernel.matrix.records import CaseResult, CellReport
from everykernel.matrix.results import Journal, identify
from everykernel.report import blocks, terminal
from everykernel.report.folder import ReportFolder

_INTERVAL = 0.1  # seconds between paints


@click.command()
@click.argument("objects", nargs=-1, required=True, metavar="OBJ...")
@choices.kernels
@choices.guests
@click.option(
    "--btf",
    metavar="[SPEC=]PATH",
    multiple=True,
    help="BTF to relocate against on kernels that have none (on SPEC only: 6.1/i386=PATH): raw, in ELF, or a folder "
    "with RELEASE.btf or DISTRIBUTION/VERSION/ARCH/RELEASE.btf.tar.xz. May be repeated.",
)
@click.option(
    "--until",
    type=click.Choice(["load", "run"]),
    default="run",
    show_default=True,
    help="The last stage: load neither attaches nor triggers nor checks.",
)
@click.option(
    "--memory",
    type=click.IntRange(256, 65536),
    default=256,
    show_default=True,
    metavar="MIB",
    help="Memory of each guest, where a case does not ask for more.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the results to FILE.")
@click.option("--report", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write results and evidence.")
@click.option("-v", "--verbose", count=True, help="Show logs whole, and tracebacks of defects.")
def run(
    objects: tuple[str, ...],
    kernel_list: str,
    kernels_missing: str,
    accel: str,
    timeout: float,
    btf: tuple[str, ...],
    until: str,
    memory: int,
    json_file: Path | None,
    folder: Path | None,
    verbose: int,
) -> int:
    """Relocate, load and run objects on kernels, a fresh kernel for each.

    OBJ is a compiled object, a case.toml, or a folder of cases. Exit code: 0 all as expected, 1 a case failed, 2 usage,
    3 a guest broke, 4 the harness broke.
    """
    board, talk = Board(), Console(stderr=True, highlight=False)
    cases = [_adapt(case, until, memory) for case in plan.cases(objects)]
    supplies = [Supply.parse(text) for text in btf]
    columns = plan.columns(choices.specs(kernel_list), skip_missing=kernels_missing == "skip", progress=board)
    if all(column.missing for column in columns):
        raise UnknownKernel("none of these kernels is to be had", spec=kernel_list, where="--kernels")
    for column in columns:
        if column.resolved is not None:
            process.find(column.resolved.arch.qemu)
    supply.check(supplies, [c.spec for c in columns])
    room.reserve((c.resolved, case.machine) for c in columns if c.resolved is not None for case in cases)
    known = [c.record() for c in columns]
    identity = identify(accel, process.version(process.find(DEFAULT.qemu)))
    writers: list[Writer] = []
    report = ReportFolder(folder, identity, known) if folder is not None else None
    if report is not None:
        writers.append(report.add)
    journal = Journal(json_file, identity, known) if json_file is not None else None
    if journal is not None:
        writers.append(lambda cell: journal.add(cell["result"], cell["kernel"]))
    ledger = Ledger(known, writers)
    machines = machine.Machines(accel, timeout, board)
    campaign = Campaign(
        columns, machines, width=slots.cores(), slot=slots.slot, board=board, timeout=timeout, btf=supplies
    )
    with closing(campaign):
        told = _drive(campaign, cases, ledger, talk, btf)
    if report is not None:
        report.close(ledger.results, ledger.kernels)
    if journal is not None:
        journal.close()
    _show(ledger, told, campaign, verbose)
    return exit_code(ledger.results)


def _adapt(case: Case, until: str, memory: int) -> Case:
    machine = replace(case.machine, memory=max(memory, case.machine.memory))
    return replace(case, until=until, machine=machine)


def _drive(
    campaign: Campaign, cases: list[Case], ledger: Ledger, talk: Console, btf: tuple[str, ...]
) -> list[CellReport]:
    """Run every cell, showing progress, and return the reports in the order of the matrix."""
    futures: dict[Future[CellReport], tuple[Case, str]] = {}
    for case in cases:
        for spec, column in campaign.columns.items():
            if not column.missing:
                campaign.board.expect(spec)
                futures[campaign.run(spec, case)] = case, spec
    waiting = set(futures)
    campaign.board.announce = not talk.is_terminal
    with Live(console=talk, refresh_per_second=8, transient=True, auto_refresh=False) as live:
        while waiting:
            ended, waiting = wait(waiting, _INTERVAL, "FIRST_COMPLETED")
            for future in ended:
                case, spec = futures[future]
                report = future.result()
                report["result"]["again"] = _again(case, spec, btf)
                ledger.add(report)
            for message in campaign.board.messages():
                talk.print(f"everykernel: {message}", markup=False)
            if talk.is_terminal:
                live.update(Group(*(Text(line) for line in campaign.board.lines())), refresh=True)
    return [future.result() for future in futures]


def _again(case: Case, spec: str, btf: tuple[str, ...]) -> str:
    target = str(case.path) if case.path is not None else case.shown
    options = "" if case.until == "run" else f" --until {case.until}"
    if case.machine.memory != MachineSpec.memory:
        options += f" --memory {case.machine.memory}"
    return f"everykernel run {shlex.quote(target)} --kernels {shlex.quote(spec)}{options}{supply.again(btf, spec)}"


def _show(ledger: Ledger, told: list[CellReport], campaign: Campaign, verbose: int) -> None:
    out = Console(highlight=False)
    results = [report["result"] for report in told]
    terminal.show_matrix(out, results, ledger.kernels, unicode=terminal.has_unicode(out))
    out.print(campaign.cost.text())
    for note in campaign.cost.notes:
        out.print(note, markup=False, soft_wrap=True)
    for report in told:
        if report["result"].get("outcome") != records.PASSED:
            first, *rest = blocks.lines(
                report["result"],
                console=report.get("console", ""),
                trace=report.get("trace", ""),
                verbose=max(verbose, int(debugging())),
            )
            out.print()
            out.print(Text("\n").join([Text(first, "bold red"), *(Text(line) for line in rest)]), soft_wrap=True)


def exit_code(results: list[CaseResult]) -> int:
    """Return the exit code of a run: what is worst about its cells."""
    found = {records.broke(r) or r.get("outcome", "") for r in results}
    if "harness" in found:
        return HarnessError.exit_code
    if "guest" in found:
        return GuestError.exit_code
    return CaseError.exit_code if records.FAILED in found else 0
