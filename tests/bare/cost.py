"""What a guest without Python costs beside one that has it: ``python -m tests.bare.cost [SPEC]``.

The size of the program, of the image and of a snapshot; from the boot to the first answer, from a restore to it; then a
cell: restored, an object loaded, ended. Wall seconds, the median of several, alternating: both meet the same host.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

from rich.console import Console

from everykernel import folders, images, wire
from everykernel.compile import compile_all, jobs
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines, MachineSpec
from everykernel.machine.running import QemuGuest
from everykernel.machine.spec import KINDS
from everykernel.matrix import plan
from everykernel.remote import program

OBJECT = "ringbuf_events"


def used() -> float:
    """Return the processor seconds of this process and of the QEMUs that ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measured(tasks: dict[str, Callable[[], float]], times: int) -> dict[str, tuple[float, float]]:
    """Return for each task the medians of what it tells (seconds) and of the processor's."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(times):
        for name, task in tasks.items():
            before = used()
            told = task()
            found[name].append((told, used() - before))
    return {n: (statistics.median(w for w, _ in f), statistics.median(c for _, c in f)) for n, f in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("spec", nargs="?", default="6.1")
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--boots", type=int, default=3)
    arguments = parser.parse_args()
    compile_all(jobs([OBJECT]))
    out = Console(highlight=False, soft_wrap=True)
    (column,) = plan.columns([arguments.spec])
    kernel = column.kernel()
    data = (folders.data("cases") / OBJECT / "build" / kernel.arch.name / "prog.bpf.o").read_bytes()
    sizes = {kind: built.path.stat().st_size for kind, built in
             zip(KINDS, (images.build(kernel.arch), images.bare.build(kernel.arch)))}  # fmt: skip
    out.print(f"{arguments.spec}: the program has {program.build(kernel.arch).stat().st_size} bytes; images {sizes}")
    with Machines("tcg") as machines:
        for kind in KINDS:
            spec = MachineSpec(kind=kind)
            snapshot = machines.snapshot(kernel, spec).memory
            out.print(f"  {kind}: a snapshot's memory takes {snapshot.stat().st_blocks >> 11} MiB")
        _measure(out, machines, kernel, data, (arguments.boots, arguments.times))


def _measure(out: Console, machines: Machines, kernel: Kernel, data: bytes, rounds: tuple[int, int]) -> None:
    exchanges: list[int] = []

    def start(kind: str, *, cold: bool = False) -> float:
        began = time.perf_counter()
        with (machines.boot if cold else machines.start)(kernel, MachineSpec(kind=kind)) as guest:
            assert guest.facts.release
            return time.perf_counter() - began

    def cell(kind: str) -> float:
        began = time.perf_counter()
        with machines.start(kernel, MachineSpec(kind=kind)) as guest:
            agent = guest.wake().agent if isinstance(guest, QemuGuest) else None
            before = agent.line.exchanges if agent is not None else 0
            assert guest.request(wire.Load(OBJECT, data)).load["status"] == "passed"
            if agent is not None:
                exchanges.append(agent.line.exchanges - before)
        return time.perf_counter() - began

    boots, times = rounds
    for what, task, often in (
        ("boot to first answer", lambda kind: start(kind, cold=True), boots),
        ("restore to first answer", start, times),
        (f"a cell: {OBJECT} up to load", cell, times),
    ):
        told = measured({kind: (lambda kind=kind, task=task: task(kind)) for kind in KINDS}, often)  # type: ignore[misc]
        out.print(f"  {what}: " + ", ".join(f"{kind} {w:.2f} s ({c:.2f} core-s)" for kind, (w, c) in told.items()))
    out.print(f"  exchanges to load it: {exchanges[-1]}")


if __name__ == "__main__":
    main()
