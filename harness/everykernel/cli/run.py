"""``everykernel run``: objects and cases on kernels, without pytest."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from everykernel import settings
from everykernel.architectures import DEFAULT
from everykernel.cli import again, choices, chosen, commands, debugging, gating, say
from everykernel.cli.chosen import Chosen
from everykernel.errors import CaseError, EverykernelError, GuestError, HarnessError, UsageError
from everykernel.gates import policy as policies
from everykernel.gates.gate import Gate
from everykernel.kernels.supplied import Supply
from everykernel.machine import process, room, slots
from everykernel.matrix import crew, plan, records, supply
from everykernel.matrix import shard as sharding
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.matrix.ledger import Ledger, Writer, lost
from everykernel.matrix.progress import Board
from everykernel.matrix.records import SCHEMA, CaseResult, CellReport, KernelRecord, LoaderRecord, RunRecord
from everykernel.matrix.results import Journal, Results, identify
from everykernel.matrix.reuse import Reuse
from everykernel.matrix.shard import Shard
from everykernel.matrix.sizing import Sizing
from everykernel.matrix.stream import Stream
from everykernel.report import disagreements, screen, terminal
from everykernel.report.folder import ReportFolder
from everykernel.report.screen import Screen

if TYPE_CHECKING:
    from everykernel.machine.ssh import Targets

_INTERVAL = 0.1  # seconds between paints
_OF_ANOTHER = (
    "kernel_list",
    "twin_list",
    "target_list",
    "from_report",
    "failed",
    "shard",
    "retries",
    "reuse",
    "kernels_missing",
    "btf",
    "loaders",
    "json_file",
    "json_stream",
    "folder",
    "cluster",
    *gating.NAMES,
)  # parameters of this run alone


@click.command(cls=choices.ProjectCommand)
@click.argument("objects", nargs=-1, metavar="OBJ...")
@choices.kernels_or_report
@choices.twins
@choices.targets
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
@choices.machine
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
@click.option(
    "--retries",
    type=choices.TIMES,
    default=settings.USUAL_RETRIES,
    show_default=True,
    metavar="N",
    help="How often a cell whose guest or harness broke is run again, at most; a verdict never is.",
)
@choices.reuse
@commands.options
@click.option(
    "--shard",
    metavar="I/N",
    help="Run the I-th of N parts of all cells (2/4); `everykernel report merge` puts their reports together.",
)
@click.option(
    "--cluster",
    metavar="tcp://HOST:8786",
    help="Run the cells on the workers of this scheduler (docs/cluster.md). [default: on this machine]",
)
@click.option("--strict-reads", is_flag=True, help="Fail what loads and reads other bytes than its author meant (≠).")
@choices.rules
@choices.loaders
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the results to FILE.")
@click.option(
    "--json-stream",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Tell another program what happens, a JSON object a line, in a file, a FIFO or /dev/fd/N.",
)
@click.option("--report", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write results and evidence.")
@gating.options
@click.option("-v", "--verbose", count=True, help="Show logs whole, and tracebacks of defects.")
def run(
    objects: tuple[str, ...],
    kernel_list: str | None,
    twin_list: str | None,
    target_list: tuple[str, ...],
    kernels_missing: str,
    from_report: Path | None,
    failed: bool,
    shard: str | None,
    loaders: str | None,
    retries: int,
    reuse: bool | None,
    json_file: Path | None,
    json_stream: Path | None,
    folder: Path | None,
    baseline: Path | None,
    update_baseline: bool,
    partial: bool,
    verbose: int,
    **options: Any,
) -> int:
    """Relocate, load and run objects on kernels, a fresh kernel for each; or run a command of your own (--cmd).

    OBJ is a compiled object, a file that holds some (a program, a library; each gets a row FILE:NAME), a case.toml,
    or a folder of cases. Exit code: 0 all as expected, 1 a case failed, 2 usage, 3 a guest broke, 4 the harness broke,
    130 interrupted.
    """
    part = Shard.parse(shard) if shard is not None else None
    some = True if partial or part is not None or from_report is not None else None
    policy = policies.of_project(settings.read(Path.cwd()), baseline=gating.named(), partial=some)
    gate = gating.gate(policy, update_baseline)
    board, talk, context = Board(), Screen(stderr=True), click.get_current_context()

    def tell(line: str) -> None:
        talk.print(f"everykernel: {line}", soft_wrap=True)

    asked = _asked(from_report, failed, tell) if from_report is not None or failed else None
    if asked is not None:
        if not asked:
            return 0
        options |= again.shared(asked, again.given(context))
        kernel_list = kernel_list or ",".join(dict.fromkeys(one.spec for one in asked))
    kernel_list = _named(context, kernel_list, twin_list, target_list)
    if asked is None:  # a report's kernels are called as they were
        kernel_list = chosen.on_machines(kernel_list, options["machine"])
    supplies = [Supply.parse(text) for text in options["btf"]]
    here = options["cluster"] is None
    targets = chosen.targets(kernel_list, options, board)
    columns = chosen.kernels(
        kernel_list, skip_missing=kernels_missing == "skip", progress=board, targets=targets, qemu=here
    )
    supply.check(supplies, [c.spec for c in columns], board)
    if asked is None:
        cells = chosen.of_objects(objects, columns, loaders, options, tell)
    else:
        cells = chosen.of_report(asked, columns, tell)
    if part is not None:
        cells = cells.part(part)
        tell(sharding.told(part, cells.cells, cells.total))
    files = (json_file, json_stream, folder)
    return _run(cells, _Whole(board, talk, targets, supplies, part, retries, reuse, *files, verbose, gate, options))


def _named(context: click.Context, kernel_list: str | None, twin_list: str | None, target_list: tuple[str, ...]) -> str:
    """Return the kernels, twins and targets that a run is on; raise MissingParameter where there are none."""
    kernels = choices.with_twins(kernel_list, twin_list)
    if not kernels and not target_list:
        option = next(option for option in context.command.params if option.name == "kernel_list")
        raise click.MissingParameter(ctx=context, param=option)
    return ",".join([*filter(None, [kernels]), *settings.targets(target_list)])


class _Whole(NamedTuple):
    """What holds for a run as a whole."""

    board: Board
    talk: Screen
    targets: Targets | None
    supplies: list[Supply]
    shard: Shard | None
    retries: int
    reuse: bool | None
    json_file: Path | None
    json_stream: Path | None
    folder: Path | None
    verbose: int
    gate: Gate
    options: dict[str, Any]


def _asked(report: Path | None, failed: bool, say: chosen.Say) -> list[again.Asked]:
    if report is None:
        raise UsageError("of which report?", where="--failed", remedy="--from-report FILE --failed")
    return chosen.from_report(report, failed=failed, say=say)


def _run(cells: Chosen, whole: _Whole) -> int:
    """Run cells, show what came of them, and return the exit code; whoever reads the stream hears it last."""
    if whole.json_stream is None:
        return _told(cells, whole, None)
    stream, code = Stream(whole.json_stream, whole.board.note), None
    try:
        code = _told(cells, whole, stream)
    except EverykernelError as e:
        code = e.exit_code
        raise
    finally:
        stream.end(whole.board.standing(), code)
    return code


def _told(cells: Chosen, whole: _Whole, stream: Stream | None) -> int:
    """Run cells, show what came of them, and return the exit code."""
    identity: RunRecord = {"retries": whole.retries}
    if whole.shard is not None:
        identity["shard"] = str(whole.shard)
    if cells.crew.records:
        identity["loaders"] = cells.crew.records
    campaign = (_here if whole.options["cluster"] is None else _elsewhere)(cells, whole, identity)
    campaign.describe(identity)
    if stream is not None:
        stream.begin(identity, [c.spec for c in cells.columns], len(cells.cells))
    with _recorded(whole, identity, [c.record() for c in cells.columns], stream) as ledger:
        running = _Cells(campaign, ledger, whole.options["btf"], cells.again)
        try:
            with closing(campaign):
                running.schedule(cells.cells)
                running.watch(whole.talk, stream)
        except KeyboardInterrupt as e:
            running.take(future for future in running.futures if future.done())
            raise KeyboardInterrupt(ledger.tally()) from e
    _show(ledger, running.reports(), campaign, whole.verbose, cells.crew.records)
    if missing := ledger.missing():
        raise lost(missing)
    if not ledger.results and whole.shard is not None:
        return 0  # the other shards have them all
    if not ledger.results:
        raise HarnessError("nothing ran: no loader that is there runs on one of these kernels")
    return _pass(whole.gate, {"schema": SCHEMA, "run": identity, "results": ledger.results, "kernels": ledger.kernels})


def _here(cells: Chosen, whole: _Whole, identity: RunRecord) -> Campaign:
    """Return the campaign of a run on this machine, whose record says which that is; there has to be room for it."""
    options, sizing = whole.options, Sizing(whole.options["ceiling"])
    resolved = {c.spec: c for c in cells.columns if c.resolved and not c.is_target}
    guests = [(case, resolved[s]) for case, s in cells.cells if s in resolved and resolved[s].is_restored]
    room.reserve((column.resolved, sizing.grant(case, column).machine) for case, column in guests)  # type: ignore[misc]
    identity.update(identify(options["accel"], process.version(process.find(DEFAULT.qemu)) if resolved else ""))
    machines = chosen.machines(options, whole.targets, whole.board)
    reuse = None
    if whole.reuse is not None:
        reuse = Reuse(identity, machines, whole.supplies, take=whole.reuse, tell=whole.board.note)
    return Campaign(
        cells.columns,
        machines,
        width=slots.cores(),
        slot=slots.slot,
        board=whole.board,
        timeout=options["timeout"],
        btf=whole.supplies,
        sizing=sizing,
        retries=whole.retries,
        reuse=reuse,
    )


def _elsewhere(cells: Chosen, whole: _Whole, identity: RunRecord) -> Campaign:
    """Return the campaign of a run on a cluster, whose record names the workers."""
    from everykernel.cluster.campaign import ClusterCampaign

    options = whole.options
    if whole.reuse is not None:
        remedy = "leave out one of them"
        raise UsageError("does not go with --reuse and --fresh", where="--cluster", remedy=remedy)
    identity.update(identify(options["accel"], ""))
    return ClusterCampaign(
        options["cluster"],
        cells.columns,
        chosen.machines(options, None, whole.board),
        accel=options["accel"],
        ceiling=options["ceiling"],
        board=whole.board,
        timeout=options["timeout"],
        btf=whole.supplies,
        retries=whole.retries,
    )


def _pass(gate: Gate, results: Results) -> int:
    """Hold the gate against a run, where there is one; return the exit code."""
    if not gate.policy.asks:
        return exit_code(results["results"])
    judged = gate.judge(results)
    gating.tell(gate, judged, results, say.out)
    return judged.verdict.exit_code


@contextmanager
def _recorded(
    whole: _Whole, identity: RunRecord, kernels: list[KernelRecord], stream: Stream | None
) -> Iterator[Ledger]:
    """Yield the ledger of a run, which writes what was asked for; in the end, files and report are closed."""
    writers: list[Writer] = []
    report = ReportFolder(whole.folder, identity, kernels) if whole.folder is not None else None
    if report is not None:
        writers.append(report.add)
    journal = Journal(whole.json_file, identity, kernels) if whole.json_file is not None else None
    if journal is not None:
        writers.append(lambda cell: journal.add(cell["result"], cell["kernel"]))
    if stream is not None:
        writers.append(stream.cell)
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

    def __init__(self, campaign: Campaign, ledger: Ledger, btf: tuple[str, ...], again: dict[str, str]) -> None:
        self.futures: dict[Future[CellReport], tuple[Case, str]] = {}
        self._campaign = campaign
        self._board = campaign.board
        self._ledger = ledger
        self._btf = btf
        self._again = again

    def schedule(self, cells: Sequence[tuple[Case, str]]) -> None:
        """Plan all cells, then have them run."""
        self._ledger.plan(self._campaign.name(spec, case) for case, spec in cells)
        for case, spec in cells:
            self._campaign.expect(spec, case)
        for case, spec in cells:
            self.futures[self._campaign.run(spec, case)] = case, spec

    def watch(self, talk: Screen, stream: Stream | None = None) -> None:
        """Wait for every cell, showing progress, and record each as it ends."""
        waiting = set(self.futures)
        self._board.announce = not talk.is_terminal
        with Live(console=talk, refresh_per_second=8, transient=True, auto_refresh=False) as live:
            while waiting:
                ended, waiting = wait(waiting, _INTERVAL, "FIRST_COMPLETED")
                self.take(ended)
                for message in self._board.messages():
                    talk.print(f"everykernel: {message}", soft_wrap=True)
                    if stream is not None:
                        stream.note(message)
                if stream is not None:
                    stream.stands(self._board.standing())
                if talk.is_terminal:
                    live.update(Group(*(Text(line) for line in self._board.lines())), refresh=True)

    def take(self, ended: Iterable[Future[CellReport]]) -> None:
        """Record cells that ended, each once; one that was cancelled has no result."""
        for future in ended:
            if not future.cancelled() and future.exception() is None:
                report = future.result()
                case, spec = self.futures[future]
                known = self._again.get(plan.identity(case, self._campaign.column(spec)))
                report["result"]["again"] = known or _again(case, spec, self._btf)
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
    given = click.get_current_context().params
    named = settings.again(spec, given["machine"])
    if given["reuse"] is not None:
        options += " --fresh"
    return " ".join(filter(None, ("everykernel run", target, f"--kernels {shlex.quote(named)}{options}")))


def _show(
    ledger: Ledger, told: list[CellReport], campaign: Campaign, verbose: int, loaders: list[LoaderRecord]
) -> None:
    out = Screen()
    results = [report["result"] for report in told]
    terminal.show_matrix(out, results, ledger.kernels, loaders, unicode=terminal.has_unicode(out))
    terminal.show_twins(out, results, ledger.kernels)
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
