"""Whatever the bytes are: typed errors only, in a time that their size bounds."""

from __future__ import annotations

import contextlib
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.btf.test_types import everything
from tests.btfwriter import Writer
from tests.core.relocating import load, mov, wide

from everykernel import core
from everykernel.btf import Btf, SizeUnknown, decode, ext, render, sanitise
from everykernel.btf.ext import CoreRecord
from everykernel.core.explain import explain
from everykernel.errors import BtfMalformed, ObjectMalformed

SECONDS = 5.0  # generous: what these inputs need is some milliseconds
SETTINGS = settings(max_examples=150, deadline=None)
IMAGE = everything().image()


def mutated(image: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    """The image with short runs of bytes overwritten."""
    data = bytearray(image)
    for at, new in changes:
        at %= len(data)
        data[at : at + len(new)] = new
    return bytes(data[: len(image)])


def changes(size: int) -> st.SearchStrategy[list[tuple[int, bytes]]]:
    one = st.tuples(st.integers(0, size - 1), st.binary(min_size=1, max_size=4))
    return st.lists(one, max_size=8)


def use(btf: Btf) -> None:
    """Do everything with a BTF that a user could."""
    for number in range(btf.count):
        try:
            found = btf.type(number)
            assert found == btf.type(number)
            render.layout(btf, number)
            render.declaration(btf, number, "x")
            assert btf.size_of(number) >= 0
            decode.value(btf, number, bytes(64))
        except (BtfMalformed, SizeUnknown):
            pass
    for name in ("s", "", "v", "long", "t"):
        btf.own_candidates(name)
        btf.own_named(name)
    btf.warm()
    assert btf.own_candidates("s") == btf.own_candidates("s")


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes_as_btf(data: bytes) -> None:
    """Bytes that are no BTF are refused with a typed error."""
    with contextlib.suppress(BtfMalformed):
        use(Btf.parse(data))


@SETTINGS
@example([(116, b"\n")])  # a section's variable with the id that the editor's placeholder has
@given(changes(len(IMAGE)))
def test_damaged_btf(wrong: list[tuple[int, bytes]]) -> None:
    """A damaged BTF can be used as far as it is sound, and every complaint is typed."""
    start = time.monotonic()
    try:
        btf = Btf.parse(mutated(IMAGE, wrong))
    except BtfMalformed:
        return
    use(btf)
    try:
        sanitise.needed(btf)
        Btf.parse(sanitise.sanitise(btf, ()))
    except BtfMalformed:
        pass
    assert time.monotonic() - start < SECONDS


def object_parts() -> tuple[bytes, bytes]:
    writer = everything()
    data = writer.ext(
        core={
            ".text": [(8 * n, n % 19 + 1, access, n % 13) for n, access in enumerate(["0", "0:0", "0:1", "1:0:2"] * 5)]
        },
        functions={".text": [(0, 12)]},
        lines={".text": [(0, "a.c", "x", 1024)]},
    )
    return writer.image(), data


LOCAL, EXT = object_parts()


@SETTINGS
@given(changes(len(EXT)))
def test_damaged_btf_ext(wrong: list[tuple[int, bytes]]) -> None:
    """A damaged .BTF.ext is refused or read, never followed out of its bytes."""
    with contextlib.suppress(ObjectMalformed):
        ext.parse(mutated(EXT, wrong), Btf.parse(LOCAL), name="o")


INSNS = (load(0), load(0, 8), mov(0), mov(1), wide(0), wide(1), b"", b"\x18", bytes(8), b"\xff" * 16)
RECORDS = st.builds(
    CoreRecord,
    st.just(0),
    st.integers(0, 25),
    st.one_of(st.sampled_from(["0", "0:0", "0:1", "1:0", "0:0:0", "0:2:1"]), st.text(":0123456789+- x", max_size=12)),
    st.integers(0, 14),
)


@SETTINGS
@given(changes(len(IMAGE)), changes(len(LOCAL)), st.lists(RECORDS, max_size=12), st.sampled_from(INSNS))
def test_any_record_on_damaged_types(
    kernel: list[tuple[int, bytes]], own: list[tuple[int, bytes]], records: list[CoreRecord], insn: bytes
) -> None:
    """Relocating never raises: whatever is wrong with object or kernel is the outcome of the record."""
    start = time.monotonic()
    try:
        local = Btf.parse(mutated(LOCAL, own), name="prog.bpf.o")
        target = core.Target(Btf.parse(mutated(IMAGE, kernel)))
    except BtfMalformed:
        return
    session = core.Session(local, target)
    for index, record in enumerate(records):
        fixup = core.compute(record, index, local, target, insn, session)
        assert fixup.outcome in (core.PATCHED, core.POISONED, core.FAILED)
        assert bool(fixup.insn) == (fixup.outcome != core.FAILED)
        assert fixup.outcome != core.FAILED or (fixup.message and fixup.code)
        assert str(fixup)
        assert str(explain(fixup, local, target))
    assert time.monotonic() - start < SECONDS


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9), st.binary(max_size=40)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["a", "b", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@SETTINGS
@given(st.integers(0, 19), VALUES)
def test_any_value_for_any_type(number: int, value: object) -> None:
    """Any plain data is encoded to a type's bytes, from which it decodes, or refused with a typed error."""
    btf = Btf.parse(IMAGE)
    try:
        data = decode.encode(btf, number, value)
    except BtfMalformed:
        return
    assert len(data) == btf.size_of(number)
    again = decode.value(btf, number, data)
    assert decode.encode(btf, number, again) == data or isinstance(value, bytes)


@SETTINGS
@given(st.lists(st.text("ab_", max_size=8), max_size=12), st.text("ab_", min_size=1, max_size=6))
def test_names_are_found_with_and_without_dictionaries(names: list[str], wanted: str) -> None:
    """A search of the strings and the dictionaries give the same types, in order."""
    writer = Writer()
    for name in names:
        writer.struct(name, 4, [])
    cold, warm = writer.btf(), writer.btf()
    warm.warm()
    assert cold.own_named(wanted) == warm.own_named(wanted) == [n for n, t in cold if t.name == wanted]
    assert cold.own_candidates(wanted) == warm.own_candidates(wanted)
