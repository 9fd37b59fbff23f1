"""Writing files into a guest, part by part: neither side ever holds more than a part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from everykernel import wire
from everykernel.errors import RequestFailed, UsageError
from everykernel.files.tree import Item, Tree

if TYPE_CHECKING:
    from everykernel.machine.guest import Guest

_PART = 1 << 20  # bytes in a request
_ENTRIES = 256  # files in a request


def push(guest: Guest, tree: Tree) -> None:
    """Write a tree into a guest.

    Raises:
        RequestFailed: the guest has no room for it (``limit-exceeded``), or cannot write it.
        UsageError: a file cannot be read.
    """
    if not tree.items:
        return
    room = guest.request(wire.Room()).value
    if tree.bytes > room:
        asked = guest.spec.memory
        raise RequestFailed(
            f"the files take {_mebibytes(tree.bytes)} MiB, and a guest of {asked} MiB has room for {room >> 20}",
            code="limit-exceeded",
            where=guest.kernel.spec,
            remedy=f"--memory {_enough(asked, tree.bytes - room)}",
        )
    for entries in _requests(tree.items.values()):
        guest.request(wire.Place(entries))


def _requests(items: Iterable[Item]) -> Iterator[list[wire.Entry]]:
    """Yield the entries of each request."""
    waiting: list[wire.Entry] = []
    size = 0
    for entry in _entries(items):
        waiting.append(entry)
        size += len(entry.get("data", b""))
        if size >= _PART or len(waiting) >= _ENTRIES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _entries(items: Iterable[Item]) -> Iterator[wire.Entry]:
    """Yield an entry for each item, and for each part of a large file."""
    for item in items:
        if item.link:
            yield {"path": item.path, "mode": item.mode, "link": item.link}
        elif item.source is None:
            yield {"path": item.path, "mode": item.mode, "folder": True}
        else:
            yield from _parts(item)


def _parts(item: Item) -> Iterator[wire.Entry]:
    assert item.source is not None
    try:
        with item.source.open("rb") as file:
            left, append = item.size, False
            while True:
                data = file.read(min(_PART, left))  # no more than was counted
                yield {"path": item.path, "mode": item.mode, "data": data, "append": append}
                left, append = left - len(data), True
                if not data or left <= 0:
                    return
    except OSError as e:
        raise UsageError(f"cannot be read: {(e.strerror or '').lower()}", where=str(item.source)) from e


def _mebibytes(size: int) -> int:
    return -(-size >> 20)


def _enough(memory: int, missing: int) -> int:
    """Return MiB that a guest should have, of which half is for files."""
    while memory < 1 << 16 and missing > 0:
        missing -= memory << 19
        memory *= 2
    return memory
