"""freplace: a program takes the place of a global function of another program that is loaded already.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Optional

from everykernel.btf import Btf
from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.types import btf_bytes
from everykernel.load.programs.loading import Target
from everykernel.load.system import abi
from everykernel.load.system.syscalls import address, bpf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.load.loaded import Program

_BTF_ID_AT = 128  # offset of btf_id in struct bpf_prog_info (Linux commit 838e96904ff3, v5.0)
_NO_ATTACH_TYPE = "cgroup_inet_ingress"  # number 0, which is what programs of this type are loaded with


def find_target(target: str, programs: Mapping[str, Program]) -> tuple[Target, Optional[Reason]]:
    """Return what ``PROGRAM:FUNCTION`` of the same object is in the kernel, or why it is nothing.

    The target's BTF is the kernel's copy of it: type ids count from there.
    """
    name, colon, function = target.partition(":")
    if not colon:
        why = "it replaces a function of another program, and none is given: name both as program:function"
        return Target(), Reason("attach-target-missing", why)
    found = programs.get(name)
    if found is None or found.fd < 0:
        return Target(), Reason("attach-target-missing", f"program {name!r}, whose function it replaces, is not loaded")
    number = _function(found.fd, function)
    if not number:
        return Target(), Reason("attach-target-missing", f"program {name!r} has no function {function!r} in its BTF")
    return Target(number, found.fd), None


def attach(fd: int, target: str, programs: Mapping[str, Program]) -> Link:
    """Put a program in the place of ``PROGRAM:FUNCTION``: of what it was loaded for, or of another function like it.

    By a link with a target of its own: Linux commit 4a1e7c0c63e0 (v5.10).
    """
    place, missing = find_target(target, programs)
    if missing is not None:
        raise NotAttached(missing.message, code=missing.code)
    extra = struct.pack("=I", place.type_id)
    return outcome.create(fd, place.btf_fd, _NO_ATTACH_TYPE, f"freplace {target}", extra=extra)


def _function(fd: int, name: str) -> int:
    """Return the BTF id of a loaded program's function, 0 where there is none."""
    info = bytearray(232)
    bpf(abi.OBJ_GET_INFO_BY_FD, abi.info(fd, address(info), len(info)))
    number = struct.unpack_from("=I", info, _BTF_ID_AT)[0]
    if not number:
        return 0
    descriptor = bpf(abi.BTF_GET_FD_BY_ID, abi.words(number, 0, 0))
    try:
        btf = Btf.parse(btf_bytes(descriptor), name="target")
    finally:
        os.close(descriptor)
    return btf.find(name, "func") or 0
