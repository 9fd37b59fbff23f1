"""Memory that a program has mapped, read and written by its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.remote.batch import FIND, PEEK, POKE, UNMAP, Mapped

if TYPE_CHECKING:
    from everykernel.remote.system import Remote

_CHUNK = 4 << 20  # bytes that one step reads or writes


class RemoteMemory:
    """A `Memory` of another machine.

    Attributes:
        mapped: what stands for it in a batch.
    """

    def __init__(self, system: Remote, number: int, size: int) -> None:
        self._system = system
        self.mapped = Mapped(number)
        self._size = size

    def __getitem__(self, where: slice) -> bytes:
        start, stop, _ = where.indices(self._size)
        return b"".join(self._part(at, min(stop - at, _CHUNK)) for at in range(start, stop, _CHUNK))

    def __setitem__(self, where: slice, data: bytes) -> None:
        start, stop, _ = where.indices(self._size)
        if stop - start != len(data):
            raise IndexError("a slice is set to bytes of another number")
        for at in range(0, len(data), _CHUNK):
            part = bytearray(data[at : at + _CHUNK])
            batch = self._system.batch()
            batch.step(POKE, self.mapped.number, start + at, batch.buffer(part), len(part))
            self._system.sure(batch)

    def find(self, what: bytes) -> int:
        """Return where bytes first are, -1 where they are not."""
        batch = self._system.batch()
        batch.step(FIND, self.mapped.number, 0, batch.buffer(bytearray(what)), len(what))
        (result,) = self._system.done(batch)
        return result if 0 <= result < self._size else -1

    def close(self) -> None:
        """Unmap it."""
        batch = self._system.batch()
        batch.step(UNMAP, self.mapped.number)
        self._system.done(batch)

    def _part(self, at: int, size: int) -> bytes:
        batch, data = self._system.batch(), bytearray(size)
        batch.step(PEEK, self.mapped.number, at, batch.buffer(data), size)
        self._system.sure(batch)
        return bytes(data)
