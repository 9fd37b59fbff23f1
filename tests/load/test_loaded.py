"""A loaded object gives everything back, whatever the kernel says to it."""

from __future__ import annotations

import errno
import gc
import os
import weakref
from pathlib import Path
from typing import Any, cast

import pytest

from everykernel.load.attach import cgroup
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.kernel.types import KernelTypes
from everykernel.load.loaded import LoadedObject, Program
from everykernel.load.system.local import Local

SYSTEM = Local()


def _descriptor() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def _is_open(fd: int) -> bool:
    return Path(f"/proc/self/fd/{fd}").exists()


def _gone() -> None:
    raise OSError(errno.ENODEV, "the interface is gone")


def test_what_cannot_be_detached_keeps_nothing_else_open() -> None:
    """Where detaching fails, the error rises after everything else was closed, and a second close has nothing to do."""
    loaded = LoadedObject(None, cast("Any", {}), cast("Any", {}), KernelTypes(None, SYSTEM))
    fds = [_descriptor() for _ in range(5)]
    spec = cast("Any", type("Spec", (), {"name": "one", "section": "xdp"}))
    for name, links in (("one", [Link(SYSTEM, fds[0]), Link(SYSTEM, -1, _gone)]), ("two", [Link(SYSTEM, fds[1])])):
        loaded.programs[name] = program = Program(spec, cast("Any", {}), fds[2 + len(loaded.programs)], loaded)
        program._links += links
    loaded.descriptors.append(fds[4])
    with pytest.raises(OSError, match="the interface is gone"):
        loaded.close()
    assert not any(_is_open(fd) for fd in fds)
    loaded.close()


def test_a_closed_object_does_not_keep_the_kernel_s_types() -> None:
    """They are large: their memory is free once the objects are closed, not when garbage is collected."""
    kernel = KernelTypes(None, SYSTEM)
    loaded = LoadedObject(None, cast("Any", {}), cast("Any", {}), kernel)
    loaded.programs["one"] = Program(cast("Any", type("Spec", (), {"name": "one"})), cast("Any", {}), -1, loaded)
    loaded.past_the_end = lambda program, kernel=kernel: str((program, kernel))  # type: ignore[misc]
    held = weakref.ref(kernel)
    loaded.close()
    gc.disable()
    try:
        del kernel
        assert held() is None
    finally:
        gc.enable()


def test_a_cgroup_that_cannot_be_entered_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh cgroup that the process may not enter is told, and taken away."""

    def refuse(system: Local, path: str) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    before = next(
        (line.split("::", 1)[1] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:1] == "0"), "/"
    )
    folder = tmp_path / before.strip("/")
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(cgroup, "mount", lambda system: str(tmp_path))
    monkeypatch.setattr(cgroup, "_move", refuse)
    with pytest.raises(NotAttached, match="EBUSY: it cannot be made or entered"):
        cgroup.OwnCgroup(SYSTEM)
    assert list(folder.glob("everykernel-*")) == []
