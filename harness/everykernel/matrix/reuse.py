"""Cells that need not run: verdicts of earlier runs are taken where nothing of what decides them has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from everykernel import cache
from everykernel.errors import EverykernelError
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supply
from everykernel.machine import MachineSource, MachineSpec
from everykernel.matrix import cell, deciding, kept, records
from everykernel.matrix.case import Case
from everykernel.matrix.records import CaseResult, CellReport, RunRecord
from everykernel.matrix.sizing import Granted


class Key(NamedTuple):
    """What decides one cell.

    Attributes:
        machine: what decides its guests.
        digest: of all of it.
    """

    machine: str
    digest: str


class Reuse:
    """Takes and keeps the verdicts of one run.

    Args:
        run: its identity, which verdicts that are kept name.
        machines: what starts guests.
        supplies: BTF that was supplied for kernels without.
        take: whether verdicts are taken; if not, they are only kept.
        tell: hears, once, that verdicts cannot be kept.
    """

    def __init__(
        self,
        run: RunRecord,
        machines: MachineSource,
        supplies: Sequence[Supply] = (),
        *,
        take: bool = True,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.takes = take
        self._run = run
        self._machines = machines
        self._supplies = supplies
        self._tell = tell
        self._told = False
        self._decided: dict[tuple[Kernel, MachineSpec], str | None] = {}
        self._lock = threading.Lock()
        self._kept = 0

    def key(self, kernel: Kernel, granted: Granted) -> Key | None:
        """Return what decides a cell; None where that is not to be known."""
        try:
            machine = self._machine(kernel, granted.machine)
            digest = deciding.key(machine, kernel, granted, self._supplies)
        except (deciding.Undecided, EverykernelError, OSError):
            return None
        assert machine is not None
        return Key(machine, digest)

    def find(self, key: Key, kernel: Kernel, case: Case) -> CellReport | None:
        """Return the report of a cell whose verdict is known, under the names that it has in this run."""
        report = kept.find(kept.path(key.machine, key.digest))
        if report is None:
            return None
        now = cell.empty(kernel, case)
        names: CaseResult = {"object": now["object"], "case": now["case"], "kernel": now["kernel"]}
        report["result"].update({**names, "machine": now["machine"], "seconds": 0.0})
        report["kernel"].update(cell.kernel_record(kernel))
        records.note_accelerator(report["kernel"], self._machines.accelerator)
        return report

    def keep(self, key: Key, kernel: Kernel, granted: Granted, report: CellReport) -> None:
        """Keep a cell's verdict, if it is settled, and if nothing that decides it changed while the cell ran."""
        if not kept.settled(report) or self.key(kernel, granted) != key:
            return
        try:
            kept.keep(kept.path(key.machine, key.digest), report, self._run)
        except EverykernelError as e:
            with self._lock:
                new, self._told = not self._told, True
            if new:
                self._tell(f"verdicts are not kept: {e}")
            return
        with self._lock:
            self._kept += 1

    def close(self) -> None:
        """Bound what is kept, where this run added to it, and note what it used."""
        for machine in filter(None, self._decided.values()):
            cache.touch(cache.entry(kept.FOLDER, machine))
        if self._kept:
            kept.trim()

    def _machine(self, kernel: Kernel, spec: MachineSpec) -> str | None:
        with self._lock:
            if (kernel, spec) not in self._decided:
                self._decided[kernel, spec] = self._machines.decides(kernel, spec)
            return self._decided[kernel, spec]
