"""A run that does not fit into the cache says so before it starts."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from everykernel import cache
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import CacheError
from everykernel.kernels.model import ResolvedKernel
from everykernel.machine import MachineSpec, room, snapshots

MIB = 1 << 20


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    monkeypatch.delenv(cache.LIMIT_SETTING, raising=False)
    return tmp_path / "cache"


def wanted(kernels: int, *machines: MachineSpec) -> list[tuple[ResolvedKernel, MachineSpec]]:
    def never(*_: object) -> None:
        raise AssertionError("nothing is fetched")

    found = [
        ResolvedKernel("s", ARCHITECTURES["x86_64"], "6.1", "v", f"6.1.{n}", "p", "debian:x", "f", never)  # type: ignore[arg-type]
        for n in range(kernels)
    ]
    return [(kernel, machine) for kernel in found for machine in machines or [MachineSpec()]]


def test_snapshots_grow_little_with_the_memory() -> None:
    """A guest has written to what it uses and to the descriptors of the rest; never to more than it has."""
    sizes = [room.snapshot(MachineSpec(memory=memory)) >> 20 for memory in (128, 256, 1024, 4096)]
    assert sizes == [128, 204, 216, 264]


def test_what_fits_passes() -> None:
    """Fifty kernels fit into the 20 GB of the default; a machine that is asked for twice counts once."""
    room.reserve([])
    room.reserve(wanted(45))
    room.reserve(wanted(2) * 100)


def test_more_than_the_limit_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has both sizes, and the limit that would do."""
    with pytest.raises(CacheError) as caught:
        room.reserve(wanted(70))
    assert str(caught.value) == (
        f"{root}: this run needs some 28.4 GB of the cache (kernels: 70, snapshots: 70), whose limit is 20.0 GB "
        "[set EVERYKERNEL_CACHE_LIMIT to 29 (GB), or name fewer kernels]"
    )
    monkeypatch.setenv(cache.LIMIT_SETTING, "29")
    room.reserve(wanted(70))


def test_each_machine_has_its_snapshot() -> None:
    """Two machines a kernel take the kernel's files once, and two snapshots."""
    machines = [MachineSpec(memory=memory) for memory in (256, 512, 1024, 2048)]
    with pytest.raises(CacheError, match=r"\(kernels: 25, snapshots: 100\)"):
        room.reserve(wanted(25, *machines))
    room.reserve(wanted(25, machines[0]))


def test_a_disk_that_is_full_of_what_can_go_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is what is free and what prune can make free; without it the error says how much there is."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 500 * MIB))
    with pytest.raises(CacheError, match=r"\(kernels: 2, snapshots: 2\), whose disk has room for 0\.5 GB \[free some"):
        room.reserve(wanted(2))
    with (cache.folder("kernels") / "old").open("wb") as file:
        file.write(b"x" * (700 * MIB // 100))
    monkeypatch.setattr(cache, "size", lambda path: 700 * MIB)
    room.reserve(wanted(2))


def test_what_a_run_will_use_is_held_from_the_beginning() -> None:
    """The snapshot of each kernel and machine that was used last stays; older ones, and those of others, may go."""
    made = {}
    for number, (name, release, memory) in enumerate(
        [("old", "6.1.0", 256), ("new", "6.1.0", 256), ("large", "6.1.0", 512), ("other", "6.1.9", 256)]
    ):
        folder = made[name] = cache.entry("snapshots", f"warm-{release}-{name}")
        folder.mkdir()
        (folder / "memory").write_bytes(b"m" * 40_000)
        about = {"release": release, "machine": MachineSpec(memory=memory).describe()}
        snapshots.finish(folder, b"s", about)
        cache.touch(folder)
        os.utime(folder / ".last-used", (1e9 + number,) * 2)
    room.reserve(wanted(1))
    assert {entry.path for entry in cache.prune(1)} == {made["old"], made["large"], made["other"]}
    assert made["new"].is_dir()
    cache.let_go()
    assert [entry.path for entry in cache.prune(1)] == [made["new"]]
