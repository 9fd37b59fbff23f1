"""Objects inside files: a program, a library or any file as the objects in it, each called ``FILE:NAME``.

What is inside is found by `everykernel.object.embedded`; this module knows files. A file that is an object itself, and
one that is neither that nor holds any (a damaged object), stands for itself.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from everykernel.errors import UsageError
from everykernel.object import elf

if TYPE_CHECKING:
    from everykernel.object.embedded import Embedded, Found

_HEAD = 64  # bytes that tell an object from a file that may hold some
_LINKED = (2, 3)  # ET_EXEC, ET_DYN


def split(text: str) -> tuple[Path, str]:
    """Return the file that a path means and the name of an object inside it, "" without one (``mytool:bpf``)."""
    path = Path(text)
    holder, colon, part = text.rpartition(":")
    if colon and part and holder and not path.exists() and Path(holder).is_file():
        return Path(holder), part
    return path, ""


def parts(text: str, byteorder: str) -> list[str]:
    """Return what a path means, as paths again: itself for an object, one ``FILE:NAME`` for each in another file.

    Of objects in both byte orders those of ``byteorder`` are meant. Raises ObjectUnsupported for an ELF program without
    any, UsageError for one that cannot be read or has no object of that name.
    """
    path, part = split(text)
    if part:
        content(path, part)
        return [text]
    if not holds(path):
        return [text]
    return [f"{text}:{found.name}" for found in _of_target(path, byteorder)]


def holds(path: Path) -> bool:
    """Whether a file is no object itself, and objects are to be looked for inside: an ELF program, or it has some."""
    head = _head(path)
    if elf.is_object(head):
        return False
    return _is_program(head) or bool(inside(path).objects)


def only(path: Path, byteorder: str) -> str:
    """Return the name of the one object inside a file; raise UsageError where there are several."""
    found = _of_target(path, byteorder)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise UsageError(f"holds {len(found)} objects", where=str(path), remedy=f"name one, {path.name}:NAME: {names}")
    return found[0].name


def content(path: Path, part: str) -> bytes:
    """Return the bytes of an object inside a file; raise UsageError where it has none of that name."""
    known = {one.name: one for one in inside(path).objects}
    if part not in known:
        remedy = f"it has {', '.join(known) or 'none'}"
        raise UsageError(f"there is no object {part!r} in it", where=str(path), remedy=remedy)
    return known[part].data


def inside(path: Path) -> Found:
    """Return the objects inside a file, looked for once while it stays as it is; raise UsageError if unreadable."""
    try:
        stat = path.stat()
        return _inside(path, stat.st_mtime_ns, stat.st_size)
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(path)) from e


@lru_cache(maxsize=16)
def _inside(path: Path, _changed: int, _size: int) -> Found:
    from everykernel.object import embedded  # most objects are files of their own

    return embedded.find(path.read_bytes(), str(path))


def _of_target(path: Path, byteorder: str) -> list[Embedded]:
    from everykernel.object import embedded

    found = inside(path)
    if not found.objects:
        raise embedded.none_in(found, str(path))
    return embedded.of_target(found.objects, byteorder)


def _is_program(head: bytes) -> bool:
    """Whether a file begins as an ELF program or a shared library does."""
    kind = int.from_bytes(head[16:18], "big" if head[5:6] == b"\2" else "little")
    return head.startswith(b"\x7fELF") and len(head) == _HEAD and kind in _LINKED


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(path)) from e
