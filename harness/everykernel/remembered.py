"""What an earlier process has learnt of a kernel's BTF (`btf.learnt`), kept in the cache for the next.

A third of a short command's time goes into walking a vmlinux's records. What is kept is found by the BTF's size and
CRC-32, and names them once more inside; where there is no cache, or a damaged one, nothing is remembered.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zlib

from everykernel import home
from everykernel.btf import Btf
from everykernel.btf.header import MAGIC
from everykernel.errors import EverykernelError

FOLDER = "btf"
_FORMAT = 1  # of `btf.learnt.pack`: raise it when that changes
_OURS = MAGIC.to_bytes(2, sys.byteorder)  # what is learnt has the byte order of its BTF
_WORTH = 1 << 20  # bytes of BTF: less is walked sooner than it is looked for


def btf(raw: bytes, *, base: Btf | None = None, name: str = "vmlinux") -> Btf:
    """Return the BTF of raw bytes, as `Btf.parse` does; what is learnt of a kernel's is kept. Raises BtfMalformed."""
    if base is not None or len(raw) < _WORTH or not raw.startswith(_OURS):
        return Btf.parse(raw, base=base, name=name)
    entry = f"learnt-{_FORMAT}-{len(raw)}-{zlib.crc32(raw):08x}"
    found = Btf.parse(raw, name=name, learnt=_kept(entry))
    if not found.learnt:
        _keep(entry, found.learn())
    return found


def _kept(entry: str) -> bytes:
    """Return what is kept, sound and our own; nothing else."""
    root = home.cache()
    path = root / FOLDER / entry
    with contextlib.suppress(OSError, EverykernelError):
        data = path.read_bytes()
        home.check_ours(root)
        os.utime(path)  # used now: the least recently used is thrown away first
        if zlib.crc32(data[4:]) == int.from_bytes(data[:4], "little"):
            return data[4:]
    return b""


def _keep(entry: str, data: bytes) -> None:
    if not data:
        return
    from everykernel import cache

    with contextlib.suppress(EverykernelError):
        cache.write(cache.entry(FOLDER, entry), zlib.crc32(data).to_bytes(4, "little") + data)
