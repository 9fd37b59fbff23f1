"""BTF is read lazily, and every reference in it is checked."""

from __future__ import annotations

import struct

import pytest
from tests.btfwriter import Writer

from everykernel.btf import Btf, SizeUnknown, kinds
from everykernel.errors import BtfMalformed


def everything(*, big: bool = False, linkage: int = 1) -> Writer:
    """One type of each kind, in the order of their kinds."""
    writer = Writer(big=big)
    number = writer.integer("int", 4, signed=True)
    writer.ptr(number)
    writer.array(number, 3)
    writer.struct("s", 8, [("a", number, 0), ("b", number, 32, 5)])
    writer.union("u", 4, [("a", number, 0)])
    writer.enum("e", {"A": 1, "B": -1}, signed=True)
    writer.fwd("f", union=True)
    writer.typedef("t", number)
    for kind in ("volatile", "const", "restrict"):
        writer.modifier(kind, number)
    writer.func("fn", writer.next + 1)
    writer.func_proto(number, [("x", number), ("", 0)])
    variable = writer.var("v", number, linkage)
    writer.datasec(".data", 4, [(variable, 0, 4)])
    writer.floating("float", 4)
    writer.decl_tag("tag", 4, 1)
    writer.modifier("type_tag", number, "user")
    writer.enum64("e64", {"C": 1 << 40, "D": -2}, signed=True)
    return writer


@pytest.mark.parametrize("big", [False, True])
def test_every_kind(big: bool) -> None:
    """All 19 kinds are decoded, in both byte orders."""
    btf = everything(big=big).btf()
    assert btf.byteorder == ("big" if big else "little")
    assert len(btf) == 20
    assert [found for _, found in btf] == [
        kinds.Int("int", 4, 32, 0, kinds.INT_SIGNED),
        kinds.Ptr(1),
        kinds.Array(1, 1, 3),
        kinds.Struct("s", 8, (kinds.Member("a", 1, 0, 0), kinds.Member("b", 1, 32, 5)), "struct"),
        kinds.Struct("u", 4, (kinds.Member("a", 1, 0, 0),), "union"),
        kinds.Enum("e", 4, True, (kinds.Enumerator("A", 1), kinds.Enumerator("B", -1)), "enum"),
        kinds.Fwd("f", True),
        kinds.Typedef("t", 1),
        kinds.Modifier(1, "volatile"),
        kinds.Modifier(1, "const"),
        kinds.Modifier(1, "restrict"),
        kinds.Func("fn", 13, 1),
        kinds.FuncProto(1, (kinds.Param("x", 1), kinds.Param("", 0))),
        kinds.Var("v", 1, 1),
        kinds.DataSec(".data", 4, (kinds.SecVar(14, 0, 4),)),
        kinds.Float("float", 4),
        kinds.DeclTag("tag", 4, 1),
        kinds.Modifier(1, "type_tag", "user"),
        kinds.Enum("e64", 8, True, (kinds.Enumerator("C", 1 << 40), kinds.Enumerator("D", -2)), "enum64"),
    ]
    assert btf.type(0) == kinds.Void()


def test_find() -> None:
    """Types are found by exact name and kind; the first wins, all can be had."""
    writer = Writer()
    number = writer.integer("x", 4)
    writer.typedef("x", number)
    writer.struct("x", 4, [])
    writer.struct("x", 8, [])
    writer.struct("xx", 8, [])
    btf = writer.btf()
    assert btf.find("x", "struct") == 3
    assert btf.find_all("x", ("struct", "typedef")) == [2, 3, 4]
    assert btf.find("x", "union") is None
    assert btf.find("", "struct") is None
    assert btf.find("missing", "struct") is None


def test_name_inside_another_name() -> None:
    """A name offset may point into the middle of a longer string, and the type is found by what stands there."""
    writer = Writer()
    long = writer.string("struct_file")
    writer.add(long + 7, kinds.STRUCT, 4)
    btf = writer.btf()
    assert btf.type(1).name == "file"
    assert btf.find("file", "struct") == 1
    assert btf.own_candidates("file") == [1]
    assert btf.find("struct_file", "struct") is None


