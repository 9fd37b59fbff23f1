"""``everykernel run``: objects and cases on kernels, without pytest."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from everykernel import machine
from everykernel.architectures import DEFAULT
from everykernel.cli import choices, commands, debugging
from everykernel.errors import CaseError, GuestError, HarnessError, UnknownKernel
from everykernel.kernels.supplied import Supply
from everykernel.machine import process, room, slots
from everykernel.matrix import crew, plan, records, supply
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.matrix.ledger import Ledger, Writer, lost
from everykernel.matrix.progress import Board
from everykernel.matrix.records import CaseResult, CellReport, KernelRecord, LoaderRecord, RunRecord
from everykernel.matrix.results import Journal, identify
from everykernel.matrix.sizing import Sizing
from everykernel.report import disagreements, screen, terminal
from everykernel.report.folder import ReportFolder
from everykernel.report.screen import Screen

_INTERVAL = 0.1  # seconds between paints
_OF_ANOTHER = (
    "kernel_list",
    "kernels_missing",
    "btf",
    "loaders",
    "json_file",
    "folder",
)  # parameters of this run alone


@click.command(cls=choices.ProjectCommand)
@click.argument("objects", nargs=-1, metavar="OBJ...")
@choices.kernels
@choices.guests
@click.option(
    "--btf",
    metavar="[SPEC=]PATH|URL",
    multiple=True,
    help="BTF to relocate against on kernels that have none (on SPEC only: 6.1/i386=PATH): raw, in ELF, a folder with "
    "RELEASE.btf or DISTRIBUTION/VERSION/ARCH/RELEASE.btf.tar.xz, or a -dbg package (.deb, .ddeb). May be repeated.",
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
    type=choices.MEBIBYTES,
    metavar="MIB",
    help="Memory of each guest, where a case does not ask for some itself. [default: what its maps take, from 256]",
)
@click.option(
    "--memory-ceiling",
    "ceiling",
    type=choices.MEBIBYTES,
    metavar="MIB",
    help="The largest guest where no memory is asked for. [default: 4096, less where this host has less]",
)
@commands.options
@click.option("--strict-reads", is_flag=True, help="Fail what loads and reads other bytes than its author meant (≠).")
@choices.rules
@choices.loaders
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
    memory: int | None,
    ceiling: int | None,
    strict_reads: bool,
    rules: str,
    loaders: str | None,
    json_file: Path | None,
    folder: Path | None,
    verbose: int,
    **command: Any,
) -> int:
    """Relocate, load and run objects on kernels, a fresh kernel for each; or run a command of your own (--cmd).

    OBJ is a compiled object, a file that holds some (a program, a library; each gets a row FILE:NAME), a case.toml,
    or a folder of cases. Exit code: 0 all as expected, 1 a case failed, 2 usage, 3 a guest broke, 4 the harness broke,
    130 interrupted.
    """
    board, talk = Board(), Screen(stderr=True)
    cases = [
        replace(case, until=until, strict_reads=strict_reads or case.strict_reads).with_memory(memory).with_rules(rules)
        for case in commands.cases(objects, **command)
    ]
    wanted = crew.wanted(cases, loaders)
    supplies = [Supply.parse(text) for text in btf]
    columns = plan.columns(choices.specs(kernel_list), skip_missing=kernels_missing == "skip", progress=board)
    if all(column.missing for column in columns):
        raise UnknownKernel("none of these kernels is to be had", spec=kernel_list, where="--kernels")
    for column in columns:
        if column.resolved is not None:
            process.find(column.resolved.arch.qemu)
            commands.check(cases, column.resolved.arch)
    supply.check(supplies, [c.spec for c in columns], board)
    found = crew.Crew.of(wanted, lambda line: talk.print(f"everykernel: {line}", soft_wrap=True))
    cases = found.spread(cases, loaders)
    sizing = Sizing(ceiling)
    room.reserve((c.resolved, sizing.grant(case, c).machine) for c in columns if c.resolved for case in cases)
    known = [c.record() for c in columns]
    identity = identify(accel, process.version(process.find(DEFAULT.qemu)))
    if found.records:
        identity["loaders"] = found.records
    campaign = Campaign(
        columns,
        machine.Machines(accel, timeout, board),
        width=slots.cores(),
        slot=slots.slot,
        board=board,
        timeout=timeout,
        btf=supplies,
        sizing=sizing,
    )
    with _recorded(json_file, folder, identity, known) as ledger:
        cells = _Cells(campaign, ledger, btf)
        try:
            with closing(campaign):
                cells.schedule(cases)
                cells.watch(talk)
        except KeyboardInterrupt as e:
            cells.take(future for future in cells.futures if future.done())
            raise KeyboardInterrupt(ledger.tally()) from e
    _show(ledger, cells.reports(), campaign, verbose, found.records)
    if missing := ledger.missing():
        raise lost(missing)
    return exit_code(ledger.results)


@contextmanager
def _recorded(
    json_file: Path | None, folder: Path | None, identity: RunRecord, kernels: list[KernelRecord]
) -> Iterator[Ledger]:
    """Yield the ledger of a run, which writes what was asked for; in the end, files and report are closed."""
    writers: list[Writer] = []
    report = ReportFolder(folder, identity, kernels) if folder is not None else None
    if report is not None:
        writers.append(report.add)
    journal = Journal(json_file, identity, kernels) if json_file is not None else None
    if journal is not None:
        writers.append(lambda cell: journal.add(cell["result"], cell["kernel"]))
    ledger = Ledger(kernels, writers)
    try:
        yield ledger
    finally:
        if report is not None:
            report.close(ledger.results, ledger.kernels)
        if journal is not None:
            journal.close()


class _Cells:
    """The cells of a run, from the plan to the ledger."""

    def __init__(self, campaign: Campaign, ledger: Ledger, btf: tuple[str, ...]) -> None:
        self.futures: dict[Future[CellReport], tuple[Case, str]] = {}
        self._campaign = campaign
        self._board = campaign.board
        self._ledger = ledger
        self._btf = btf

    def schedule(self, cases: list[Case]) -> None:
        """Plan all cells, then have them run."""
        cells = [(case, c.spec) for case in cases for c in self._campaign.columns.values() if not c.missing]
        cells = [(case, spec) for case, spec in cells if crew.fits(case, self._campaign.columns[spec])]
        self._ledger.plan(self._campaign.name(spec, case) for case, spec in cells)
        for case, spec in cells:
            self._board.expect(spec)
            self.futures[self._campaign.run(spec, case)] = case, spec

    def watch(self, talk: Screen) -> None:
        """Wait for every cell, showing progress, and record each as it ends."""
        waiting = set(self.futures)
        self._board.announce = not talk.is_terminal
        with Live(console=talk, refresh_per_second=8, transient=True, auto_refresh=False) as live:
            while waiting:
                ended, waiting = wait(waiting, _INTERVAL, "FIRST_COMPLETED")
                self.take(ended)
                for message in self._board.messages():
                    talk.print(f"everykernel: {message}", soft_wrap=True)
                if talk.is_terminal:
                    live.update(Group(*(Text(line) for line in self._board.lines())), refresh=True)

    def take(self, ended: Iterable[Future[CellReport]]) -> None:
        """Record cells that ended, each once; one that was cancelled has no result."""
        for future in ended:
            if not future.cancelled() and future.exception() is None:
                report = future.result()
                report["result"]["again"] = _again(*self.futures[future], self._btf)
                self._ledger.add(report)

    def reports(self) -> list[CellReport]:
        """Return the reports in the order of the matrix."""
        return [f.result() for f in self.futures if not f.cancelled() and f.exception() is None]


def _again(case: Case, spec: str, btf: tuple[str, ...]) -> str:
    target = shlex.quote(str(case.path) if case.path is not None else case.shown)
    if case.path is None and case.command is not None:
        target = ""
    own = () if case.command is not None and case.path is None else commands.OPTIONS
    options = choices.given(*_OF_ANOTHER, *own) + supply.again(btf, spec) + crew.again(case)
    return " ".join(filter(None, ("everykernel run", target, f"--kernels {shlex.quote(spec)}{options}")))


def _show(
    ledger: Ledger, told: list[CellReport], campaign: Campaign, verbose: int, loaders: list[LoaderRecord]
) -> None:
    out = Screen()
    results = [report["result"] for report in told]
    terminal.show_matrix(out, results, ledger.kernels, loaders, unicode=terminal.has_unicode(out))
    out.print(campaign.cost.text())
    for note in campaign.cost.notes:
        out.print(screen.text(note), soft_wrap=True)
    terminal.show_failures(out, told, ledger.kernels, verbose=max(verbose, int(debugging())))
    if loaders:
        out.print()
        terminal.show_disagreements(out, disagreements.find(results), [kernel["spec"] for kernel in ledger.kernels])


def exit_code(results: list[CaseResult]) -> int:
    """Return the exit code of a run: what is worst about its cells."""
    found = {records.broke(r) or r.get("outcome", "") for r in results}
    if not found <= {records.PASSED, records.FAILED, "guest"}:
        return HarnessError.exit_code
    if "guest" in found:
        return GuestError.exit_code
    return CaseError.exit_code if records.FAILED in found else 0
