"""A campaign whose cells are run by a cluster; guests that tests ask for themselves stay on this machine."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

from everykernel.cluster import address as addresses
from everykernel.cluster.client import Cluster, Work
from everykernel.cluster.gate import Answer
from everykernel.cluster.job import Settings
from everykernel.cluster.packing import Packer
from everykernel.errors import HarnessError, UsageError
from everykernel.kernels.model import Kernel
from everykernel.matrix import plan, records
from everykernel.matrix.campaign import Campaign, Keep
from everykernel.matrix.case import Case
from everykernel.matrix.records import CellReport, HostRecord, RunRecord, WorkerRecord
from everykernel.settings import VNG, machine_of


class ClusterCampaign(Campaign):
    """Runs cases on kernels, on the workers of a scheduler. `close` it.

    Args:
        url: the scheduler's address.
        accel, ceiling: as the run was asked for, for the workers.
        others: as of `Campaign`.

    Attributes:
        workers: who ran cells, as they become known.

    Raises UsageError for an address that is none, or is public and without TLS, for targets, and for guests with this
    host's user space; ToolMissing without the extra; HarnessError where no scheduler answers.
    """

    def __init__(self, url: str, *others: Any, accel: str = "auto", ceiling: int | None = None, **more: Any) -> None:
        super().__init__(*others, **more)
        if target := next((column.spec for column in self.columns.values() if column.is_target), ""):
            remedy = "run targets by themselves, without --cluster"
            raise UsageError(f"{target} is a target, which runs where it is", where="--cluster", remedy=remedy)
        if ours := next((spec for spec in self.columns if machine_of(spec)[1] == VNG), ""):
            text = f"{ours} has this host's user space, and workers have their own"
            raise UsageError(text, where="--cluster", remedy="leave @vng out")
        self.workers: list[WorkerRecord] = []
        self._host: HostRecord = {}
        self._packs: dict[str, Future[tuple[Kernel, tuple[str, str]]]] = {}
        self._packs_lock = threading.Lock()
        addresses.require()
        address = addresses.parse(url)
        addresses.check(address, "--cluster")
        settings = Settings(accel, self.timeout, self.retries, ceiling)
        self._packer = Packer(uuid.uuid4().hex[:12], settings, self.btf)
        self._cluster = Cluster(address, self._packer, self.board.note)

    def describe(self, run: RunRecord) -> None:
        """Have a run's record name the workers, as they become known."""
        self._host = run["host"]
        run["workers"] = self.workers

    def run(self, spec: str, case: Case, *, keep: Keep | None = None) -> Future[CellReport]:
        """Send a cell to the cluster and return its future; no guest of it can be kept."""
        cell: Future[CellReport] = Future()
        packed = self._packed(spec)
        packed.add_done_callback(partial(self._send, spec, case, cell))
        return cell

    def close(self) -> None:
        """End what is under way, on the workers too, and every guest here."""
        self._closed = True
        self._cluster.close()
        super().close()

    # --- on the way there

    def _packed(self, spec: str) -> Future[tuple[Kernel, tuple[str, str]]]:
        """Return the future in which a kernel is here, with the digests under which it travels."""
        with self._packs_lock:
            if spec not in self._packs:
                self._packs[spec] = self._schedule.make(lambda: self._pack(spec))
            return self._packs[spec]

    def _pack(self, spec: str) -> tuple[Kernel, tuple[str, str]]:
        try:
            self.board.phase(spec, "fetching")
            kernel = self.column(spec).kernel(self.board)
            self.board.phase(spec, "packing")
            return kernel, self._packer.pack(kernel, self.board)
        finally:
            self.board.phase(spec, "")

    def _send(self, spec: str, case: Case, cell: Future[CellReport], packed: Future[Any]) -> None:
        if packed.cancelled() or (error := packed.exception()) is not None:
            self._settle(case, cell, self._unready(spec, case, CancelledError() if packed.cancelled() else error))  # type: ignore[arg-type]
            return
        kernel, digests = packed.result()
        resolved = self.column(spec).resolved
        assert resolved is not None
        asked = records.plain(plan.empty(case, self.column(spec)))
        work = Work(
            lambda: self._packer.job(kernel, resolved.package, digests, case),
            asked,
            partial(self.board.running, spec, machine=case.machine_words),
        )
        work.done.add_done_callback(lambda done: self._ended(spec, case, cell, work))
        self._cluster.run(work)

    # --- on the way back

    def _ended(self, spec: str, case: Case, cell: Future[CellReport], work: Work) -> None:
        """Make a cell's report of what came back, or of why nothing did."""
        if work.done.cancelled():
            cell.cancel()
            return
        error = work.done.exception()
        earlier = [self._lost(spec, case, name) for name in work.lost]
        for answer in work.unable:
            told = self._taken(answer)
            earlier += [*told.pop("earlier", []), told]
        report = self._unready(spec, case, error) if error is not None else self._taken(work.done.result())
        records.keep_attempts(report, [*earlier, *report.get("earlier", [])])
        self._settle(case, cell, report)

    def _settle(self, case: Case, cell: Future[CellReport], report: CellReport) -> None:
        if self._closed and report["result"].get("outcome") == records.ERROR:
            cell.cancel()  # it was ended, and did not break
            return
        outcome = report["result"].get("outcome", records.ERROR)
        self.board.ended(report["result"]["kernel"], outcome, machine=case.machine_words)
        if cell.set_running_or_notify_cancel():
            cell.set_result(report)

    def _taken(self, answer: Answer) -> CellReport:
        """Return the report of an answer, with the worker in it; note who that is, and what the kernel took there."""
        report, worker = answer.report, answer.worker
        name = worker["name"]
        for one in [report, *report.get("earlier", [])]:
            one["result"]["worker"] = name
        with self._lock:
            if worker not in self.workers:
                self.workers.append(worker)
                self._host["qemu"] = ", ".join(sorted({one["qemu"] for one in self.workers}))
            made = {f"{name} {kernel}": booted for kernel, booted in answer.made.items()}
            self.cost.merge(made, [f"{name}: {note}" for note in answer.notes])
        return report

    def _lost(self, spec: str, case: Case, name: str) -> CellReport:
        """Return the report of a cell whose worker was lost while it had it."""
        report = self._unready(spec, case, HarnessError(f"worker {name} was lost while it had this cell"))
        report["result"]["worker"] = name
        return report
