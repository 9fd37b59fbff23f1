"""No more guests work at once than the machine has cores, over all processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from everykernel import cache
from everykernel.machine import slots


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path))


def test_as_many_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten threads that want a slot, three have one at any time."""
    monkeypatch.setattr(slots, "cores", lambda: 3)
    busy, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        with slots.slot():
            with lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            time.sleep(0.02)
            with lock:
                busy[0] -= 1

    workers = [threading.Thread(target=work) for _ in range(10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most[0] == 3


def test_another_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that another process holds is not there, until that process ends, however it ends."""
    monkeypatch.setattr(slots, "cores", lambda: 1)
    program = (
        "import time; from everykernel.machine import slots; slots.cores = lambda: 1\n"
        "with slots.slot(): print('have it', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"have it\n"
        got = threading.Event()

        def wait() -> None:
            with slots.slot():
                got.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not got.wait(0.2)
        other.kill()
        assert got.wait(10)
        waiter.join()


def test_boots_have_slots_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many kernels boot as there are cores, whatever guests work beside them."""
    monkeypatch.setattr(slots, "cores", lambda: 2)
    with slots.slot(), slots.slot(), slots.boot_slot() as one, slots.boot_slot() as other:
        assert {one, other} == {0, 1}
