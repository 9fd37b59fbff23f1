"""The promise of docs/cluster.md with real guests: three workers in network namespaces, two of which are lost half way.

    python -m tests.cluster.namespaces [CELLS]      as root; nox -s cluster

Objects of the cases are loaded on four kernels, here first, then by the workers. Half way one worker is killed by
SIGKILL, one is cut off (its link goes down), and a third joins. Nothing may be lost, nothing be there twice, and every
verdict has to be that of the run on this machine.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KERNELS = os.environ.get("EVERYKERNEL_KERNELS", "5.10,6.1,6.12,6.1/i386")
VERDICT = ("outcome", "stage", "code", "message", "sha256", "btf", "problems", "misreads")
PATIENCE = 1800.0  # seconds without any cell that ends
BRIDGE = "ek-bridge"
TOP = "10.231.7"  # of the namespaces' addresses


def main(cells: int) -> int:
    """Run both, compare, and return the exit code."""
    folder = Path(os.environ.get("EK_CLUSTER_FOLDER", "/tmp/everykernel-cluster"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    objects = write_objects(folder / "objects", cells // len(KERNELS.split(",")))
    local = run(folder, "local", objects)
    with network() as names:
        spread = Spread(folder, names).run(objects)
    return report(local, spread, cells)


def write_objects(folder: Path, number: int) -> list[Path]:
    """Write so many different objects: those of the cases, with a byte of their own behind the ELF file's end."""
    own = sorted(Path("cases").glob("*/build/x86_64/*.o"))
    folder.mkdir()
    written = []
    for count, source in zip(range(number), itertools.cycle(own)):
        path = folder / f"{count:04}-{source.parents[2].name}.bpf.o"
        path.write_bytes(source.read_bytes() + b"%04d" % count)
        written.append(path)
    return written


def command(folder: Path, name: str, objects: list[Path], *more: str) -> list[str]:
    """Return the command that loads objects on all kernels."""
    names = [str(path) for path in objects]
    output = ["--json", str(folder / f"{name}.json")]
    return [sys.executable, "-m", "everykernel", "run", *names, "--kernels", KERNELS, "--until", "load", *output, *more]


def run(folder: Path, name: str, objects: list[Path]) -> dict[str, Any]:
    """Run all cells on this machine."""
    began = time.monotonic()
    with (folder / f"{name}.log").open("w") as log:
        code = subprocess.run(command(folder, name, objects), stdout=log, stderr=log, check=False).returncode
    print(f"{name}: {time.monotonic() - began:.0f} s, exit code {code}", flush=True)
    return read(folder / f"{name}.json")


def read(path: Path) -> dict[str, Any]:
    """Return the results in a file, {} before it is there."""
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    return {}


@contextlib.contextmanager
def network() -> Iterator[list[str]]:
    """Yield three network namespaces behind a bridge of this host, which has the first address."""
    names = [f"ek-worker-{number}" for number in (1, 2, 3)]
    _down(names)
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{TOP}.1/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    for number, name in enumerate(names, 1):
        _ip("netns", "add", name)
        _ip("link", "add", f"ek-host-{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"ek-host-{number}", "master", BRIDGE, "up")
        _ip("-n", name, "addr", "add", f"{TOP}.{number + 1}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
    try:
        yield names
    finally:
        _down(names)


def _down(names: list[str]) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


class Spread:
    """The run on workers: two from the beginning, one that joins half way."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        self.names = names
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, objects: list[Path]) -> dict[str, Any]:
        """Run all cells, lose two workers on the way, and return the results."""
        total, path = len(objects) * len(KERNELS.split(",")), self.folder / "cluster.json"
        try:
            self._start("scheduler", ["scheduler", "--host", f"{TOP}.1"])
            for name in self.names[:2]:
                self._worker(name)
            began = time.monotonic()
            words = command(self.folder, "cluster", objects, "--cluster", f"tcp://{TOP}.1:8786")
            self._start("client", words[3:])
            self._wait(path, total // 3)
            self._worker(self.names[2])
            self._wait(path, total // 2)
            self.processes[self.names[0]].send_signal(signal.SIGKILL)
            print(f"half way: {self.names[0]} killed", flush=True)
            self._wait(path, total * 2 // 3)
            _ip("link", "set", "ek-host-2", "down")
            print(f"two thirds: {self.names[1]} cut off", flush=True)
            self._wait(path, total)
            code = self.processes["client"].wait(PATIENCE)
            print(f"cluster: {time.monotonic() - began:.0f} s, exit code {code}", flush=True)
        finally:
            for process in self.processes.values():
                process.kill()
                process.wait()
        return read(path)

    def _worker(self, name: str) -> None:
        words = ["worker", f"tcp://{TOP}.1:8786", "--slots", "1", "--name", name]
        self._start(name, words, ["ip", "netns", "exec", name])

    def _start(self, name: str, words: list[str], before: list[str] | None = None) -> None:
        own = {"EVERYKERNEL_CACHE": str(self.folder / f"cache-{name}")} if name != "client" else {}
        whole = [*(before or []), sys.executable, "-m", "everykernel", *words]
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(whole, stdout=log, stderr=log, env={**os.environ, **own})

    def _wait(self, path: Path, cells: int) -> None:
        """Wait until so many cells are recorded; raise AssertionError where none ends any more."""
        last, since = -1, time.monotonic()
        while (count := len(read(path).get("results", ()))) < cells:
            if count != last:
                last, since = count, time.monotonic()
            if self.processes["client"].poll() is not None or time.monotonic() - since > PATIENCE:
                raise AssertionError(f"{count} of {cells} cells: see {self.folder}")
            time.sleep(1)


def report(local: dict[str, Any], spread: dict[str, Any], cells: int) -> int:
    """Print what differs; return 1 where anything does that may not."""
    here, there = by_cell(local), by_cell(spread)
    count = len(spread["results"])
    differ = [name for name in here if name in there and here[name] != there[name]]
    attempts = [one for result in spread["results"] for one in result.get("attempts", ())]
    lost = [one for one in attempts if "was lost while it had this cell" in one["message"]]
    by_worker: dict[str, int] = {}
    for result in spread["results"]:
        by_worker[result["worker"]] = by_worker.get(result["worker"], 0) + 1
    print(f"cells: {len(here)} here, {len(there)} by workers, {count - len(there)} twice, {len(differ)} differ")
    print(f"by worker: {by_worker}; moved from lost workers: {len(lost)}; other attempts: {len(attempts) - len(lost)}")
    for name in differ[:20]:
        print(f"{name}:\n  {here[name]}\n  {there[name]}")
    sound = len(here) == len(there) == count == cells and here.keys() == there.keys() and not differ
    return 0 if sound and lost and len(by_worker) == 3 else 1


def by_cell(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the verdicts by object and kernel."""
    return {
        f"{Path(result['object']).name} on {result['kernel']}": {name: result.get(name) for name in VERDICT}
        for result in results["results"]
    }


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 80))
