"""The dynamic loader's cache of libraries, /etc/ld.so.cache: which file stands for a library's name.

Layout: struct cache_file_new and struct file_entry_new of glibc's sysdeps/generic/dl-cache.h; an older cache may stand
before it. A cache that cannot be read holds nothing: the default folders are looked in then, as the loader does.
"""

from __future__ import annotations

import struct
from pathlib import Path

CACHE = Path("/etc/ld.so.cache")

_OLD, _NEW = b"ld.so-1.7.0", b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")  # magic, entries, bytes of strings, flags, extension
_ENTRY = struct.Struct("<iIIIQ")  # flags, key, value, OS version, hardware capabilities
_OLD_HEADER, _OLD_ENTRY = 16, 12
_SIZE_LIMIT = 64 << 20


def read(path: Path = CACHE) -> dict[str, list[str]]:
    """Return the files that the cache has for each name of a library, in its order."""
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            return {}
        data = path.read_bytes()
        return _entries(data)
    except (OSError, struct.error, ValueError, IndexError):
        return {}


def _entries(data: bytes) -> dict[str, list[str]]:
    start = 0
    if data.startswith(_OLD):
        count = struct.unpack_from("<I", data, 12)[0]
        start = (_OLD_HEADER + count * _OLD_ENTRY + 7) & ~7
    magic, count, *_ = _HEADER.unpack_from(data, start)
    if magic != _NEW:
        return {}
    found: dict[str, list[str]] = {}
    for index in range(count):
        _, key, value, _, _ = _ENTRY.unpack_from(data, start + _HEADER.size + index * _ENTRY.size)
        found.setdefault(_string(data, start + key), []).append(_string(data, start + value))
    return found


def _string(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode("utf-8", "surrogateescape")
