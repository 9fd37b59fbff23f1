"""What is measured of our own: guests, cases and the matrix, on kernels that are ready."""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from everykernel import wire
from everykernel.errors import HarnessError
from everykernel.kernels.model import Kernel
from everykernel.machine import RESTORED, Machines, slots
from everykernel.matrix import records
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.matrix.cell import run_cell
from everykernel.matrix.plan import Column


@dataclass(frozen=True)
class Speed:
    """How fast one kernel is had, in seconds, medians.

    Attributes:
        cold: from QEMU's exec to the agent's first answer, booting.
        restore: the same, from the snapshot.
        case: a whole case: fresh kernel, load, attach, trigger, check, verdict.
    """

    cold: float
    restore: float
    case: float


@dataclass(frozen=True)
class Matrix:
    """A run of all cases on all kernels, a fresh kernel for each cell.

    Attributes:
        cells: how many.
        unexpected: cells whose outcome was not as their case expects.
        seconds: wall time.
        cpu: processor seconds of this process and of its guests.
    """

    cells: int
    unexpected: int
    seconds: float
    cpu: float


def median(repetitions: int, action: Callable[[], object]) -> float:
    """Return the median duration of ``action`` in seconds; not a number where there are no repetitions."""
    durations = []
    for _ in range(repetitions):
        began = time.perf_counter()
        action()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations) if durations else math.nan


def speed(machines: Machines, kernel: Kernel, case: Case, *, repetitions: int, boots: int) -> Speed:
    """Measure one kernel; its snapshots are made first where they are not there.

    Raises HarnessError where a guest or the case does not do what is to be measured.
    """
    machines.prepare(kernel, case.machine)

    def boot() -> None:
        with machines.boot(kernel, case.machine) as guest:
            guest.request(wire.Ping())

    def restore() -> None:
        with machines.start(kernel, case.machine) as guest:
            guest.request(wire.Ping())
            if guest.start_kind != RESTORED:
                raise HarnessError("the guest was booted, not restored", where=kernel.spec)

    def whole() -> None:
        report = run_cell(lambda: machines.start(kernel, case.machine), kernel, case, timeout=machines.timeout)
        if report["result"]["outcome"] != records.PASSED:
            raise HarnessError(f"case {case.name} failed: {report['result']['message']}", where=kernel.spec)

    restore()  # brings the snapshot into the page cache, where it is in any run of more than one cell
    return Speed(median(boots, boot), median(repetitions, restore), median(repetitions, whole))


def matrix(machines: Machines, columns: Sequence[Column], cases: Sequence[Case]) -> Matrix:
    """Run every case on every kernel, as many at once as there are slots, and return what it took.

    It ends with the machines closed.
    """
    with closing(Campaign(columns, machines, width=slots.cores(), slot=slots.slot)) as campaign:
        for column in columns:
            campaign.ready(column.spec).result()
        began, cpu = time.perf_counter(), processor_seconds()
        cells = [campaign.run(column.spec, case) for case in cases for column in columns]
        outcomes = [cell.result()["result"]["outcome"] for cell in cells]
        seconds = time.perf_counter() - began
    unexpected = sum(outcome != records.PASSED for outcome in outcomes)
    return Matrix(len(cells), unexpected, seconds, processor_seconds() - cpu)


def processor_seconds() -> float:
    """Return the processor seconds of this process, of its children that ended, and of theirs."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
