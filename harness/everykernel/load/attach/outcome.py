"""What attaching comes to: an open `Link`, or `NotAttached` with a reason; and bpf links, of whatever kind.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from everykernel.load.kernel.releases import since
from everykernel.load.system import abi
from everykernel.load.system.errnos import ENOTSUPP, error_name
from everykernel.object.sections import ATTACH_TYPE, MANY_FUNCTIONS

if TYPE_CHECKING:
    from everykernel.load.system.block import Fields
    from everykernel.load.system.door import System

NOWHERE = 0x7FFFFFFF  # neither a descriptor nor an interface: what the kernel says to it tells what it knows
_UNKNOWN = (errno.EINVAL, errno.E2BIG)


class NotAttached(Exception):
    """A program was not attached: ``status`` is failed or skipped, ``code`` the reason code."""

    def __init__(self, message: str, *, code: str = "attach-failed", status: str = "failed", number: int = 0) -> None:
        super().__init__(message)
        self.message, self.code, self.status, self.errno = message, code, status, number


def needs(message: str) -> NotAttached:
    """Return why a program is passed over that attaches only to what a caller names."""
    return NotAttached(message, status="skipped", code="")


def refused(what: str, error: OSError, why: str = "the kernel refuses the program there") -> NotAttached:
    """Return why a program is not attached where the kernel says no more than an errno."""
    return NotAttached(f"{what}: {error_name(error.errno)}: {why}", number=error.errno or 0)


def number(text: str, what: str, among: range = range(1 << 63)) -> int:
    """Return a number that a target holds, decimal or with a prefix; raise NotAttached for what is none of these."""
    try:
        found = int(text, 0)
    except ValueError:
        found = among.stop
    if found not in among:
        raise NotAttached(f"{what}: {text!r} is no number for it", code="attach-target-missing")
    return found


class Link:
    """What holds a program attached; closing it detaches.

    ``fd`` is a descriptor in ``system``, -1 for none, ``also`` are others that go with it; ``undo`` runs after they are
    closed (it removes a tracefs probe).
    """

    def __init__(
        self, system: System, fd: int, undo: Optional[Callable[[], None]] = None, also: tuple[int, ...] = ()
    ) -> None:
        self._system = system
        self._fds = [n for n in (fd, *also) if n >= 0]
        self._undo = undo
        self.fd = fd

    def close(self) -> None:
        """Detach."""
        for fd in self._fds:
            self._system.close(fd)
        self._fds.clear()
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()


def create(
    system: System, fd: int, target: int, attach_type: str, what: str, *, flags: int = 0, extra: Fields = ("",)
) -> Link:
    """Attach through a bpf link; ``target`` is a descriptor or an interface's index, ``extra`` what follows the flags.

    Raises NotAttached: ``attach-type-unsupported`` where the kernel makes no link of this attach type at all.
    """
    try:
        attributes = abi.link_create(fd, target, ATTACH_TYPE[attach_type], flags, extra)
        return Link(system, system.bpf(abi.LINK_CREATE, attributes))
    except OSError as e:
        if e.errno in (errno.EOPNOTSUPP, ENOTSUPP):
            name = error_name(e.errno)
            raise NotAttached(
                f"{what}: {name}: this kernel is built without it", code="kernel-config-missing", number=e.errno
            ) from e
        if e.errno in _UNKNOWN and not _known(system, fd, attach_type, flags, extra):
            raise _unknown(what, attach_type, e) from e
        raise refused(what, e) from e


def _unknown(what: str, attach_type: str, error: OSError) -> NotAttached:
    known = since("attach", ATTACH_TYPE[attach_type])
    text = f"{what}: {error_name(error.errno)}: this kernel does not know attach type {attach_type}{known}"
    return NotAttached(text, code="attach-type-unsupported", number=error.errno or 0)


def _known(system: System, fd: int, attach_type: str, flags: int, extra: Fields) -> bool:
    """Whether the kernel looks for the target of such a link before it refuses it: EINVAL says that it does not.

    Links to many functions have no target: theirs is a name at an address where nothing is. Those by trampolines are
    for programs that a kernel without them does not even load.
    """
    if attach_type in MANY_FUNCTIONS:
        return True
    if attach_type in ("trace_kprobe_multi", "trace_kprobe_session"):
        extra = ("IIQ", 0, 1, 1)
    elif attach_type in ("trace_uprobe_multi", "trace_uprobe_session"):
        extra = ("QQ16xI", 1, 1, 1)
    try:
        link = system.bpf(abi.LINK_CREATE, abi.link_create(fd, NOWHERE, ATTACH_TYPE[attach_type], flags, extra))
    except OSError as e:
        return e.errno not in _UNKNOWN
    system.close(link)
    return True


def _known_without_link(system: System, fd: int, number: int, flags: int) -> bool:
    """Whether the kernel looks for the target before it refuses the program: EINVAL says that it does not."""
    try:
        system.bpf(abi.PROG_ATTACH, abi.words(NOWHERE, fd, number, flags))
    except OSError as e:
        return e.errno != errno.EINVAL
    return True


def prog_attach(system: System, fd: int, target: int, attach_type: str, what: str, flags: int = 0) -> Link:
    """Attach without a link, the way that was there before links: the program stays until it is detached."""
    number = ATTACH_TYPE[attach_type]
    try:
        system.bpf(abi.PROG_ATTACH, abi.words(target, fd, number, flags))
    except OSError as e:
        if e.errno == errno.EINVAL and not _known_without_link(system, fd, number, flags):
            raise _unknown(what, attach_type, e) from e
        raise refused(what, e) from e
    kept, program = system.duplicate(target) if target else -1, system.duplicate(fd)

    def undo() -> None:
        try:
            system.bpf(abi.PROG_DETACH, abi.words(max(kept, 0), program, number, 0))
        except OSError as e:
            if e.errno != errno.ENOENT:  # somebody else detached it
                raise
        finally:
            for n in (kept, program):
                if n >= 0:
                    system.close(n)

    return Link(system, -1, undo)