def test_split_btf() -> None:
    """A module's BTF continues the ids and strings of its base; its types may be named by the base's strings."""
    base_writer = Writer()
    base_writer.integer("int", 4)
    base_writer.struct("device", 8, [])
    base = base_writer.btf()
    writer = Writer(base=base)
    writer.struct("own", 4, [("a", 1, 0)])
    writer.add(base_writer.offsets["device"], kinds.STRUCT, 16)
    btf = writer.btf("ext4")
    assert (btf.first, btf.count, btf.base) == (3, 5, base)
    assert btf.type(1).name == "int"
    assert btf.find("own", "struct") == 3
    assert btf.find_all("device", ("struct",)) == [2, 4]
    assert btf.own_candidates("device") == [4]
    assert [number for number, _ in btf] == [3, 4]
    with pytest.raises(BtfMalformed, match=r"own: BTF header: the string section does not start with an empty string"):
        Btf.parse(writer.image(), name="own")


def test_a_module_whose_base_is_indexed_finds_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of a module's types are found in its own strings, its base's without a search, and inside longer ones."""
    base_writer = Writer()
    base_writer.struct("device", 8, [])
    base_writer.struct("device___old", 8, [])
    base = base_writer.btf()
    base.index.build()
    writer = Writer(base=base)
    writer.struct("own", 4, [])
    for name in ("device", "device___old"):
        writer.add(base_writer.offsets[name], kinds.STRUCT, 16)
    btf = writer.btf("ext4")
    monkeypatch.delattr("everykernel.btf.index._Searched.find")
    assert btf.own_candidates("device") == [4, 5]
    assert (btf.own_candidates("own"), btf.own_candidates("old")) == ([3], [])
    odd = Writer(base=base)
    odd.add(base_writer.offsets["device"] + 3, kinds.STRUCT, 16)  # "ice"
    monkeypatch.undo()
    assert odd.btf("odd").own_candidates("ice") == [3]


def test_resolve_and_size() -> None:
    """Typedefs and qualifiers are transparent; arrays multiply; pointers take the size of long."""
    writer = Writer()
    number = writer.integer("long", 4)
    const = writer.modifier("const", writer.typedef("t", number))
    array = writer.array(writer.array(const, 3), 5)
    pointer = writer.ptr(0)
    proto = writer.func_proto(0, [])
    huge = writer.array(writer.array(number, 0xFFFFFFFF), 2)
    btf = writer.btf()
    assert btf.resolve(const) == number
    assert btf.size_of(array) == 60
    assert (btf.pointer_size, btf.size_of(pointer)) == (4, 4)
    for broken in (0, proto, huge):
        with pytest.raises(SizeUnknown):
            btf.size_of(broken)


def test_pointer_size_where_no_long_is() -> None:
    """Without a long the caller's pointer size counts, else 8, whatever machine this is."""
    writer = Writer()
    writer.integer("int", 4)
    assert writer.btf().pointer_size == 8
    assert writer.btf(pointer_size=4).pointer_size == 4


def damaged(offset: int, value: int, size: str = "I") -> bytes:
    image = bytearray(everything().image())
    struct.pack_into("<" + size, image, offset, value)
    return bytes(image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "vmlinux: BTF header: 0 bytes are too few for a header of 24"),
        (damaged(0, 0x1234, "H"), "vmlinux: BTF header: magic 0x1234 is not 0xeb9f"),
        (damaged(4, 8), "vmlinux: BTF header: header length 8 is below 24"),
        (damaged(4, 1 << 20), "vmlinux: BTF header: header length 1048576 is past the data's"),
        (damaged(8, 1 << 30), "vmlinux: BTF header: types at 0x40000000 + "),
        (damaged(8, 2), "vmlinux: BTF header: types at 0x2"),
        (damaged(20, 1 << 30), "vmlinux: BTF header: strings at "),
        (everything().image()[:-1], "vmlinux: BTF header: strings at "),
        (
            everything().image()[:-1] + b"x",
            "vmlinux: BTF header: the string section is empty or does not end in",
        ),
    ],
)
def test_broken_header(image: bytes, message: str) -> None:
    """A header that contradicts the data is an error that names what is wrong."""
    with pytest.raises(BtfMalformed) as caught:
        Btf.parse(image)
    assert str(caught.value).startswith(message)


