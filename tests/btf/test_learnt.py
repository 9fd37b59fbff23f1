"""What was found out about a BTF elsewhere: the same as here, and nothing where it is another BTF."""

from __future__ import annotations

import struct
import sys

import pytest
from tests.btfwriter import Writer

from everykernel.btf import Btf
from everykernel.btf.learnt import Learnt, pack, unpack


def _image(byteorder: str, more: int = 0) -> bytes:
    writer = Writer(big=byteorder == "big")
    integer = writer.integer("int", signed=True)
    for number in range(40 + more):
        writer.struct(f"thing_{number % 30}", 8, [("a", integer, 0), ("b", integer, 32)])
    writer.struct("thing_7___old", 4, [("a", integer, 0)])
    writer.struct("thing_7___new", 4, [("a", integer, 0)])
    writer.struct("", 4, [("a", integer, 0)])
    return writer.image()


def test_it_is_as_if_found_out_here() -> None:
    """Types are found by name, with their flavours, and nothing is sorted anew."""
    data = _image(sys.byteorder)
    own = Btf.parse(data)
    known = Btf.parse(data, learnt=own.learn())
    assert known.index.sorted() == own.index.sorted()
    assert known.count == own.count
    for name in ("thing_7", "thing_12", "int", "thing_7___old", "no_such_thing"):
        for flavours in (False, True):
            assert known.index.find(name, flavours=flavours) == own.index.find(name, flavours=flavours)
    assert len(known.index.find("thing_7", flavours=True)) == 4
    assert [known.type(n) for n in range(known.count)] == [own.type(n) for n in range(own.count)]


@pytest.mark.parametrize("learnt", [b"", b"short", Btf.parse(_image(sys.byteorder, more=1)).learn()])
def test_of_another_btf_it_is_not_looked_at(learnt: bytes) -> None:
    """Then everything is found out here."""
    data = _image(sys.byteorder)
    assert unpack(learnt, data) is None
    assert Btf.parse(data, learnt=learnt).index.sorted() == Btf.parse(data).index.sorted()


def test_it_has_the_order_of_the_machine_that_it_is_for() -> None:
    """Numbers have the byte order of the BTF, which is its machine's."""
    big = sys.byteorder == "little"
    words = Btf.parse(_image("big" if big else "little")).learn()[20:28]
    assert struct.unpack(">2I" if big else "<2I", words) == (0, 4)  # an int's record has four words


def test_what_is_packed_is_unpacked() -> None:
    """Also where nothing has a name."""
    own = Btf.parse(_image(sys.byteorder))
    empty = Learnt(own.words()[1], own.words()[1][:0], own.words()[1][:0], [])
    found = unpack(pack(empty, own.raw, own.byteorder), own.raw)
    assert found is not None
    assert (found.offsets, list(found.ids), list(found.names)) == (empty.offsets, [], [])


def test_names_that_cannot_be_sorted_are_not_learnt() -> None:
    """Each may point to the longest string: together they would take more memory than there is."""
    writer = Writer()
    integer = writer.integer("x" * (1 << 20), signed=True)
    for _ in range(100):
        writer.typedef("y", integer)
    assert Btf.parse(writer.image()).learn() == b""
