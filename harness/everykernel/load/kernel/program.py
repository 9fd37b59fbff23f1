"""A program in the kernel: what the kernel tells of it, and one run of it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Optional

from everykernel.btf import Btf
from everykernel.load.kernel.types import btf_bytes
from everykernel.load.system import abi
from everykernel.load.system.errnos import failure

if TYPE_CHECKING:
    from everykernel.load.system.door import System

# Offsets in struct bpf_prog_info: btf_id of Linux commit 838e96904ff3 (v5.0), verified_insns of aba64c7da983 (v5.16).
_BTF_ID_AT, _VERIFIED_AT = 128, 216


def verified_instructions(system: System, fd: int) -> Optional[int]:
    """Return how many instructions the verifier processed for a program, where the kernel tells (v5.16)."""
    return verified(system, info(system, fd))


def verified(system: System, found: bytes) -> Optional[int]:
    """Return what `verified_instructions` does, of what `info` returned."""
    return system.unpack("I", found, _VERIFIED_AT)[0] if len(found) >= _VERIFIED_AT + 4 else None


def info(system: System, fd: int) -> bytes:
    """Return a program's struct bpf_prog_info as far as the kernel fills it, nothing where it does not tell."""
    buffer = bytearray(232)
    error, fields = system.bpf_fields(abi.OBJ_GET_INFO_BY_FD, abi.info(fd, buffer, len(buffer)))
    return b"" if error else bytes(buffer[: fields[abi.INFO_SIZE]])


def test_run(system: System, fd: int, data: bytes, context: bytes, repeat: int) -> tuple[int, bytes, bytes, int]:
    """Run a program by BPF_PROG_TEST_RUN; return its result, data and context after it, nanoseconds a repetition.

    Raises OSError.
    """
    given, ctx = bytearray(data), bytearray(context)
    room = bytearray(len(data) + 512) if data else bytearray()  # XDP may grow a packet at its head
    ctx_room = bytearray(len(context))
    attributes = abi.test_run(
        fd, (given, len(given), room, len(room)), (ctx, len(ctx), ctx_room, len(ctx_room)), repeat
    )
    error, fields = system.bpf_fields(abi.PROG_TEST_RUN, attributes)
    if error == errno.EINVAL and repeat:
        # raw_tracepoint and syscall programs take neither data nor repetitions, and leave the context where it was
        attributes = abi.test_run(fd, (0, 0, 0, 0), (ctx, len(ctx), 0, 0), 0)
        error, fields = system.bpf_fields(abi.PROG_TEST_RUN, attributes)
        if not error:
            return abi.RunOut.of(fields).retval, b"", bytes(ctx), 0
    if error:
        raise failure(error)
    out = abi.RunOut.of(fields)
    return out.retval, bytes(room[: out.size_out]), bytes(ctx_room[: out.ctx_size_out]), out.duration


def function(system: System, fd: int, name: str) -> int:
    """Return the BTF id of a loaded program's function, 0 where there is none."""
    found = info(system, fd)
    number = system.unpack("I", found, _BTF_ID_AT)[0] if len(found) >= _BTF_ID_AT + 4 else 0
    if not number:
        return 0
    descriptor = system.bpf(abi.BTF_GET_FD_BY_ID, abi.words(number, 0, 0))
    try:
        btf = Btf.parse(btf_bytes(system, descriptor), name="target")
    finally:
        system.close(descriptor)
    return btf.find(name, "func") or 0
