"""Attaching to a cgroup: one that is given, or one of the loaded object's own with the calling process in it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached

if TYPE_CHECKING:
    from everykernel.load.system.door import System

_ALLOW_MULTI = 1 << 1  # BPF_F_ALLOW_MULTI (Linux commit 324bda9e6c5a, v4.15)


def mount(system: System) -> str:
    """Return where cgroup2 is mounted; raise NotAttached where it is nowhere."""
    for line in system.text("/proc/self/mounts").splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return where
    raise NotAttached("no cgroup2 is mounted", code="attach-target-missing")


class OwnCgroup:
    """A fresh cgroup with the calling process in it, until `close` puts the process back and removes it.

    It is a child of the one where the process was, whose programs go on to see what the process does.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        root = mount(system)
        lines = system.text("/proc/self/cgroup").splitlines()
        before = next((line.split("::", 1)[1].strip() for line in lines if line.startswith("0::")), "/")
        self._before = root + before.rstrip("/")
        self.path = f"{self._before}/everykernel-{system.pid}-{id(self):x}"
        try:
            system.make_folder(self.path)
            _move(system, self.path)
        except OSError as e:
            self.close()
            raise outcome.refused(f"cgroup {self.path}", e, "it cannot be made or entered") from e

    def close(self) -> None:
        """Leave and remove it; a process that was started meanwhile and lives on keeps it."""
        with contextlib.suppress(OSError):
            _move(self._system, self._before)
        with contextlib.suppress(OSError):
            self._system.remove_folder(self.path)


def _move(system: System, path: str) -> None:
    system.write(f"{path}/cgroup.procs", str(system.pid))


def _without_link(system: System, fd: int, target: int, attach_type: str, what: str) -> Link:
    """Attach beside others or, where the kernel does not know that flag, as the one program."""
    try:
        return outcome.prog_attach(system, fd, target, attach_type, what, _ALLOW_MULTI)
    except NotAttached as e:
        if e.code != "attach-type-unsupported":
            raise
    return outcome.prog_attach(system, fd, target, attach_type, what)


def attach(system: System, fd: int, path: str, attach_type: str) -> Link:
    """Attach to the cgroup at ``path``: by a link, or (before Linux commit af6eea57437a, v5.7) by BPF_PROG_ATTACH."""
    what = f"cgroup {path}"
    try:
        target = system.open(path, folder=True)
    except OSError as e:
        raise NotAttached(f"{what}: there is none", code="attach-target-missing", number=e.errno or 0) from e
    try:
        return outcome.create(system, fd, target, attach_type, what)
    except NotAttached as e:
        if e.code != "attach-type-unsupported" or attach_type == "lsm_cgroup":  # which has links only
            raise
        return _without_link(system, fd, target, attach_type, what)
    finally:
        system.close(target)
