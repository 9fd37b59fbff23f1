"""What is asked of a program at once: steps, and the buffers that they point to. Its other half is program/door.c.

A step is a system call, or one of the few things that need the program's own memory. An argument is a number, a buffer,
the result of an earlier step (what needs the result of one that failed fails alike, and is not done), or mapped memory.
A buffer comes back as far as it is not what it was.
"""

from __future__ import annotations

import errno
import re
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from everykernel.load.system.block import Block, Fields

Order = Literal["little", "big"]
LIMIT = 16 << 20  # bytes of a request, and of its buffers
STEPS, BUFFERS, PATCHES = 64, 1024, 1024
CALL, FILL, MAP, UNMAP, PEEK, POKE, FIND = range(7)
_VALUE, _BUFFER, _RESULT, _MEMORY = range(4)
_HEADS = 64 << 10  # bytes that are enough for all that is not a buffer
_OF_MEMORY = 1 << 31
_WORD = (1 << 64) - 1
_ARGUMENTS = 6
_POINTERS = re.compile(r"(\d*)([a-zA-Z])")


@dataclass(frozen=True)
class Result:
    """The result of a step, by its number."""

    step: int


@dataclass(frozen=True)
class Mapped:
    """Memory that the program has mapped, by its number."""

    number: int


@dataclass
class Buffer:
    """Bytes that a step sees.

    Attributes:
        data: what goes in; after the exchange, what the machine left there.
        number: of it in the batch.
    """

    data: bytearray
    number: int


def _too_large(what: str) -> OSError:
    return OSError(errno.E2BIG, f"too much for one request: {what}")


class Batch:
    """One request in the making, in the byte order of the machine that it is for."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._sign = "<" if order == "little" else ">"
        self.buffers: list[Buffer] = []
        self.steps: list[bytes] = []
        self._patches: list[tuple[int, int, int]] = []
        self._blocks: list[tuple[Block, Buffer]] = []
        self._known: dict[int, Buffer] = {}  # a bytearray that several fields point to is one buffer
        self._size = 0

    def buffer(self, data: bytearray) -> Buffer:
        """Return a buffer of these bytes, which the machine changes; raise OSError for more than fits."""
        found = self._known.get(id(data))
        if found is None:
            self._size += len(data) // 8 * 8 + 8
            if self._size > LIMIT - _HEADS or len(self.buffers) == BUFFERS:
                raise _too_large(f"{len(self.buffers)} buffers of {self._size} bytes")
            found = self._known[id(data)] = Buffer(data, len(self.buffers))
            self.buffers.append(found)
        return found

    def struct(self, fields: Fields) -> Buffer:
        """Return a buffer of a struct, and those that it points to; blocks have their fields back after `settle`."""
        format_, *values = fields
        where = offsets(format_)
        pointers: list[tuple[int, int]] = []
        for index, value in enumerate(values):
            if isinstance(value, (int, bytes)):
                continue
            values[index] = 0
            if isinstance(value, Block):
                inner = self.struct((value.format, *value.fields))
                self._blocks.append((value, inner))
                pointers.append((where[index], inner.number))
            elif isinstance(value, bytearray):
                if value:
                    pointers.append((where[index], self.buffer(value).number))
            else:
                pointers.append((where[index], _OF_MEMORY | value.mapped.number))
        made = self.buffer(bytearray(struct.pack(self._sign + format_, *values)))
        self._patches += [(made.number, offset, to) for offset, to in pointers]
        return made

    def step(self, kind: int, *arguments: int | Buffer | Result | Mapped, call: int = 0) -> Result:
        """Add a step and return what stands for its result."""
        kinds, values = 0, [0] * _ARGUMENTS
        for index, value in enumerate(arguments):
            if isinstance(value, int):
                values[index] = value & _WORD
            else:
                of, number = _reference(value)
                kinds |= of << 4 * index
                values[index] = number
        self.steps.append(struct.pack(f"{self._sign}4I6Q", kind, call, kinds, 0, *values))
        return Result(len(self.steps) - 1)

    def frame(self, number: int) -> bytes:
        """Return the request; ``number`` comes back with its answer. Raises OSError for more than fits."""
        if len(self.steps) > STEPS or len(self._patches) > PATCHES:
            raise _too_large(f"{len(self.steps)} steps with {len(self._patches)} pointers")
        heads, data = [], []
        for buffer in self.buffers:
            given = b"" if buffer.data.count(0) == len(buffer.data) else bytes(buffer.data)
            heads.append(struct.pack(f"{self._sign}II", len(buffer.data), len(given)))
            data.append(given.ljust(len(given) + 7 & ~7, b"\0"))
        patches = [struct.pack(f"{self._sign}4I", *patch, 0) for patch in self._patches]
        body = b"".join([*heads, *patches, *self.steps, *data])
        counts = len(self.buffers), len(self._patches), len(self.steps)
        return struct.pack(f"{self._sign}4IQ", 20 + len(body), *counts, number) + body

    def settle(self) -> None:
        """Give blocks the fields that the machine left; after the answer's bytes are in the buffers."""
        for block, buffer in self._blocks:
            block.fields = struct.unpack(self._sign + block.format, buffer.data)


def _reference(value: Buffer | Result | Mapped) -> tuple[int, int]:
    if isinstance(value, Buffer):
        return _BUFFER, value.number
    return (_RESULT, value.step) if isinstance(value, Result) else (_MEMORY, value.number)


@cache
def offsets(format_: str) -> tuple[int, ...]:
    """Return where each value of a format without alignment is."""
    found, at = [], 0
    for many, kind in _POINTERS.findall(format_):
        count = int(many or 1)
        if kind in "sx":
            found += [at] if kind == "s" else []
            at += count
            continue
        size = struct.calcsize(f"<{kind}")
        found += [at + size * index for index in range(count)]
        at += size * count
    return tuple(found)


def words(*values: Any, long: int, order: Order) -> bytearray:
    """Return values of a ``long`` each."""
    return bytearray(b"".join((value & ((1 << 8 * long) - 1)).to_bytes(long, order) for value in values))
