"""What a cluster costs a cell: time and memory of client, scheduler and worker, with guests that answer at once.

    python -m tests.cluster.scale [CELLS]...        nox -s cluster_scale

Prints a row for each number of cells, the slope between the first and the last, and what a million would take by it.
Wall time is of a machine that does nothing else, or it says little; processor time is of any.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from tests import faking
from tests.cluster.conftest import Machines

KERNELS = tuple(faking.RELEASES)
MILLION = 1_000_000
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Row:
    """One run: seconds of wall and processor time, and MiB at the most of each process."""

    cells: int
    wall: float
    client: float
    scheduler: float
    worker: float
    client_mib: float
    scheduler_mib: float
    worker_mib: float


HEAD = "   cells    wall s  client s   sched. s  worker s  client MiB  sched. MiB  worker MiB"


def main(counts: list[int]) -> None:
    """Measure and print."""
    top = Path(tempfile.mkdtemp(prefix="everykernel-scale-"))
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n{HEAD}")
    try:
        rows = [measure(top, count, cluster=True) for count in counts]
        print("the same without a cluster:")
        alone = [measure(top, count, cluster=False) for count in counts]
    finally:
        shutil.rmtree(top)
    tell("a cell, by the slope, ms and KiB", rows, 1, 1e3, 1024)
    tell("a cell without a cluster, ms and KiB", alone, 1, 1e3, 1024)
    tell("a million cells, h and GiB", rows, MILLION, 1 / 3600, 1 / 1024)


def measure(top: Path, cells: int, *, cluster: bool) -> Row:
    """Run so many cells in processes that are new, and return what they took."""
    folder = top / f"{cells}-{cluster}"
    objects = folder / "objects"
    objects.mkdir(parents=True)
    for number in range(cells // len(KERNELS)):
        (objects / f"o{number}.bpf.o").write_text(f'{{"n": {number}}}')
    names = [f"objects/o{number}.bpf.o" for number in range(cells // len(KERNELS))]
    with contextlib.closing(Machines(folder)) as machines:
        more = []
        if cluster:
            machines.scheduler()
            machines.worker("worker")
            more = ["--cluster", machines.address]
        words = ["run", *names, "--kernels", ",".join(KERNELS), "--until", "load", "--json", "r.json", *more]
        began = time.monotonic()
        client, peak = ended(machines, words, folder)
        wall = time.monotonic() - began
        rest = {name: taken(process.pid) for name, process in machines.processes.items()}
    scheduler, worker = rest.get("scheduler", (0.0, 0.0)), rest.get("worker", (0.0, 0.0))
    row = Row(cells, wall, client, scheduler[0], worker[0], peak, scheduler[1], worker[1])
    print(
        " ".join(f"{value:>10.1f}" if isinstance(value, float) else f"{value:>8}" for value in astuple(row)), flush=True
    )
    return row


def ended(machines: Machines, words: list[str], folder: Path) -> tuple[float, float]:
    """Run the client to its end; return its processor seconds and its MiB at the most."""
    command = [sys.executable, "-m", "tests.cluster.world", *words]
    environment = machines._environment("client", {})
    with (folder / "client.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / "client.log").read_text()[-2000:]
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def taken(pid: int) -> tuple[float, float]:
    """Return a process's processor seconds so far, and its MiB at the most (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    return (int(fields[11]) + int(fields[12])) / TICKS, peak


def tell(what: str, rows: list[Row], cells: int, time_unit: float, memory_unit: float) -> None:
    """Print how much each value grows with so many cells."""
    first, last = rows[0], rows[-1]
    slopes = [(b - a) / (last.cells - first.cells) * cells for a, b in zip(astuple(first), astuple(last))][1:]
    units = [time_unit] * 4 + [memory_unit] * 3
    print(f"{what}:\n{'':8}", " ".join(f"{slope * unit:>10.2f}" for slope, unit in zip(slopes, units)), flush=True)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1000, 10_000])
