"""The Action itself, every step of shell for real, in an example's repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.action.runner import ROOT, Runner
from tests.examples.conftest import EXAMPLES

from everykernel import cache

pytestmark = pytest.mark.examples


@pytest.fixture
def runner(tmp_path: Path, bin_folder: Path) -> Runner:
    """A runner with the example checked out and built, and a user who may do what he likes without sudo."""
    made = Runner(ROOT, tmp_path)
    shutil.copytree(EXAMPLES / "c-tox", made.workspace, dirs_exist_ok=True)
    made.stand("clang", f'exec {(bin_folder / "clang").resolve()} "$@"')
    make = ["make", f"CLANG={(bin_folder / 'clang').resolve()}"]
    subprocess.run(make, cwd=made.workspace, check=True, capture_output=True)
    return made


def restore(given: dict[str, str]) -> dict[str, str]:
    """Bring what a run of the same kernel kept: of this machine's own cache, what the Action says that it keeps."""
    for path in map(Path, given["path"].splitlines()):
        path.mkdir()
        for entry in sorted((cache.root() / path.name).iterdir()):
            if path.name == "images" or "x86_64-6.12" in entry.name:
                copy = shutil.copytree if entry.is_dir() else shutil.copy2
                copy(entry, path / entry.name)
    return {"cache-hit": "", "cache-primary-key": given["key"]}


def test_the_action_runs_an_example(runner: Runner, wheel: Path) -> None:
    """Green, with summary and report, and no kernel fetched that was kept."""
    fetched: list[str] = []

    def upload(given: dict[str, str]) -> dict[str, str]:
        fetched.extend(path.name for path in (runner.temp / "everykernel/cache/packages").glob("linux-*"))
        return {}

    runner.stands |= {"actions/cache/restore": restore, "actions/upload-artifact": upload}
    inputs = {"pytest": "tests", "kernels": "6.12", "python": sys.executable}
    outputs = runner.run(inputs, {"EVERYKERNEL_INSTALL": str(wheel)})
    told = "\n".join(f"== {step.name}: {step.outcome}\n{step.output}" for step in runner.steps)
    assert outputs == {"verdict": "passed", "code": "0", "report": "kernel-report"}, told
    assert "test_an_exec_is_seen" in runner.summary
    assert (runner.workspace / "kernel-report/results.json").is_file()
    assert fetched == []
    left = {path.parent.name for path in (runner.temp / "everykernel/cache").glob("*/*")}
    assert left & {"kernels", "images", "snapshots", "packages"} == {"kernels", "images"}
