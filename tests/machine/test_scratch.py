"""A process's temporary folder goes with it, at the latest when the next process comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from everykernel.machine import scratch

PROGRAM = (
    "import time; from everykernel.machine import scratch; print(scratch.run_folder(), flush=True); time.sleep(60)"
)


def test_a_living_process_keeps_its_folder(tmp_path: Path) -> None:
    """A sweep takes what a killed process left, and nothing else."""
    command, environment = [sys.executable, "-c", PROGRAM], {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().decode().strip())
        (folder / "0.console").touch()
        (tmp_path / "others").mkdir()
        scratch.sweep(tmp_path)
        assert folder.is_dir()
        process.kill()
    scratch.sweep(tmp_path)
    assert not folder.exists()
    assert (tmp_path / "others").is_dir()


def test_it_goes_when_the_process_ends(tmp_path: Path) -> None:
    """An ordinary end leaves nothing."""
    program = PROGRAM.replace("time.sleep(60)", "")
    subprocess.run(
        [sys.executable, "-c", program], env={"TMPDIR": str(tmp_path)}, check=True, stdout=subprocess.DEVNULL
    )
    assert not list(tmp_path.iterdir())
