"""A run from nothing but kernels in the cache, beside the same run of an earlier build.

Both builds are laid out as a wheel lays them out, and have a cache of their own: kernels, indexes and the guest image
are there, snapshots are not. They run in turn, so that what else the machine does meets both.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from everykernel import cache, folders, kernels
from everykernel.bench.measure import processor_seconds
from everykernel.errors import HarnessError

_PROJECT = "pyproject.toml"
_DATA = ("cases", "images", "kernels")
_KEPT = ("kernels", "indexes", "packages", "images", "verdicts")
_IMAGES = "import sys; from everykernel import architectures, images; \
[images.build(architectures.ARCHITECTURES[name]) for name in sys.argv[1:]]"


@dataclass(frozen=True)
class Run:
    """What one run took: wall time, and processor seconds of it and its guests; and what became of each cell."""

    seconds: float
    cpu: float
    verdicts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Cold:
    """Medians of both builds' runs, and whether all of them came to the same verdicts."""

    commit: str
    seconds: float
    cpu: float
    before_seconds: float
    before_cpu: float
    same: bool


def measure(commit: str, specs: str, target: Path, repetitions: int) -> Cold:
    """Run one object on all kernels, cold, in turn by ``commit``'s build and by this one.

    Raises HarnessError where a build cannot be laid out, or its run ends otherwise than in verdicts.
    """
    resolved = kernels.resolve(specs.split(","))
    for kernel in resolved:
        kernel.fetch()
    arches = sorted({kernel.arch.name for kernel in resolved})
    with tempfile.TemporaryDirectory(prefix="everykernel-bench-", dir=cache.root().parent) as name:
        folder = Path(name)
        builds = [_wheel(folder / "before", _checkout(commit, folder / "source")), _wheel(folder / "now", _root())]
        runs: list[list[Run]] = [[], []]
        for build in builds:
            _python(build, cache.root(), ["-c", _IMAGES, *arches])
        for _ in range(repetitions):
            for build, found in zip(builds, runs, strict=True):
                with _cache(folder) as root:
                    found.append(_run(build, root, specs, target))
    before, now = runs
    return Cold(
        commit,
        statistics.median(run.seconds for run in now),
        statistics.median(run.cpu for run in now),
        statistics.median(run.seconds for run in before),
        statistics.median(run.cpu for run in before),
        len({run.verdicts for run in (*before, *now)}) == 1,
    )


def _root() -> Path:
    return folders.data("cases").parent


def _checkout(commit: str, target: Path) -> Path:
    """Return a folder with the files of a commit."""
    target.mkdir()
    packed = target.with_suffix(".tar")
    argv = ["git", "-C", str(_root()), "archive", "-o", str(packed), commit, "harness", _PROJECT, *_DATA]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HarnessError(f"cannot be had: {done.stderr.strip()}", where=commit, remedy="run it in a whole clone")
    with tarfile.open(packed) as tar:
        tar.extractall(target, filter="data")
    return target


def _wheel(target: Path, source: Path) -> Path:
    """Return a folder to import a build from, as from its wheel: the package with its data inside."""
    package = target / "everykernel"
    shutil.copytree(source / "harness" / "everykernel", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _DATA:
        shutil.copytree(source / name, package / "_data" / name, ignore=shutil.ignore_patterns("build"))
    _install(_missing(source), target)
    return target


def _missing(source: Path) -> list[str]:
    """Return the requirements of a build that this Python has no package for."""
    with (source / _PROJECT).open("rb") as file:
        requirements: list[str] = tomllib.load(file)["project"]["dependencies"]
    here = {re.sub(r"[-_.]+", "-", found.name).lower() for found in importlib.metadata.distributions()}
    return [one for one in requirements if re.split(r"[^\w.-]", one)[0].lower() not in here]


def _install(requirements: list[str], target: Path) -> None:
    """Install packages beside a build; raise HarnessError where they cannot be had."""
    if requirements:
        _python(target, cache.root(), ["-m", "pip", "install", "-q", "--target", str(target), *requirements])


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


def _run(build: Path, root: Path, specs: str, target: Path) -> Run:
    out = build / "results.json"
    began, cpu = time.perf_counter(), processor_seconds()
    _python(build, root, ["-m", "everykernel", "run", str(target), "--kernels", specs, "--json", str(out)])
    seconds, spent = time.perf_counter() - began, processor_seconds() - cpu
    results = json.loads(out.read_text())["results"]
    cells = sorted((result["kernel"], *(stage["status"] for stage in result["stages"].values())) for result in results)
    return Run(seconds, spent, tuple(cells))


def _python(build: Path, root: Path, arguments: Sequence[str]) -> None:
    """Run Python with one build on its path; raise HarnessError unless it ends with verdicts (0 or 1)."""
    environment = {**os.environ, "PYTHONPATH": str(build), cache.ROOT_SETTING: str(root)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=build
    )
    if done.returncode not in (0, 1):
        said = " / ".join(done.stderr.strip().splitlines()[-3:]) or "it says nothing"
        raise HarnessError(f"ended with code {done.returncode}: {said}", where=f"the build of {build.name}")
