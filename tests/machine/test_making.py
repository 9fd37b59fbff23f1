"""Making snapshots fails in words, before a disk is full, and never leaves half of one."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from everykernel import cache, folders, images
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import BootFailed, CacheError, UsageError
from everykernel.kernels.progress import SILENT
from everykernel.machine import MachineSpec, making, snapshots
from everykernel.machine.devices import Boot
from everykernel.machine.fake import kernel
from everykernel.machine.making import Maker
from everykernel.machine.qemu import Herd, Qemu
from everykernel.machine.snapshots import Plan


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """A maker where our code changes, even in CI."""
    monkeypatch.delenv(folders.UNCHANGED_SETTING, raising=False)
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    for name in ("image", "modules", "vmlinuz"):
        (tmp_path / name).write_bytes(b"")
    plan = Plan(
        dataclasses.replace(kernel(), image=tmp_path / "vmlinuz"),
        MachineSpec(),
        "tcg",
        Path(shutil.which("sh") or ""),
        images.Image(tmp_path / "image", "digest", ()),
        tmp_path / "modules",
    )
    return Maker(plan, SILENT, Herd())


def test_a_disk_without_room(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how much is needed and what to do; nothing was booted."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 100 << 20))
    with pytest.raises(
        CacheError, match=r"no space left for a snapshot: 288 MiB are needed, 100 MiB are free \[free some"
    ):
        maker.warm()
    assert maker.log.boots == 0
    assert list(maker.plan.boot_folder.parent.iterdir()) == []


def test_boots_are_tried_again_and_counted(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot that fails is tried three times; the notes say so, and what was begun is gone."""

    def boot(self: Maker, memory: Path | None, how: Boot) -> Qemu:
        raise BootFailed("no sign of life within 120 s", where="6.1")

    monkeypatch.setattr(making.Maker, "_boot", boot)
    with pytest.raises(BootFailed, match=r"6.1: no sign of life"):
        maker.warm()
    assert maker.log.boots == 3
    assert maker.log.notes[:2] == [f"boot {n} of 3 failed: no sign of life within 120 s" for n in (1, 2)]
    assert list(maker.plan.boot_folder.parent.iterdir()) == []


def test_what_the_user_asked_for_is_not_tried_again(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sysctl that cannot be set will not be at the next boot either."""

    def boot(self: Maker, memory: Path | None, how: Boot) -> Qemu:
        raise UsageError("sysctl a.b = 1: no such file", where="6.1: machine")

    monkeypatch.setattr(making.Maker, "_boot", boot)
    with pytest.raises(UsageError):
        maker.warm()
    assert maker.log.boots == 1


PRUNER = """
import select, sys, time
from everykernel import cache
end = time.monotonic() + 60
gone = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0] and time.monotonic() < end:
    gone += len(cache.prune(1))
print(gone)
"""


def test_snapshots_are_pruned_while_they_are_taken(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often another process prunes, what a run has taken is whole, and nothing broken is left behind."""

    def make(self: Maker, *_: object) -> None:
        folder = _[-1]
        assert isinstance(folder, Path)
        (folder / "memory").write_bytes(b"m" * 10_000)
        snapshots.finish(folder, b"state", {})

    def boot(self: Maker) -> snapshots.Snapshot:
        with cache.lock(f"snapshots/{self.plan.boot_folder.name}"), cache.make_folder(self.plan.boot_folder) as folder:
            make(self, folder)
        return snapshots.Snapshot(self.plan.boot_folder)

    monkeypatch.setattr(Maker, "_make_warm", make)
    monkeypatch.setattr(Maker, "booted", boot)
    argv = [sys.executable, "-c", PRUNER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as pruner:
        assert pruner.stdout is not None
        assert pruner.stdout.readline() == "ready\n"
        for _ in range(150):
            taken = maker.warm()
            assert (taken.state, taken.memory.stat().st_size) == (b"state", 10_000)
            cache.let_go()
            time.sleep(0.002)
        said, _none = pruner.communicate("stop\n")
    assert int(said) > 20, "the test has not met the race"
    assert all(path.is_dir() for path in maker.plan.boot_folder.parent.iterdir())


@pytest.mark.parametrize(
    ("ours", "arch", "layered"), [(True, "x86_64", True), (False, "x86_64", False), (True, "s390x", False)]
)
def test_what_is_saved_twice(
    maker: Maker, monkeypatch: pytest.MonkeyPatch, ours: bool, arch: str, layered: bool
) -> None:
    """A boot is saved apart where our code changes, unless the machine would not come back."""
    monkeypatch.setattr(folders, "ours_changes", lambda: ours)
    plan = dataclasses.replace(maker.plan, kernel=dataclasses.replace(maker.plan.kernel, arch=ARCHITECTURES[arch]))
    assert plan.layered is layered


class Booted:
    """What `Maker.boot` returns, as far as a maker asks it; its memory is longer for each boot into the same file."""

    def __init__(self, memory: Path) -> None:
        memory.write_bytes(memory.read_bytes() + b"booted")
        self.control = self

    def save(self) -> bytes:
        return b"state"

    def close(self) -> None:
        pass


def test_an_agent_that_does_not_come_up_is_booted_again(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is saved before our code is pushed, a second boot is into empty memory, and the notes say so."""
    pushed = iter([BootFailed("the agent was not ready within 120 s"), None])

    def push(self: Maker, qemu: object) -> None:
        if error := next(pushed):
            raise error

    monkeypatch.setattr(folders, "ours_changes", lambda: False)
    monkeypatch.setattr(Maker, "boot", lambda self, memory: Booted(memory))
    monkeypatch.setattr(Maker, "push_agent", push)
    made = maker.warm()
    assert made.memory.stat().st_size == (maker.plan.spec.memory << 20) + len(b"booted")
    assert made.about["notes"] == ["the agent did not come up (the agent was not ready within 120 s): booted again"]
    assert [path.name for path in made.folder.parent.iterdir()] == [made.folder.name]


def test_a_file_where_a_snapshot_was_is_no_obstacle(maker: Maker) -> None:
    """What an older version may have left is discarded like any snapshot that does not come back."""
    maker.plan.warm_folder.touch()
    assert snapshots.find(maker.plan.warm_folder) is None
    snapshots.discard(maker.plan.warm_folder)
