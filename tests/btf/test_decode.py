"""Values in memory become plain data by their BTF type, and back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.btfwriter import Writer

from everykernel.btf import decode
from everykernel.errors import BtfMalformed


def types(*, big: bool = False) -> tuple[Writer, dict[str, int]]:
    writer = Writer(big=big)
    ids = {
        "u32": writer.integer("unsigned int", 4),
        "s16": writer.integer("short", 2, signed=True),
        "u8": writer.integer("unsigned char", 1),
        "char": writer.integer("char", 1, signed=True),
        "bool": writer.integer("_Bool", 1, flags=4),
        "u128": writer.integer("unsigned __int128", 16),
        "double": writer.floating("double", 8),
        "enum": writer.enum("e", {"A": 1, "B": -1}, signed=True),
    }
    ids["comm"] = writer.array(ids["char"], 8)
    ids["mac"] = writer.array(ids["u8"], 6)
    ids["matrix"] = writer.array(writer.array(ids["s16"], 2), 2)
    ids["pointer"] = writer.ptr(0)
    inner = writer.union("", 4, [("word", ids["u32"], 0), ("low", ids["s16"], 0)])
    ids["event"] = writer.struct(
        "event",
        24,
        [
            ("pid", ids["u32"], 0),
            ("", inner, 32),
            ("comm", ids["comm"], 64),
            ("ok", ids["bool"], 128),
            ("p", ids["u8"], 136),
        ],
    )
    ids["bits"] = writer.struct(
        "bits",
        8,
        [("a", ids["u32"], 0, 3), ("b", ids["u32"], 3, 7), ("c", ids["s16"], 30, 5), ("d", ids["u32"], 35, 29)],
    )
    ids["typedef"] = writer.typedef("event_t", writer.modifier("const", ids["event"]))
    ids["var"] = writer.var("v", ids["u32"])
    ids["flexible"] = writer.struct("f", 4, [("n", ids["u32"], 0), ("rest", writer.array(ids["u32"], 0), 32)])
    ids["fwd"] = writer.fwd("gone")
    ids["func"] = writer.func_proto(0, [])
    return writer, ids


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("u32", 0xDEADBEEF),
        ("s16", -2),
        ("bool", True),
        ("u128", 1 << 100),
        ("double", 0.5),
        ("enum", -1),
        ("comm", "bash"),
        ("mac", [1, 2, 3, 4, 5, 255]),
        ("matrix", [[1, -1], [2, -2]]),
        ("pointer", 0xFFFF888000000000),
        ("event", {"pid": 7, "word": 65535, "low": -1, "comm": "sh", "ok": True, "p": 3}),
        ("typedef", {"pid": 7, "word": 1, "low": 1, "comm": "", "ok": False, "p": 0}),
        ("bits", {"a": 5, "b": 100, "c": -3, "d": 1 << 28}),
        ("var", 9),
        ("flexible", {"n": 2, "rest": []}),
    ],
)
def test_there_and_back(name: str, value: Any, big: bool) -> None:
    """Data encodes to bytes that decode to the same data, in both byte orders."""
    writer, ids = types(big=big)
    btf = writer.btf("o")
    if big and name in ("event", "typedef"):
        value = dict(value, low=value["word"] >> 16)
    assert decode.value(btf, ids[name], decode.encode(btf, ids[name], value)) == value


def test_bytes_as_compilers_lay_them_out() -> None:
    """Bitfields start at the low bits on little-endian targets and at the high ones on big-endian ones."""
    for big, data in ((False, "2d00004000000000"), (True, "b400000200000000")):
        writer, ids = types(big=big)
        found = decode.value(writer.btf("o"), ids["bits"], bytes.fromhex(data))
        assert (found["a"], found["b"]) == (5, 5 if not big else 80)


def test_text_that_is_none() -> None:
    """Characters that are no UTF-8 come as bytes, whole."""
    writer, ids = types()
    assert decode.value(writer.btf("o"), ids["comm"], b"\xff\xfe\0abcde") == b"\xff\xfe\0abcde"
    assert decode.value(writer.btf("o"), ids["comm"], b"ab\0cdefg") == "ab"


def test_what_is_left_out_is_zero() -> None:
    """A dict that names some members leaves the others zero; bytes are padded."""
    writer, ids = types()
    btf = writer.btf("o")
    assert decode.encode(btf, ids["event"], {"low": -1}) == bytes(4) + b"\xff\xff" + bytes(18)
    assert decode.encode(btf, ids["u32"], b"\x01") == b"\x01\0\0\0"
    assert decode.encode(btf, ids["u32"], -1) == b"\xff" * 4
    assert decode.encode(btf, ids["mac"], [1]) == b"\x01" + bytes(5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("u32", 1 << 32, "4294967296 does not fit a int"),
        ("u32", "x", "'x' does not fit a int"),
        ("u32", None, "None does not fit a int"),
        ("u32", bytes(5), "5 bytes do not fit into 4"),
        ("comm", "too long a name", "15 bytes do not fit into 8"),
        ("comm", "\ud800", "'\\ud800' does not fit a array"),
        ("mac", [0] * 7, "[0, 0, 0, 0, 0, 0, 0] does not fit a array"),
        ("event", {"nope": 1}, "there is no member 'nope'"),
        ("bits", {"a": 8}, "8 does not fit a int"),
        ("bits", {"a": "x"}, "'x' does not fit a int"),
        ("fwd", 1, "fwd gone has no size"),
    ],
)
def test_data_that_does_not_fit(name: str, value: Any, message: str) -> None:
    """Data that its type cannot hold is an error that names both."""
    writer, ids = types()
    with pytest.raises(BtfMalformed) as caught:
        decode.encode(writer.btf("o"), ids[name], value)
    assert caught.value.message == message
    assert caught.value.where.startswith("o: type ")


def test_float_that_is_too_large() -> None:
    """A number past a float's range is refused, not rounded to infinity."""
    writer, ids = types()
    with pytest.raises(BtfMalformed, match="does not fit a float"):
        decode.encode(writer.btf("o"), ids["double"], 1 << 2000)


def test_too_few_bytes() -> None:
    """Fewer bytes than the type takes are an error."""
    writer, ids = types()
    with pytest.raises(BtfMalformed, match=r"o: type \d+ \(struct event\): a value takes 24 bytes, there are 3"):
        decode.value(writer.btf("o"), ids["event"], b"abc")


def test_hostile_nesting_ends() -> None:
    """Unions that hold two of the next are not decoded 2^40 times."""
    writer = Writer()
    number = writer.integer("int", 4)
    for _ in range(40):
        number = writer.union("n", 4, [("a", number, 0), ("b", number, 0)])
    with pytest.raises(BtfMalformed, match="nests too deep, or without end"):
        decode.value(writer.btf("o"), number, bytes(4))