def test_record_past_the_section() -> None:
    """A record that ends past the type section is an error with its number and offset."""
    for words in ([1], [1, 4 << 24], [0, 4 << 24 | 5, 8, 0, 0, 0]):
        writer = Writer()
        writer.integer("int", 4)
        writer.words += words
        with pytest.raises(BtfMalformed, match=r"vmlinux: type 2 at 0x28: its record ends past the type section"):
            writer.btf()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda w: w.ptr(9), "vmlinux: type 2 (ptr) at 0x28: refers to type 9 of 3"),
        (lambda w: w.array(9, 1), "vmlinux: type 2 (array) at 0x28: refers to type 9 of 3"),
        (lambda w: w.struct("s", 4, [("a", 9, 0)]), "vmlinux: type 2 (struct) at 0x28: a member refers to type 9 of 3"),
        (lambda w: w.add(999, kinds.TYPEDEF, 1), "vmlinux: type 2 (typedef) at 0x28: string offset 0x3e7 is past the"),
        (lambda w: w.func("f", 1), "vmlinux: type 2 (func) at 0x28: refers to type 1, which is no func_proto"),
        (lambda w: w.func_proto(0, [("x", 9)]), "vmlinux: type 2 (func_proto) at 0x28: refers to type 9 of 3"),
        (lambda w: w.datasec("d", 4, [(9, 0, 4)]), "vmlinux: type 2 (datasec) at 0x28: refers to type 9 of 3"),
        (lambda w: w.add("e", kinds.ENUM, 4, 999, 0, vlen=1), "vmlinux: type 2 (enum) at 0x28: string offset 0x3e7"),
    ],
)
def test_broken_record(build: object, message: str) -> None:
    """A record that refers to what is not there is an error when it is touched, or when all are checked."""
    writer = Writer()
    writer.integer("int", 4)
    build(writer)  # type: ignore[operator]
    btf = writer.btf()
    assert btf.type(1).name == "int"
    for touch in (lambda: btf.type(2), btf.check):
        with pytest.raises(BtfMalformed) as caught:
            touch()
        assert str(caught.value).startswith(message)


def test_type_that_is_not_there() -> None:
    """An id past the end is an error that names the last."""
    btf = everything().btf()
    for number in (20, -1):
        with pytest.raises(BtfMalformed, match=rf"vmlinux: there is no type {number} \(types end at 19\)"):
            btf.type(number)


@pytest.mark.parametrize("split", [False, True])
def test_a_kind_that_nobody_knows_is_stepped_over(*, split: bool) -> None:
    """A layout section says how large a kind's record is: its information, then as many items as the record has."""
    known = [(0, 0)] * 20
    layout = [*known, (4, 8), (8, 0), (0, 4)]
    base = Writer()
    base.integer("int")
    whole = Btf.parse(base.image(layout=layout), name="vmlinux") if split else None
    writer = Writer(base=whole)
    number = writer.add("both", 20, 0, 7, 1, 2, 3, 4, vlen=2)
    writer.add("information", 21, 0, 7, 8, vlen=3)
    writer.add("items", 22, 0, 1, 2, 3, vlen=3)
    writer.add("none", 22, 0)
    last = writer.struct("last", 4, [])
    found = Btf.parse(writer.image(layout=() if split else layout), base=whole, name="found")
    assert found.type(number) == kinds.Unknown("both", 20)
    assert found.find("last", "struct") == last
    assert [found.name_of(n) for n in range(number, found.count)] == ["both", "information", "items", "none", "last"]
    if not split:
        with pytest.raises(BtfMalformed, match="kind 20 is not known"):
            Btf.parse(writer.image(layout=known), name="found")
