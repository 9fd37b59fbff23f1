"""The gate for what a program says: its greeting, and its answers, compared with what was asked."""

from __future__ import annotations

import struct

from everykernel.namedtuple import NamedTuple
from everykernel.remote.batch import LIMIT, Batch, Order

MAGIC = b"ekdoor1\n"
HELLO = len(MAGIC) + 16
HEAD = 16  # bytes of an answer before its results
_ERRORS = 4095  # include/linux/err.h: MAX_ERRNO
_PAGES = [1 << bits for bits in range(12, 17)]


class Odd(Exception):
    """What no program of ours says."""


class Hello(NamedTuple):
    """What the program says of its machine."""

    byteorder: Order
    pointer_size: int
    page_size: int


def hello(data: bytes) -> Hello:
    """Return what a greeting says; raise Odd for another."""
    order: Order = "little" if data[8:9] == b"\x04" else "big"
    told, pointer, page, limit = struct.unpack("<4I" if order == "little" else ">4I", data[len(MAGIC) :])
    if not data.startswith(MAGIC) or told != 0x01020304 or limit != LIMIT:
        raise Odd("its greeting is none")
    if pointer not in (4, 8) or page not in _PAGES:
        raise Odd(f"its machine has pointers of {pointer} bytes and pages of {page}")
    return Hello(order, pointer, page)


def length(head: bytes, order: Order, asked: Batch) -> int:
    """Return how many bytes of an answer follow its head; raise Odd for more than it can have."""
    size = int.from_bytes(head[:4], order) - (HEAD - 4)
    most = 8 * len(asked.steps) + sum(8 + len(buffer.data) for buffer in asked.buffers)
    if not 8 * len(asked.steps) <= size <= most:
        raise Odd(f"an answer of {size} bytes, where {most} are the most")
    return size


def answer(head: bytes, body: bytes, order: Order, asked: Batch, number: int) -> list[int]:
    """Return the result of each step, the buffers' bytes in place; raise Odd for what is no answer to ``asked``."""
    sign = "<" if order == "little" else ">"
    _, changed, told = struct.unpack(f"{sign}IIQ", head)
    if told != number:
        raise Odd("an answer to what was not asked")
    results = list(struct.unpack_from(f"{sign}{len(asked.steps)}q", body))
    if any(result < -_ERRORS for result in results):
        raise Odd("a result that no system call has")
    at, last = 8 * len(results), -1
    for _ in range(changed):
        if at + 8 > len(body):
            raise Odd("an answer that ends within")
        index, size = struct.unpack_from(f"{sign}II", body, at)
        at += 8
        if not last < index < len(asked.buffers):
            raise Odd(f"buffer {index}, of {len(asked.buffers)}")
        data = asked.buffers[index].data
        if not 0 < size <= min(len(data), len(body) - at):
            raise Odd(f"{size} bytes of a buffer of {len(data)}")
        data[:size] = body[at : at + size]
        at, last = at + size, index
    if at != len(body):
        raise Odd("an answer with more behind it")
    asked.settle()
    return results
