"""What goes into a system call and comes out of it: structs, and the buffers that they point to.

A struct is written down by its fields: a format of `struct` without a byte order, then the values. A pointer's field is
``Q``, and its value is the buffer itself: a bytearray, `Memory`, or a `Block`, a struct of its own. So what is asked
holds no addresses and no byte order, and whoever makes the call knows all that it needs.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Any, Protocol

Fields = tuple[Any, ...]  # a format, then int, bytes (of a name) or a buffer for each of its fields


class Memory(Protocol):
    """Memory that is shared with the kernel."""

    def __getitem__(self, where: slice) -> bytes:
        """Return bytes as they are now."""

    def __setitem__(self, where: slice, data: bytes) -> None:
        """Set bytes."""

    def find(self, what: bytes) -> int:
        """Return where bytes first are, -1 where they are not."""

    def close(self) -> None:
        """Unmap it."""


class Block:
    """A struct that an argument points to.

    Attributes:
        fields: what goes in; after the call the values as the kernel left them, without the format.
    """

    __slots__ = ("fields", "format")

    def __init__(self, format_: str, *values: Any) -> None:
        self.format = format_
        self.fields = values


def text(value: str) -> bytearray:
    """Return a buffer with a string as the kernel takes it: what is no UTF-8 as it came, and a NUL."""
    return bytearray(value.encode("utf-8", "surrogateescape") + b"\0")
