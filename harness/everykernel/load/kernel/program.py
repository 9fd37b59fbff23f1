"""A program in the kernel: what the kernel tells of it, and one run of it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import Optional

from everykernel.btf import Btf
from everykernel.load.kernel.types import btf_bytes
from everykernel.load.system import abi
from everykernel.load.system.syscalls import address, bpf

# Offsets in struct bpf_prog_info: btf_id of Linux commit 838e96904ff3 (v5.0), verified_insns of aba64c7da983 (v5.16).
_BTF_ID_AT, _VERIFIED_AT = 128, 216


def verified_instructions(fd: int) -> Optional[int]:
    """Return how many instructions the verifier processed for a program, where the kernel tells (v5.16)."""
    found = info(fd)
    return struct.unpack_from("=I", found, _VERIFIED_AT)[0] if len(found) >= _VERIFIED_AT + 4 else None


def info(fd: int) -> bytes:
    """Return a program's struct bpf_prog_info as far as the kernel fills it, nothing where it does not tell."""
    buffer = bytearray(232)
    attributes = abi.info(fd, address(buffer), len(buffer))
    try:
        bpf(abi.OBJ_GET_INFO_BY_FD, attributes)
    except OSError:
        return b""
    return bytes(buffer[: struct.unpack_from("=I", attributes, 4)[0]])


def test_run(fd: int, data: bytes, context: bytes, repeat: int) -> tuple[int, bytes, bytes, int]:
    """Run a program by BPF_PROG_TEST_RUN; return its result, data and context after it, nanoseconds a repetition.

    Raises OSError.
    """
    given, ctx = bytearray(data), bytearray(context)
    room = bytearray(len(data) + 512) if data else bytearray()  # XDP may grow a packet at its head
    ctx_room = bytearray(len(context))
    attributes = abi.test_run(
        fd,
        (address(given), len(given), address(room), len(room)),
        (address(ctx), len(ctx), address(ctx_room), len(ctx_room)),
        repeat,
    )
    try:
        bpf(abi.PROG_TEST_RUN, attributes)
    except OSError as e:
        if e.errno != errno.EINVAL or not repeat:
            raise
        # raw_tracepoint and syscall programs take neither data nor repetitions, and leave the context where it was
        attributes = abi.test_run(fd, (0, 0, 0, 0), (address(ctx), len(ctx), 0, 0), 0)
        bpf(abi.PROG_TEST_RUN, attributes)
        return abi.RunOut.unpack(attributes).retval, b"", bytes(ctx), 0
    out = abi.RunOut.unpack(attributes)
    return out.retval, bytes(room[: out.size_out]), bytes(ctx_room[: out.ctx_size_out]), out.duration


def function(fd: int, name: str) -> int:
    """Return the BTF id of a loaded program's function, 0 where there is none."""
    found = info(fd)
    number = struct.unpack_from("=I", found, _BTF_ID_AT)[0] if len(found) >= _BTF_ID_AT + 4 else 0
    if not number:
        return 0
    descriptor = bpf(abi.BTF_GET_FD_BY_ID, abi.words(number, 0, 0))
    try:
        btf = Btf.parse(btf_bytes(descriptor), name="target")
    finally:
        os.close(descriptor)
    return btf.find(name, "func") or 0
