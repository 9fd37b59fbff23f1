"""Run at the beginning of the agent of a guest: from here on its kernel answers as an older one's.

By a seccomp filter (system calls that came later: ENOSYS; commands of bpf(2) that came later: EINVAL), which holds for
all that the guest runs; and by `Old` in the place of the loader's door, for what a filter cannot see. A filter sees the
size of a bpf_attr and none of its bytes: that an old kernel refuses a larger one whose rest is not zero (E2BIG) is left
to the double.

This module is run in guests: standard library only, Python 3.9.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from tests.old.double import Old
from tests.old.table import RELEASES, Release

from everykernel import load
from everykernel.guest import probes
from everykernel.guest.commands import filter as filter_
from everykernel.load.system.local import Local

_LOAD, _EQUAL, _GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGT|K, BPF_RET|K
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_
_NUMBER, _FIRST = 0, 16  # in struct seccomp_data
# Of x86_64. A process that has registered rseq(2) cannot have a thread that does not: glibc ends it.
_BPF, _PTRACE, _RSEQ = 321, 101, 334
_SYSCALL_INFO, _NOTHING = 0x420E, 0xFFFFFFFF  # PTRACE_GET_SYSCALL_INFO; no request


def filter_of(release: Release) -> bytes:
    """Return the classic BPF program of a release, for x86_64."""

    def one(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    # The last four answer. Jumps are counted from the next instruction.
    return b"".join(
        (
            one(_LOAD, _NUMBER),
            one(_GREATER, max(release.syscall, _RSEQ), 7, 0),  # to ENOSYS
            one(_EQUAL, _BPF, 2, 0),
            one(_EQUAL, _PTRACE, 3, 0),
            one(_RETURN, _ALLOW),
            one(_LOAD, _FIRST),
            one(_GREATER, release.command, 3, 5),  # to EINVAL, or on
            one(_LOAD, _FIRST),
            one(_EQUAL, _NOTHING if release.syscall_info else _SYSCALL_INFO, 2, 3),  # to EIO, or on
            one(_RETURN, _ERRNO | errno.ENOSYS),
            one(_RETURN, _ERRNO | errno.EINVAL),
            one(_RETURN, _ERRNO | errno.EIO),
            one(_RETURN, _ALLOW),
        )
    )


def become(name: str, *, filtered: bool, doubled: bool, backports: frozenset[tuple[str, int]] = frozenset()) -> None:
    """Have this process, and all that come of it, see the kernel of a release."""
    release = RELEASES[name]
    _hide("/sys/kernel/btf")
    if not release.probe_pmu:
        for kind in ("kprobe", "uprobe"):
            _hide(f"/sys/bus/event_source/devices/{kind}")
    if doubled:
        real = load.kernel_btf
        load.kernel_btf = lambda system=None, learnt=b"": real(Old(release, backports))
    if filtered:
        filter_.install(filter_of(release))
    assert not probes.facts(Local(), "").btf


def _hide(path: str) -> None:
    mount = ctypes.CDLL(None, use_errno=True)["mount"]
    if mount(b"none", path.encode(), b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), f"{path} cannot be hidden")
