"""Many elements of a map by one system call, or one by one where the kernel has no such operation for the map.

BPF_MAP_*_BATCH are of Linux commit aa2e93b8e58e ("bpf: Add generic support for update and delete batch ops") and its
neighbours (v5.6); map types got them one after another (per-CPU arrays in v5.13). The kernel says by errno that it has
none: ENOTSUPP for the map's type, EINVAL for a command that it does not know.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Optional

from everykernel.load.system import abi
from everykernel.load.system.errnos import ENOTSUPP, failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.load.system.block import Fields
    from everykernel.load.system.door import System

_ROOM = 1 << 18  # bytes of keys and values a call at first; a hash whose buckets hold more asks for more by ENOSPC
_NONE = (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP)


class NoBatch(Exception):
    """The kernel did nothing, and has no such operation for this map."""


def read(system: System, fd: int, key_size: int, value_size: int, *, delete: bool) -> list[tuple[bytes, bytes]]:
    """Return all elements, packed; ``delete``: and take them out. Raises NoBatch, OSError."""
    command = abi.MAP_LOOKUP_AND_DELETE_BATCH if delete else abi.MAP_LOOKUP_BATCH
    found: list[tuple[bytes, bytes]] = []
    place: Optional[bytearray] = None  # where the walk goes on: a key, or a number of 4 bytes
    count = max(1, _ROOM // max(1, key_size + value_size))
    while True:
        keys, values = bytearray(count * key_size), bytearray(count * value_size)
        following = bytearray(max(key_size, 4))
        start = place if place is not None else 0
        error, fields = system.bpf_fields(command, abi.batch(fd, start, following, keys, values, count))
        if error == errno.ENOSPC:
            count *= 2
            continue
        if error not in (0, errno.ENOENT):
            raise _failure(error, begun=place is not None)
        for at in range(fields[abi.BATCH_COUNT]):
            key = bytes(keys[at * key_size : (at + 1) * key_size])
            found.append((key, bytes(values[at * value_size : (at + 1) * value_size])))
        if error == errno.ENOENT:  # that was the last
            return found
        place = following


def update(system: System, fd: int, keys: Sequence[bytearray], values: Sequence[bytearray], flags: int) -> None:
    """Set these elements, packed. Raises NoBatch, OSError: those before the one that was refused are set."""
    packed, data = bytearray(b"".join(keys)), bytearray(b"".join(values))
    _change(system, abi.MAP_UPDATE_BATCH, abi.batch(fd, 0, 0, packed, data, len(keys), flags), len(keys))


def delete(system: System, fd: int, keys: Sequence[bytearray]) -> None:
    """Delete these keys, packed. Raises NoBatch, OSError: those before the one that is not there are gone."""
    packed = bytearray(b"".join(keys))
    _change(system, abi.MAP_DELETE_BATCH, abi.batch(fd, 0, 0, packed, 0, len(keys)), len(keys))


def _change(system: System, command: int, attributes: Fields, count: int) -> None:
    error, fields = system.bpf_fields(command, attributes)
    if error:  # a kernel that does not come to the elements leaves the count as it is
        raise _failure(error, begun=0 < fields[abi.BATCH_COUNT] < count)


def _failure(error: int, *, begun: bool) -> Exception:
    return NoBatch() if error in _NONE and not begun else failure(error)
