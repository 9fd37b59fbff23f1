"""What a program says is believed as far as it answers what was asked."""

from __future__ import annotations

import contextlib
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everykernel.errors import GuestLost
from everykernel.load.system.block import Block
from everykernel.remote import gate
from everykernel.remote.batch import CALL, Batch, Mapped, offsets
from everykernel.remote.line import Line
from everykernel.remote.stream import DeadlinePassed, StreamClosed

HELLO = gate.MAGIC + struct.pack(">4I", 0x01020304, 8, 4096, 16 << 20)


class Said:
    """A far end that says what it was told to, whatever it is asked."""

    def __init__(self, *said: bytes) -> None:
        self.said = bytearray(b"".join(said))
        self.asked = b""

    def send(self, data: bytes, deadline: float) -> None:
        self.asked += data

    def take(self, size: int, deadline: float) -> bytes:
        if len(self.said) < size:
            raise StreamClosed if not self.said else DeadlinePassed
        found = bytes(self.said[:size])
        del self.said[:size]
        return found


def _batch() -> Batch:
    """One call with a buffer of 4 bytes and one of 8."""
    batch = Batch("big")
    batch.step(CALL, batch.buffer(bytearray(4)), batch.buffer(bytearray(8)), call=7)
    return batch


def _answer(*changed: tuple[int, bytes], result: int = 0, number: int = 5, size: int | None = None) -> bytes:
    body = struct.pack(">q", result) + b"".join(struct.pack(">II", i, len(d)) + d for i, d in changed)
    return struct.pack(">IIQ", 12 + len(body) if size is None else size, len(changed), number) + body


def _heard(said: bytes, batch: Batch) -> list[int]:
    size = gate.length(said[:16], "big", batch)
    return gate.answer(said[:16], said[16 : 16 + size], "big", batch, 5)


def test_an_answer() -> None:
    """Results come back, and what the machine wrote is in the buffers."""
    batch = _batch()
    assert _heard(_answer((0, b"ab"), (1, b"12345678"), result=-2), batch) == [-2]
    assert [bytes(buffer.data) for buffer in batch.buffers] == [b"ab\0\0", b"12345678"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (_answer(number=6), "an answer to what was not asked"),
        (_answer(size=1 << 31), "an answer of 2147483636 bytes, where 36 are the most"),
        (_answer(size=3), "an answer of -9 bytes"),
        (_answer((0, b"abcde")), "5 bytes of a buffer of 4"),
        (_answer((2, b"a")), "buffer 2, of 2"),
        (_answer((1, b"a"), (0, b"a")), "buffer 0, of 2"),
        (_answer((0, b"a"), (0, b"a")), "buffer 0, of 2"),
        (_answer((0, b"")), "0 bytes of a buffer"),
        (_answer(result=-4096), "a result that no system call has"),
        (_answer()[:4] + struct.pack(">I", 1) + _answer()[8:], "an answer that ends within"),
        (struct.pack(">I", 24) + _answer()[4:] + b"1234", "an answer with more behind it"),
    ],
)
def test_answers_that_are_none(said: bytes, why: str) -> None:
    """Each is told apart, and nothing of it is kept."""
    with pytest.raises(gate.Odd, match=why):
        _heard(said, _batch())


@pytest.mark.parametrize(
    "said",
    [
        b"Welcome!\n" * 3,
        gate.MAGIC + bytes(16),
        gate.MAGIC + struct.pack("<4I", 0x01020304, 16, 4096, 16 << 20),
        gate.MAGIC + struct.pack("<4I", 0x01020304, 8, 3, 16 << 20),
        gate.MAGIC + struct.pack("<4I", 0x01020304, 8, 4096, 1),
    ],
)
def test_greetings_that_are_none(said: bytes) -> None:
    """Who does not greet as the program does ends the line, and it stays ended."""
    line = Line(Said(said), "lab")
    with pytest.raises(GuestLost, match=r"^lab: ") as caught:
        line.greet()
    with pytest.raises(GuestLost) as again:
        line.exchange(_batch(), "big")
    assert again.value is caught.value


@given(st.binary(min_size=16, max_size=120), st.integers(0, 40))
def test_whatever_is_said_is_an_answer_or_odd(said: bytes, changed: int) -> None:
    """Nothing that a program says raises anything else, and no buffer grows."""
    batch = _batch()
    for data in (said, _answer((0, said[:4]), (1, said[4:12]))[:8] + said, said[:4] + _answer()[4:] + said):
        with contextlib.suppress(gate.Odd):
            _heard(data[:4] + changed.to_bytes(4, "big") + data[8:], batch)
        assert [len(buffer.data) for buffer in batch.buffers] == [4, 8]


def test_what_a_login_says_comes_before() -> None:
    """A message of the day is passed over, up to a limit."""
    said = Said(b"Last login: ekdoo\nekdoor\n", HELLO)
    assert Line(said, "lab").greet() == ("big", 8, 4096)
    with pytest.raises(GuestLost, match="broken"):
        Line(Said(b"y\n" * (40 << 10), HELLO), "lab").greet()


def test_a_deadline_tells_what_was_done() -> None:
    """An answer that does not come ends the line, which says at what."""
    line = Line(Said(b"1234"), "lab")
    line.deadline, line.doing = time.monotonic(), "bpf(2), command 5"
    with pytest.raises(GuestLost, match=r"no answer in time to bpf\(2\), command 5"):
        line.exchange(_batch(), "big")


def test_answers_are_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers on and on, each time in time, is ended by the deadline of the whole, or by what it said."""
    monkeypatch.setattr("secrets.randbits", lambda bits: 5)
    line = Line(Said(_answer() * 3), "lab")
    line.deadline = time.monotonic() - 1
    with pytest.raises(GuestLost, match="no answer in time"):
        line.exchange(_batch(), "big")
    monkeypatch.setattr("everykernel.remote.line._MOST", 20)
    line = Line(Said(_answer() * 3), "lab")
    for _ in range(2):
        line.exchange(_batch(), "big")
    with pytest.raises(GuestLost, match="more than 0 MiB of answers"):
        line.exchange(_batch(), "big")


def test_structs_are_packed_without_addresses() -> None:
    """A field that points to something is zero in the struct, and a patch says to what."""
    batch, name = Batch("big"), bytearray(b"name\0")

    class Memory:
        mapped = Mapped(3)

    block = Block("IQ", 1, name)
    made = batch.struct(("I4xQQQ3s", 9, block, name, Memory(), b"abc"))
    assert bytes(made.data) == struct.pack(">I4xQQQ3s", 9, 0, 0, 0, b"abc")
    frame = batch.frame(1)
    assert struct.unpack_from(">3I", frame, 4) == (3, 4, 0)
    patches = [struct.unpack_from(">3I", frame, 24 + 3 * 8 + 16 * n) for n in range(4)]
    assert sorted(patches) == [(1, 4, 0), (2, 8, 1), (2, 16, 0), (2, 24, 0x80000003)]
    batch.buffers[1].data[0:4] = b"\0\0\0\7"
    batch.settle()
    assert block.fields[0] == 7


def test_offsets() -> None:
    """Values follow one another without gaps but for those that are written down."""
    assert offsets("I4xQ16s2HQ") == (0, 8, 16, 32, 34, 36)
