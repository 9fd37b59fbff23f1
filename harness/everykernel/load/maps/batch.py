"""Many elements of a map by one system call, or one by one where the kernel has no such operation for the map.

BPF_MAP_*_BATCH are of Linux commit aa2e93b8e58e ("bpf: Add generic support for update and delete batch ops") and its
neighbours (v5.6); map types got them one after another (per-CPU arrays in v5.13). The kernel says by errno that it has
none: ENOTSUPP for the map's type, EINVAL for a command that it does not know.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Optional

from everykernel.load.system import abi
from everykernel.load.system.syscalls import ENOTSUPP, address, bpf

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOM = 1 << 18  # bytes of keys and values a call at first; a hash whose buckets hold more asks for more by ENOSPC
_NONE = (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP)


class NoBatch(Exception):
    """The kernel did nothing, and has no such operation for this map."""


def read(fd: int, key_size: int, value_size: int, *, delete: bool) -> list[tuple[bytes, bytes]]:
    """Return all elements, packed; ``delete``: and take them out. Raises NoBatch, OSError."""
    command = abi.MAP_LOOKUP_AND_DELETE_BATCH if delete else abi.MAP_LOOKUP_BATCH
    found: list[tuple[bytes, bytes]] = []
    place: Optional[bytearray] = None  # where the walk goes on: a key, or a number of 4 bytes
    count = max(1, _ROOM // max(1, key_size + value_size))
    while True:
        keys, values = bytearray(count * key_size), bytearray(count * value_size)
        following = bytearray(max(key_size, 4))
        start = address(place) if place is not None else 0
        attributes = abi.batch(fd, start, address(following), address(keys), address(values), count)
        error = _call(command, attributes)
        if error == errno.ENOSPC:
            count *= 2
            continue
        if error not in (0, errno.ENOENT):
            raise _failure(error, begun=place is not None)
        for at in range(abi.batch_count(attributes)):
            key = bytes(keys[at * key_size : (at + 1) * key_size])
            found.append((key, bytes(values[at * value_size : (at + 1) * value_size])))
        if error == errno.ENOENT:  # that was the last
            return found
        place = following


def update(fd: int, keys: Sequence[bytearray], values: Sequence[bytearray], flags: int) -> None:
    """Set these elements, packed. Raises NoBatch, OSError: those before the one that was refused are set."""
    packed, data = bytearray(b"".join(keys)), bytearray(b"".join(values))
    _change(abi.MAP_UPDATE_BATCH, abi.batch(fd, 0, 0, address(packed), address(data), len(keys), flags), len(keys))


def delete(fd: int, keys: Sequence[bytearray]) -> None:
    """Delete these keys, packed. Raises NoBatch, OSError: those before the one that is not there are gone."""
    packed = bytearray(b"".join(keys))
    _change(abi.MAP_DELETE_BATCH, abi.batch(fd, 0, 0, address(packed), 0, len(keys)), len(keys))


def _change(command: int, attributes: bytearray, count: int) -> None:
    error = _call(command, attributes)
    if error:  # a kernel that does not come to the elements leaves the count as it is
        raise _failure(error, begun=0 < abi.batch_count(attributes) < count)


def _call(command: int, attributes: bytearray) -> int:
    """Return the errno, 0 without an error."""
    try:
        bpf(command, attributes)
    except OSError as e:
        return e.errno or 0
    return 0


def _failure(error: int, *, begun: bool) -> Exception:
    return NoBatch() if error in _NONE and not begun else OSError(error, os.strerror(error))
