"""What has become of figures since earlier builds: ``python -m tests.conformance.bench_before``.

On one machine in one run: a cold process that relocates one object against one BTF, runs from nothing, fresh cells and
the room that a kernel takes, beside the same of earlier commits, which are checked out and run in turn with this one;
and a run in which nothing has changed, or three objects have, beside the run that recorded it. Medians, wall and
processor time; ratios are what counts.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from tests.conformance import bench_cold, bench_run, foreign
from tests.conformance.bench_cold import NOW, ROOT

from everykernel import kernels
from everykernel.kernels.debian import Archive

BEFORE = ("9b76c9c", "348549f")
CHANGED = 3  # objects
COLD = "5.10,6.1,6.12,6.1/i386"
FRESH = 20  # objects


class Took(NamedTuple):
    """What a process took: seconds of wall time, and of processors."""

    wall: float
    processors: float

    def beside(self, other: Took) -> str:
        """Return this as shares of another."""
        return f"{self.wall / other.wall:.3f} of the wall time, {self.processors / other.processors:.3f} of CPU time"


def took(command: Sequence[str], environment: dict[str, str] | None = None) -> Took:
    """Return what a command takes; raise SystemExit where it does not end as a run does."""
    before, began = bench_run.processor_seconds(), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - began
    if done.returncode > 1:
        raise SystemExit(f"{' '.join(command[:4])} … ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Took(wall, bench_run.processor_seconds() - before)


def median(found: Sequence[Took]) -> Took:
    """Return the medians of several."""
    return Took(*(statistics.median(values) for values in zip(*found)))


@contextmanager
def checked_out(commits: Sequence[str], folder: Path) -> Iterator[dict[str, Path]]:
    """Yield the folder of each commit, and of this tree."""
    made = {}
    try:
        for commit in commits:
            git("worktree", "add", "--detach", str(folder / commit), commit)
            made[commit] = folder / commit
        yield {**made, NOW: ROOT}
    finally:
        for commit in made:
            git("worktree", "remove", "--force", str(folder / commit))


def git(*arguments: str) -> None:
    """Run git in this repository."""
    subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True)


def start_up(builds: Mapping[str, Path], folder: Path, object_: Path, btf: Path, repeat: int, out: Console) -> None:
    """Relocate one object against one BTF, each time in a process of its own, each build in turn; print the ratios."""
    for form in ("table", "jsonl"):
        found: dict[str, list[Took]] = {build: [] for build in builds}
        command = ["relocate", str(object_), "--btf", str(btf), "--format", form]
        for number in range(repeat + 1):
            for build, root in builds.items():
                one = took([sys.executable, "-m", "everykernel", *command], _of(root, folder))
                found[build] += [one] if number else []  # the first compiles what it imports
        now = median(found.pop(NOW))
        times = f"{now.wall * 1e3:.0f} ms, of CPU {now.processors * 1e3:.0f}"
        out.print(f"relocate, one object x one BTF, --format {form}: {times}")
        for commit, before in found.items():
            out.print(f"  {now.beside(median(before))} at {commit}")


def _of(root: Path, folder: Path) -> dict[str, str]:
    """Return the environment in which a build runs, its bytecode kept, as where it is installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    bytecode = str(folder / "bytecode" / root.name)
    return {**kept, "PYTHONPATH": str(root / "harness"), "PYTHONPYCACHEPREFIX": bytecode}


def reuse(objects: Sequence[Path], specs: str, repeat: int, out: Console) -> None:
    """Run all objects on all kernels, then again unchanged, then with a few of them changed; print the ratios."""
    command = [sys.executable, "-m", "everykernel", "run", *map(str, objects), "--kernels", specs]
    took([sys.executable, "-m", "everykernel", "run", str(objects[0]), "--kernels", specs])  # kernels and snapshots
    recorded = took([*command, "--fresh"])
    out.print(f"{len(objects)} objects on {specs}, recorded: {recorded.wall:.1f} s, of CPU {recorded.processors:.1f}")
    same = median([took([*command, "--reuse"]) for _ in range(repeat)])
    out.print(f"  nothing changed: {same.wall:.2f} s, {same.beside(recorded)}")
    found = []
    for _ in range(repeat):
        for path in objects[:CHANGED]:
            path.write_bytes(path.read_bytes() + b"\0")  # behind all sections: another object that loads the same
        found.append(took([*command, "--reuse"]))
    few = median(found)
    out.print(f"  {CHANGED} objects changed: {few.wall:.2f} s, {few.beside(recorded)}")


@click.command()
@click.option("--objects", "number", default=100, show_default=True)
@click.option("--kernels", "specs", default=bench_run.KERNELS, show_default=True)
@click.option("--before", default=",".join(BEFORE), show_default=True, help="Commits, separated by commas.")
@click.option("--repeat", default=9, show_default=True, help="Processes of each build.")
@click.option("--colds", default=5, show_default=True, help="Runs from nothing of each build, and runs that reuse.")
def main(number: int, specs: str, before: str, repeat: int, colds: int) -> None:
    """Measure, and print."""
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"load average {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory() as name:
        objects = []
        for position, each in enumerate(foreign.collect(Archive())[0][:number]):
            label = re.sub(r"[^A-Za-z0-9.]+", "-", each.name)
            objects.append(Path(name) / f"{position:03}-{label}.bpf.o")
            objects[-1].write_bytes(each.data)
        btf = kernels.btf_path(kernels.resolve(["6.1"])[0].fetch())
        assert btf is not None
        with checked_out(before.split(","), Path(name)) as builds:
            start_up(builds, Path(name), objects[0], btf, repeat, out)
            bench_cold.measure(builds, COLD, objects[:FRESH], colds, out)
        reuse(objects, specs, colds, out)


if __name__ == "__main__":
    main()
