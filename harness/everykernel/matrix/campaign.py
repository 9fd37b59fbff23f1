"""A campaign: all that one run shares. Its kernels, its machines, its schedule, and what they cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from everykernel.errors import UsageError
from everykernel.kernels.model import BOOTED, Kernel
from everykernel.kernels.supplied import Supply
from everykernel.machine import Guest, MachineSource, MachineSpec, Prepared
from everykernel.matrix import plan, records
from everykernel.matrix.case import Case
from everykernel.matrix.cell import run_cell
from everykernel.matrix.plan import Column
from everykernel.matrix.progress import Board
from everykernel.matrix.records import CellReport, RunRecord
from everykernel.matrix.reuse import Reuse
from everykernel.matrix.schedule import Schedule
from everykernel.matrix.sizing import Granted, Sizing

Keep = Callable[[Guest, CellReport], None]


@dataclass
class Cost:
    """What a run took to make its kernels ready.

    Attributes:
        made: by kernel and machine: whether it had to be booted (False: its snapshot was there).
        notes: what went wrong on the way ("6.1: boot 1 of 3 failed: …").
    """

    made: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, spec: str, machine: MachineSpec, prepared: Prepared) -> None:
        """Count a kernel that was made ready."""
        self.made[f"{spec} {machine}"] = prepared.booted
        self.notes.extend(f"{spec}: {note}" for note in prepared.notes)

    def merge(self, made: dict[str, bool], notes: list[str]) -> None:
        """Add what another process counted: a kernel that one of them booted was booted once."""
        for kernel, booted in made.items():
            self.made[kernel] = self.made.get(kernel, False) or booted
        self.notes.extend(note for note in notes if note not in self.notes)

    def text(self) -> str:
        """Return the line that ends a report: how many kernels were booted, how many snapshots reused."""
        if not self.made:
            return "nothing was booted"
        booted = sum(self.made.values())
        return f"{_count(booted, 'kernel')} booted, {_count(len(self.made) - booted, 'snapshot')} reused"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


class Campaign:
    """Runs cases on kernels, and lends guests. `close` it: every guest ends with it.

    Args:
        columns: the kernels.
        machines: what starts guests.
        width: cells at once in this process.
        slot: context of one cell, shared by all processes of the machine.
        board: where progress is shown.
        timeout: seconds a guest may take to answer a request that has no deadline of its own.
        btf: BTF that was supplied for kernels without.
        sizing: decides how large guests are.
        retries: how often a cell whose guest or harness broke is run again at most; a verdict never is.
        reuse: takes and keeps verdicts; None: every cell is run.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        machines: MachineSource,
        *,
        width: int = 2,
        slot: Callable[[], AbstractContextManager[object]] = nullcontext,
        board: Board | None = None,
        timeout: float = 60.0,
        btf: Sequence[Supply] = (),
        sizing: Sizing | None = None,
        retries: int = 0,
        reuse: Reuse | None = None,
    ) -> None:
        self.columns = {c.spec: c for c in columns}
        self.machines = machines
        self.board = board if board is not None else Board()
        self.timeout = timeout
        self.btf = btf
        self.sizing = sizing if sizing is not None else Sizing()
        self.retries = retries
        self.reuse = reuse
        self.cost = Cost()
        self._schedule = Schedule(width, slot)
        self._ready: dict[tuple[str, MachineSpec], Future[Kernel]] = {}
        self._here: dict[str, Future[Kernel]] = {}
        self._turns: dict[str, Future[CellReport]] = {}  # the last cell of each target
        self._lock = threading.Lock()
        self._closed = False

    def column(self, spec: str) -> Column:
        """Return a column; raise UsageError where the campaign has no such kernel."""
        try:
            return self.columns[spec]
        except KeyError:
            raise UsageError(f"kernel {spec!r} is not part of this run", remedy=f"--kernels {spec}") from None

    def ready(self, spec: str, machine: MachineSpec | None = None) -> Future[Kernel]:
        """Return the future in which a kernel is fetched and its snapshots are made, once for each machine."""
        machine = machine or MachineSpec()
        with self._lock:
            future = self._ready.get((spec, machine))
            if future is None:
                future = self._schedule.make(lambda: self._make(spec, machine))
                self._ready[spec, machine] = future
            return future

    def run(self, spec: str, case: Case, *, keep: Keep | None = None) -> Future[CellReport]:
        """Schedule a cell and return its future; the report says it where the kernel or its guest could not be had."""
        column = self.column(spec)
        granted = self.sizing.grant(case, column)

        def fresh() -> Future[CellReport]:
            ready: Future[Any] = self.ready(spec, granted.machine)
            if column.is_target:  # which takes one cell after the other
                ready = self._turns.get(spec, ready)
            cell = self._schedule.cell(
                ready,
                lambda: self._kept(spec, granted, keep),
                lambda error: self._unready(spec, case, error),
                elsewhere=column.is_target,
            )
            if column.is_target:
                self._turns[spec] = cell
            return cell

        if self.reuse is None or not self.reuse.takes or column.is_target:
            return fresh()
        return self._schedule.sooner(self._fetched(spec), lambda: self._known(spec, granted, keep), fresh)

    def expect(self, spec: str, case: Case) -> None:
        """Have the board count a cell that is going to be run."""
        self.board.expect(spec, machine=case.machine_words)

    def describe(self, run: RunRecord) -> None:
        """Have a run's record say where its cells are run; nothing, where that is the host that it names."""

    def name(self, spec: str, case: Case) -> str:
        """Return what a cell is called in a plan, as `records.name` calls its result."""
        return records.name(records.plain(plan.empty(case, self.column(spec))))

    def start(self, spec: str, machine: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        """Return a guest with a fresh kernel for the caller to close; wait for its kernel to be ready.

        Raises:
            DownloadError, CacheError: the kernel cannot be had.
            GuestError: it does not come up.
        """
        kernel = self.ready(spec, machine).result()
        return self.machines.start(kernel, machine or MachineSpec(), ahead=ahead)

    def start_later(self, spec: str, machine: MachineSpec | None = None, *, ahead: bool = False) -> Future[Guest]:
        """Return the future of `start`, so that the caller can show progress, or do something else meanwhile."""
        self.ready(spec, machine)
        return self._schedule.make(lambda: self.start(spec, machine, ahead=ahead))

    def close(self) -> None:
        """Cancel what has not begun, end every guest, and wait for the threads."""
        self._closed = True
        self.board.cancel()
        self._schedule.cancel()
        self.machines.close()
        self._schedule.close()
        if self.reuse is not None:
            self.reuse.close()

    def _fetched(self, spec: str) -> Future[Kernel]:
        """Return the future in which a kernel's files are here; nothing is booted."""
        with self._lock:
            if spec not in self._here:
                self._here[spec] = self._schedule.make(lambda: self._fetch(spec))
            return self._here[spec]

    def _fetch(self, spec: str) -> Kernel:
        try:
            self.board.phase(spec, "fetching")
            return self.column(spec).kernel(self.board)
        finally:
            self.board.phase(spec, "")

    def _make(self, spec: str, machine: MachineSpec) -> Kernel:
        kernel = self._fetch(spec)
        try:
            self.board.phase(spec, "making ready")
            prepared = self.machines.prepare(kernel, machine)
        finally:
            self.board.phase(spec, "")
        if kernel.target in BOOTED:
            with self._lock:
                self.cost.add(spec, machine, prepared)
        return kernel

    def _known(self, spec: str, granted: Granted, keep: Keep | None) -> CellReport | None:
        """Return the report of a cell whose verdict is known; a failure is run where its guest is to be looked at."""
        assert self.reuse is not None
        kernel = self.column(spec).kernel()
        key = self.reuse.key(kernel, granted)
        report = self.reuse.find(key, kernel, granted.case) if key is not None else None
        if report is None or (keep is not None and report["result"]["outcome"] != records.PASSED):
            return None
        self.board.ended(spec, report["result"]["outcome"], machine=granted.case.machine_words, reused=True)
        return report

    def _kept(self, spec: str, granted: Granted, keep: Keep | None) -> CellReport:
        """Run a cell, and keep its verdict where that was asked for."""
        if self.ready(spec, granted.machine).exception() is not None:
            return self._cells(spec, granted, keep)
        with self.board.running(spec, machine=granted.case.machine_words):
            return self._keeping(spec, granted, keep)

    def _keeping(self, spec: str, granted: Granted, keep: Keep | None) -> CellReport:
        if self.reuse is None:
            return self._cells(spec, granted, keep)
        kernel, first = self.column(spec).kernel(), replace(granted, notes=list(granted.notes))
        key = self.reuse.key(kernel, first)
        report = self._cells(spec, granted, keep)
        if key is not None:
            self.reuse.keep(key, kernel, first, report)
        return report

    def _cells(self, spec: str, granted: Granted, keep: Keep | None) -> CellReport:
        """Run a cell, again where its guest or the harness broke; the attempts before are kept in its result.

        A kernel that could not be made ready is not tried again: its boot had attempts of its own, for all cells. Nor
        is a cell of a target: what broke there stays broken, and is for its owner to look at.
        """
        earlier: list[CellReport] = []
        target = self.column(spec).is_target
        retries = 0 if target else self.retries

        def keep_last(guest: Guest, report: CellReport) -> None:
            if keep is not None and not (records.broke(report["result"]) and len(earlier) < retries):
                keep(guest, report)

        while True:
            report = self._sized(spec, granted, keep_last)
            unready = self.ready(spec, granted.machine).exception() is not None
            if unready or len(earlier) >= retries or not records.broke(report["result"]):
                break
            earlier.append(report)
            result = report["result"]
            self.board.note(f"{records.name(result)}: {result['code']}: {result['message']}; it is run again")
        records.keep_attempts(report, earlier)
        if not target:
            records.note_accelerator(report["kernel"], self.machines.accelerator)
        outcome = report["result"].get("outcome", records.ERROR)
        self.board.ended(spec, outcome, machine=granted.case.machine_words)
        return report

    def _sized(self, spec: str, granted: Granted, keep: Keep) -> CellReport:
        """Run a cell, again in a larger guest for as long as its kernel runs out of memory and one may be had."""

        def keep_last(guest: Guest, report: CellReport) -> None:
            if self.sizing.larger(granted, report) is None:
                keep(guest, report)

        while True:
            report = self._cell(spec, granted, keep_last)
            memory = self.sizing.larger(granted, report)
            if memory is None:
                break
            granted.grow(memory, report)
        self.sizing.tell(granted, report)
        return report

    def _cell(self, spec: str, granted: Granted, keep: Keep) -> CellReport:
        case, machine = granted.case, granted.machine
        ready = self.ready(spec, machine)
        error = ready.exception()
        if error is None:
            kernel = ready.result()
            report = run_cell(
                lambda: self.machines.start(kernel, machine),
                kernel,
                case,
                timeout=self.timeout,
                btf=self.btf,
                keep=keep,
            )
        else:
            report = self._unready(spec, case, error)
        if self._closed and report["result"].get("outcome") == records.ERROR:
            raise CancelledError  # its guest did not break: it was ended
        return report

    def _unready(self, spec: str, case: Case, error: BaseException) -> CellReport:
        """Return the report of a cell that never began: no kernel could be made ready (the first failure is kept for
        all), or no slot had.
        """
        report: CellReport = {
            "result": plan.empty(case, self.column(spec)),
            "kernel": self.column(spec).record(),
            "console": "",
        }
        records.break_result(report, error if isinstance(error, Exception) else RuntimeError(str(error)))
        made: CellReport = records.plain(report)
        return made
