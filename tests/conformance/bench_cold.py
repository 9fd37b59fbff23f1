"""Runs from nothing but kernels in the cache, and what they leave, beside the same of earlier builds.

Each build is laid out as a wheel lays it out, and begins with a cache of its own: kernels, indexes and guest images are
there, snapshots are not. One object on each kernel is the cold run; what its snapshots take is a kernel's room; then
objects of others, relocated and loaded only, each in a guest from these snapshots, are fresh cells. Builds run in turn,
so that what else the machine does meets all. This tree's build runs twice: with the loader in the guest, and with the
loader on the host (`--machine bare`).
"""

from __future__ import annotations

import compileall
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from tests.conformance import bench_run

from everykernel import cache, folders, kernels

ROOT = folders.package().parents[1]
NOW = "now"
BARE = "now, the loader on the host"
_PROJECT = "pyproject.toml"
_DATA = ("cases", "images", "kernels")
_KEPT = ("kernels", "indexes", "packages", "images", "verdicts")
_IMAGES = "import sys; from everykernel import architectures, images; \
[images.build(architectures.ARCHITECTURES[name]) for name in sys.argv[1:]]"
_BARE_IMAGES = _IMAGES.replace("images.build", "images.bare.build")


class Build(NamedTuple):
    """What is measured: the folder that it is imported from, and what its runs are asked for beside."""

    folder: Path
    asked: tuple[str, ...] = ()


class Round(NamedTuple):
    """What one build took, once.

    Attributes:
        cold: wall seconds of the cold run.
        cpu: processor seconds of it and its guests.
        cell: processor seconds of a fresh cell.
        room: bytes on disk of a kernel's snapshots.
    """

    cold: float
    cpu: float
    cell: float
    room: float


def measure(sources: Mapping[str, Path], specs: str, objects: Sequence[Path], repeat: int, out: Console) -> None:
    """Measure this tree's build (`NOW`) beside those of commits, in turn; print medians and ratios."""
    resolved = kernels.resolve(specs.split(","))
    for kernel in resolved:
        kernel.fetch()
    with tempfile.TemporaryDirectory(prefix="everykernel-bench-", dir=cache.root().parent) as name:
        folder = Path(name)
        builds = {label: Build(_wheel(folder / label, source)) for label, source in sources.items()}
        architectures = sorted({kernel.arch.name for kernel in resolved})
        for build in builds.values():
            _python(build, cache.root(), ["-c", _IMAGES, *architectures])
        builds[BARE] = Build(builds[NOW].folder, ("--machine", "bare"))
        _python(builds[BARE], cache.root(), ["-c", _BARE_IMAGES, *architectures])
        rounds: dict[str, list[Round]] = {label: [] for label in builds}
        verdicts = set()
        for _ in range(repeat):
            for label, build in builds.items():
                with _cache(folder) as root:
                    found, said = _round(build, root, specs, objects)
                rounds[label].append(found)
                verdicts.add(said)
    _print({label: _median(found) for label, found in rounds.items()}, out)
    out.print(f"  the same verdicts of all builds: {'yes' if len(verdicts) == 1 else 'NO'}")


def _print(medians: dict[str, Round], out: Console) -> None:
    ours = {label: medians.pop(label) for label in (NOW, BARE)}
    for label, now in ours.items():
        cell = f"a fresh cell, loaded only: {now.cell:.3f} core-seconds"
        out.print(f"{label}: cold run, one object: {now.cold:.1f} s, of CPU {now.cpu:.1f}; {cell}; "
                  f"snapshots of a kernel: {now.room / 1e6:.0f} MB")  # fmt: skip
        for commit, before in medians.items():
            shares = Round(*(one / other for one, other in zip(now, before)))
            out.print(f"  {shares.cold:.2f} of the cold run's wall time, {shares.cpu:.2f} of its CPU time, "
                      f"{shares.cell:.2f} of a fresh cell's, {shares.room:.2f} of the room at {commit}")  # fmt: skip


