"""Keys, values and attributes: plain data on one side, the kernel's bytes on the other."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer

from everykernel.errors import UsageError
from everykernel.load.kernel import kconfig
from everykernel.load.kernel.probes import Probes
from everykernel.load.maps import create
from everykernel.load.maps import map as map_
from everykernel.load.maps.values import decode_value, encode_value
from everykernel.load.rules.named import DEFAULT
from everykernel.load.system import abi
from everykernel.load.system.local import Local
from everykernel.object import MapSpec
from everykernel.object.maps import MAP_TYPE

SYSTEM = Local()


def test_sizes_of_attributes() -> None:
    """Attributes have the sizes of the kernel's structs up to the last field that is used."""
    attributes = {
        abi.ProgramAttributes(1, 2, 0, 0).fields(): 144,
        abi.MapAttributes(1, 4, 4, 1).fields(): 80,
        abi.element(1, 2, 3): 32,
        abi.batch(1, 2, 3, 4, 5, 6): 56,
        abi.test_run(1, (0, 0, 0, 0), (0, 0, 0, 0), 1): 80,
        abi.link_create(1, 2, 3): 64,
        abi.link_create(1, 2, 3, extra=("QI", 1, 2)): 64,
        abi.perf_event(1, 10): 112,
    }
    assert {fields: len(SYSTEM.pack(*fields)) for fields in attributes} == attributes


def test_names() -> None:
    """Names are cut to what the kernel takes, and odd characters replaced."""
    assert abi.object_name("a-very-long-name.of/it") == b"a_very_long_nam"


def test_typed_values() -> None:
    """With a BTF type plain data is encoded by it; what is left out is zero."""
    writer = Writer()
    integer = writer.integer("int", signed=True)
    pair = writer.struct("pair", 8, [("a", integer, 0), ("b", integer, 32)])
    btf = writer.btf("x")
    assert encode_value(btf, pair, 8, {"b": 2}, "m", "little") == bytes(4) + (2).to_bytes(4, "little")
    assert decode_value(btf, pair, bytes(8)) == {"a": 0, "b": 0}


def test_untyped_values() -> None:
    """Without a type bytes are taken as they are and ints as unsigned; anything else is an error that says so."""
    assert encode_value(None, 0, 4, 7, "m", "little") == b"\7\0\0\0"
    assert encode_value(None, 0, 4, -1, "m", "little") == b"\xff" * 4
    assert encode_value(None, 0, 2, 0x10203, "m", "little") == b"\3\2"
    assert encode_value(None, 0, 2, 0x10203, "m", "big") == b"\2\3"
    assert encode_value(None, 0, 4, b"\1", "m", "little") == b"\1\0\0\0"
    assert decode_value(None, 0, b"\1") == b"\1"
    with pytest.raises(UsageError, match=r"^m: has no BTF type: give bytes$"):
        encode_value(None, 0, 4, {"a": 1}, "m", "little")
    with pytest.raises(UsageError, match="5 bytes are more than its 4"):
        encode_value(None, 0, 4, bytes(5), "m", "little")


@pytest.mark.parametrize(
    ("type_", "given", "entries", "note"),
    [
        ("hash", 0, 1, "max_entries was 0: 1"),
        ("hash", 9, 9, ""),
        ("ringbuf", 5000, 8192, "max_entries was 5000: 8192"),
        ("ringbuf", 4096, 4096, ""),
        ("task_storage", 0, 0, ""),
    ],
)
def test_entries(type_: str, given: int, entries: int, note: str) -> None:
    """What the loader decides by itself about sizes is noted."""
    asked, told = DEFAULT.ask(MapSpec("m", MAP_TYPE[type_], max_entries=given), create.machine_of(SYSTEM))
    assert (asked.max_entries, told) == (entries, note)


def test_an_arena_too_small_for_its_variables() -> None:
    """It is refused before the kernel is asked."""
    arena = map_.Map("a", MapSpec("a", MAP_TYPE["arena"], max_entries=1, content=bytes(5000)), None, SYSTEM)
    create.create(arena, Probes(SYSTEM), 0, DEFAULT)
    assert (arena.fd, arena.record["status"], arena.record["code"]) == (-1, "failed", "limit-exceeded")
    assert arena.record["message"] == "map 'a': its variables take 5000 bytes, its 1 pages have fewer"


def test_a_map_that_was_not_created_says_so() -> None:
    """Operations on a map that the kernel refused give the reason, not a bad descriptor."""
    made = map_.Map("m", MapSpec("m", MAP_TYPE["hash"], 4, 4, 1), None, SYSTEM)
    made.record["message"] = "map 'm': EINVAL: no"
    with pytest.raises(UsageError, match="map 'm': was not created: map 'm': EINVAL: no"):
        made.lookup(1)
    with pytest.raises(UsageError, match="a map of type hash has no events"):
        made.events()


@pytest.mark.parametrize(
    ("text", "size", "kind", "expected"),
    [
        ("y", 1, "bool", b"\1"),
        ("y", 1, "char", b"y"),
        ("m", 4, "enum", b"\2\0\0\0"),
        ("250", 4, "int", b"\xfa\0\0\0"),
        ("0x1000", 8, "int", b"\0\x10\0\0\0\0\0\0"),
        ('"(none)"', 8, "array", b"(none)\0\0"),
        (None, 4, "int", bytes(4)),
    ],
)
def test_configuration_values(text: str | None, size: int, kind: str, expected: bytes) -> None:
    """A kernel configuration value takes the form of the variable that asks for it."""
    writer = Writer()
    char = writer.integer("char", 1, signed=True)
    ids = {
        "bool": writer.integer("_Bool", 1, flags=4),
        "char": char,
        "enum": writer.enum("libbpf_tristate", {"TRI_NO": 0, "TRI_YES": 1, "TRI_MODULE": 2}),
        "int": writer.integer("long", size),
        "array": writer.array(char, size),
    }
    assert kconfig.setting_bytes(writer.btf("x"), ids[kind], size, text) == expected


@pytest.mark.parametrize(
    ("text", "size", "kind", "why"),
    [
        ("m", 1, "bool", "takes a bool, tristate or char variable"),
        ("y", 4, "int", "takes a bool, tristate or char variable"),
        ('"text"', 4, "int", "takes an array of char"),
        ("4096", 1, "char", "does not fit 1 bytes"),
        ("2", 1, "bool", "takes a variable that is a number"),
        ("1", 4, "enum", "takes a variable that is a number"),
        ("ten", 4, "int", "is no number"),
    ],
)
def test_configuration_values_that_a_variable_cannot_hold(text: str, size: int, kind: str, why: str) -> None:
    """A value of another kind than the variable's, or too large for it, is refused as libbpf refuses it."""
    writer = Writer()
    ids = {
        "bool": writer.integer("_Bool", 1, flags=4),
        "char": writer.integer("char", 1, signed=True),
        "enum": writer.enum("libbpf_tristate", {"TRI_NO": 0, "TRI_YES": 1, "TRI_MODULE": 2}),
        "int": writer.integer("int", size, signed=True),
    }
    with pytest.raises(kconfig.Unfit, match=why):
        kconfig.setting_bytes(writer.btf("x"), ids[kind], size, text)
