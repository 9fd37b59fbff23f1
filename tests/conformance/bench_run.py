"""What ``everykernel run`` costs over a hundred objects of others: ``python -m tests.conformance.bench_run``.

Each object on each of eight kernels, a fresh guest for every cell; once relocated and loaded, once attached as well.
The snapshots are made before. Beside the wall time stand processor seconds a cell, and what a guest that only answers
costs in the same run: the ratio is what counts. Where a cell's time goes is what the stages say themselves.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from tests.conformance import foreign

from everykernel.kernels.debian import Archive
from everykernel.machine import Machines
from everykernel.matrix import plan

KERNELS = "5.10,6.1,6.12,6.16,6.17,6.18,7.2,7.3"
RESTORES = 16
STAGES = ("relocate", "load", "run")


def processor_seconds() -> float:
    """Return what our children have used so far, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bare(specs: str) -> float:
    """Make the snapshots ready, and return the processor seconds of a guest that is restored and answers."""
    with Machines() as machines:
        kernels = [column.kernel() for column in plan.columns(specs.split(","))]
        for kernel in kernels:
            machines.prepare(kernel)
        before = processor_seconds()
        for number in range(RESTORES):
            with machines.start(kernels[number % len(kernels)]) as guest:
                assert guest.facts.release
        return (processor_seconds() - before) / RESTORES


def run(objects: list[Path], specs: str, until: str, floor: float, out: Console) -> None:
    """Run all objects on all kernels, and print what it took."""
    results = objects[0].parent / f"{until}.json"
    command = [sys.executable, "-m", "everykernel", "run", *map(str, objects), "--kernels", specs]
    before, began = processor_seconds(), time.perf_counter()
    ran = subprocess.run([*command, "--until", until, "--json", str(results)], capture_output=True, text=True)
    seconds, used = time.perf_counter() - began, processor_seconds() - before
    if "no kernels booted" not in ran.stdout:
        raise SystemExit(f"the snapshots were not reused, or the run broke:\n{ran.stdout[-2000:]}\n{ran.stderr}")
    cells = json.loads(results.read_text())["results"]
    each = used / len(cells)
    out.print(f"until {until}: {len(cells)} cells in {seconds:.0f} s, {len(cells) / seconds:.1f} cells/s; "
              f"{each:.2f} core-seconds a cell, {each / floor:.1f} x a bare guest")  # fmt: skip
    spent = {n: sum(c["stages"][n].get("seconds", 0.0) for c in cells) / len(cells) for n in STAGES}
    rest = sum(c["seconds"] for c in cells) / len(cells) - sum(spent.values())
    parts = ", ".join(f"{name} {value:.3f}" for name, value in spent.items())
    out.print(f"  wall seconds a cell, by its own clock: {parts}, the rest (restore, messages, QEMU's end) {rest:.3f}")
    for (outcome, code), count in Counter((c["outcome"], c["code"]) for c in cells).most_common():
        out.print(f"  {count:5} {outcome} {code}")


@click.command()
@click.option("--objects", "number", default=100, show_default=True)
@click.option("--kernels", "specs", default=KERNELS, show_default=True)
def main(number: int, specs: str) -> None:
    """Measure, and print."""
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"load average {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores")
    floor = bare(specs)
    out.print(f"a bare guest, restored and asked for its facts: {floor:.2f} core-seconds")
    with tempfile.TemporaryDirectory() as name:
        objects = []
        found, _ = foreign.collect(Archive())
        for position, each in enumerate(found[:number]):
            label = re.sub(r"[^A-Za-z0-9.]+", "-", each.name)
            objects.append(Path(name) / f"{position:03}-{label}.bpf.o")
            objects[-1].write_bytes(each.data)
        for until in ("load", "run"):
            run(objects, specs, until, floor, out)


if __name__ == "__main__":
    main()
