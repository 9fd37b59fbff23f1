"""Schedulers and workers in a fake world, as processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds: on a machine with two cores and much else to do an interpreter may take ten to start


@dataclass
class Machines:
    """Processes of a cluster; each has a cache of its own below ``folder``."""

    folder: Path
    address: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *arguments: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run ``everykernel`` in the fake world to its end."""
        return self.program(sys.executable, "-m", "tests.cluster.world", *arguments, cwd=cwd, **settings)

    def program(self, *command: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        environment = self._environment("client", settings)
        return subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def begin(self, name: str, *arguments: str, says: str, **settings: str) -> str:
        """Start a process that serves; return the line in which it says that it does."""
        command = [sys.executable, "-m", "tests.cluster.world", *arguments]
        log = self.folder / f"{name}.log"
        with log.open("w") as file:
            self.processes[name] = subprocess.Popen(command, env=self._environment(name, settings), stderr=file)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.processes[name].poll() is None:
            for line in log.read_text().splitlines(keepends=True):
                if says in line and line.endswith("\n"):
                    return line.rstrip()
            time.sleep(0.05)
        raise AssertionError(f"{name} ended with {self.processes[name].poll()}: {log.read_text()}")

    def scheduler(self, **settings: str) -> None:
        """Start a scheduler."""
        line = self.begin("scheduler", "scheduler", "--port", "0", says="scheduler at", **settings)
        self.address = line.split("scheduler at ")[1].split(": everykernel")[0]

    def worker(self, name: str, slots: int = 2, **settings: str) -> None:
        """Start a worker."""
        self.begin(name, "worker", self.address, "--slots", str(slots), "--name", name, says="worker", **settings)

    def client(self, *arguments: str, cwd: Path, **settings: str) -> None:
        """Start ``everykernel`` and return at once."""
        command = [sys.executable, "-m", "tests.cluster.world", *arguments]
        with (self.folder / "client.log").open("w") as log:
            environment = self._environment("client", settings)
            self.processes["client"] = subprocess.Popen(command, env=environment, cwd=cwd, stdout=log, stderr=log)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a process a signal."""
        self.processes[name].send_signal(number)

    def close(self) -> None:
        """End all."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def _environment(self, name: str, settings: dict[str, str]) -> dict[str, str]:
        cache = {"EVERYKERNEL_CACHE": str(self.folder / f"cache-{name}")}
        return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **cache, **settings}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """Give a test processes, which end with it."""
    with contextlib.closing(Machines(tmp_path)) as found:
        yield found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Give the tests of a file a scheduler with two workers of two slots, whose QEMUs differ."""
    with contextlib.closing(Machines(tmp_path_factory.mktemp("pair"))) as found:
        found.scheduler()
        found.worker("w1")
        found.worker("w2", EK_TEST_QEMU="9.9")
        yield found


@pytest.fixture
def results() -> Callable[[Path], dict[str, Any]]:
    """Read a results file."""
    return lambda path: json.loads(path.read_text())