def _median(rounds: Sequence[Round]) -> Round:
    return Round(*(statistics.median(values) for values in zip(*rounds)))


def _round(build: Build, root: Path, specs: str, objects: Sequence[Path]) -> tuple[Round, tuple[object, ...]]:
    """Return what a build takes from an empty cache, and its verdicts."""
    count = len(specs.split(","))
    cold, cpu, first = _run(build, root, specs, objects[:1], "run")
    room = sum(path.stat().st_blocks * 512 for path in (root / "snapshots").rglob("*") if path.is_file()) / count
    _run(build, root, specs, objects, "load")  # what needs a larger guest has its snapshot then
    _, fresh, rest = _run(build, root, specs, objects, "load")
    return Round(cold, cpu, fresh / (count * len(objects)), room), (first, rest)


def _run(
    build: Build, root: Path, specs: str, objects: Sequence[Path], until: str
) -> tuple[float, float, tuple[object, ...]]:
    """Run objects on all kernels; return wall and processor seconds, and each cell's stages."""
    out = build.folder / "results.json"
    began, cpu = time.perf_counter(), bench_run.processor_seconds()
    arguments = [*map(str, objects), "--kernels", specs, "--until", until, "--json", str(out), *build.asked]
    _python(build, root, ["-m", "everykernel", "run", *arguments])
    seconds, spent = time.perf_counter() - began, bench_run.processor_seconds() - cpu
    return seconds, spent, tuple(sorted(map(_said, json.loads(out.read_text())["results"])))


def _said(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return kernel, whichever guests it has, object and the status of each stage of a cell."""
    kernel = result["kernel"].removesuffix("@bare")
    return kernel, result["object"], *(stage["status"] for stage in result["stages"].values())


def _wheel(target: Path, source: Path) -> Path:
    """Return a folder to import a build from, as from its wheel: the package with its data inside."""
    package = target / "everykernel"
    shutil.copytree(source / "harness" / "everykernel", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _DATA:
        shutil.copytree(source / name, package / "_data" / name, ignore=shutil.ignore_patterns("build"))
    compileall.compile_dir(target, quiet=1)  # as pip does
    requirements = _missing(source)
    if requirements:
        _python(Build(target), cache.root(), ["-m", "pip", "install", "-q", "--target", str(target), *requirements])
    return target


def _missing(source: Path) -> list[str]:
    """Return the requirements of a build that this Python has no package for."""
    with (source / _PROJECT).open("rb") as file:
        requirements: list[str] = tomllib.load(file)["project"]["dependencies"]
    here = {re.sub(r"[-_.]+", "-", found.name).lower() for found in importlib.metadata.distributions()}
    return [one for one in requirements if re.split(r"[^\w.-]", one)[0].lower() not in here]


@contextlib.contextmanager
def _cache(folder: Path) -> Iterator[Path]:
    """Yield a cache without snapshots, which shares the files of ours, and is gone afterwards."""
    root = folder / "cache"
    root.mkdir(mode=0o700)
    try:
        for name in _KEPT:
            if (cache.root() / name).is_dir():
                shutil.copytree(cache.root() / name, root / name, copy_function=os.link)
                (root / name).chmod(0o700)
        yield root
    finally:
        shutil.rmtree(root)


def _python(build: Build, root: Path, arguments: Sequence[str]) -> None:
    """Run Python with one build on its path; raise SystemExit unless it ends with verdicts (0 or 1)."""
    environment = {**os.environ, "PYTHONPATH": str(build.folder), cache.ROOT_SETTING: str(root)}
    argv = [sys.executable, *arguments]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, cwd=build.folder)
    if done.returncode not in (0, 1):
        said = " / ".join(done.stderr.strip().splitlines()[-3:]) or "it says nothing"
        raise SystemExit(f"the build of {build.folder.name} ended with code {done.returncode}: {said}")
