"""Relocations of types: ids, existence, size, and the strict match."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.btfwriter import Writer
from tests.core.relocating import immediate_of, mov, relocate, wide

from everykernel.core import relokinds as rk


def thing(size: int = 8, name: str = "thing", pads: int = 0) -> Writer:
    writer = Writer()
    for pad in range(pads):
        writer.integer(f"pad{pad}", 4)
    number = writer.integer("int", 4, signed=True)
    writer.struct(name, size, [("x", number, 0)])
    return writer


def test_size() -> None:
    """type_size is the kernel's, 0 where it has no such type."""
    assert relocate(thing(), thing(40), 2, "0", rk.TYPE_SIZE, mov(8)).target == 40
    gone = relocate(thing(), thing(name="other"), 2, "0", rk.TYPE_SIZE, mov(8))
    assert (gone.outcome, gone.target, gone.message) == ("patched", 0, "the kernel has no struct thing")


def test_exists() -> None:
    """type_exists is 1 or 0."""
    assert relocate(thing(), thing(40), 2, "0", rk.TYPE_EXISTS, mov(1)).target == 1
    assert relocate(thing(), thing(name="other"), 2, "0", rk.TYPE_EXISTS, mov(1)).target == 0


def test_ids() -> None:
    """Type ids come from the target's BTF, or the object's own; the instruction's old value is not checked."""
    assert relocate(thing(), thing(pads=3), 2, "0", rk.TYPE_ID_TARGET, wide(99)).insn == wide(5)
    assert relocate(thing(), thing(pads=3), 2, "0", rk.TYPE_ID_LOCAL, wide(99)).insn == wide(2)
    assert relocate(thing(), thing(name="other"), 2, "0", rk.TYPE_ID_TARGET, wide(2)).insn == wide(0)


def test_local_id_of_an_anonymous_type() -> None:
    """TYPE_ID_LOCAL needs no name."""
    assert relocate(thing(name=""), thing(), 2, "0", rk.TYPE_ID_LOCAL, wide(2)).outcome == "patched"


def test_types_of_another_kind_do_not_exist() -> None:
    """A union is not the struct of the same name."""
    target = Writer()
    number = target.integer("int", 4)
    target.union("thing", 8, [("x", number, 0)])
    fixup = relocate(thing(), target, 2, "0", rk.TYPE_EXISTS, mov(1))
    assert (fixup.target, fixup.candidates) == (0, ())


def typedef_of(build: str) -> Writer:
    """A typedef ``t`` of one of several types."""
    writer = Writer()
    number = writer.integer("int", 4, signed=True)
    long = writer.integer("long", 8, signed=True)
    odd = writer.integer("odd", 4, bits=3, offset=2)
    builders: dict[str, Callable[[], int]] = {
        "int": lambda: number,
        "long": lambda: long,
        "odd int": lambda: odd,
        "int *": lambda: writer.ptr(number),
        "long *": lambda: writer.ptr(long),
        "struct a": lambda: writer.struct("a", 4, [("x", number, 0)]),
        "struct b": lambda: writer.struct("b", 8, [("y", long, 0)]),
        "int[4]": lambda: writer.array(number, 4),
        "long[9]": lambda: writer.array(long, 9),
        "enum": lambda: writer.enum("e", {"A": 1}),
        "enum64": lambda: writer.enum64("f", {"B": 1}),
        "f(int)": lambda: writer.func_proto(number, [("x", number)]),
        "f(long)": lambda: writer.func_proto(long, [("y", long)]),
        "f(int *)": lambda: writer.func_proto(number, [("x", writer.ptr(number))]),
        "f(int, int)": lambda: writer.func_proto(number, [("x", number), ("y", number)]),
        "float": lambda: writer.floating("float", 4),
        "void": lambda: 0,
    }
    writer.typedef("t", builders[build]())
    return writer


@pytest.mark.parametrize(
    ("local", "target", "expected"),
    [
        ("int", "long", 1),
        ("int", "odd int", 0),
        ("int", "int *", 0),
        ("int *", "long *", 1),
        ("struct a", "struct b", 1),
        ("int[4]", "long[9]", 1),
        ("enum", "enum64", 1),
        ("f(int)", "f(long)", 1),
        ("f(int)", "f(int *)", 0),
        ("f(int)", "f(int, int)", 0),
        ("float", "float", 0),
        ("void", "void", 1),
    ],
)
def test_compatible_types(local: str, target: str, expected: int) -> None:
    """Behind equal names, kinds have to agree through pointers, arrays and signatures; sizes and names do not."""
    ours = typedef_of(local)
    fixup = relocate(ours, typedef_of(target), ours.next - 1, "0", rk.TYPE_EXISTS, mov(1))
    assert (fixup.outcome, fixup.target) == ("patched", expected)


@pytest.mark.parametrize(
    ("local", "target", "expected"),
    [
        ("int", "int", 1),
        ("int", "long", 0),
        ("int *", "long *", 0),
        ("struct a", "struct b", 0),
        ("int[4]", "int[4]", 1),
        ("int[4]", "long[9]", 0),
        ("f(int)", "f(int)", 1),
        ("f(int)", "f(long)", 0),
        ("f(int)", "f(int, int)", 0),
        ("void", "void", 1),
        ("void", "int", 0),
    ],
)
def test_matching_types(local: str, target: str, expected: int) -> None:
    """type_matches compares names, sizes and signs too."""
    ours = typedef_of(local)
    fixup = relocate(ours, typedef_of(target), ours.next - 1, "0", rk.TYPE_MATCHES, mov(1))
    assert (fixup.outcome, fixup.target) == ("patched", expected)


def test_match_of_members() -> None:
    """Every local member has to match one of its name; the kernel may have more, in another order."""

    def build(*members: tuple[str, bool]) -> Writer:
        writer = Writer()
        types = {signed: writer.integer("int", 4, signed=signed) for signed in (True, False)}
        writer.struct("s", 64, [(name, types[signed], 32 * i) for i, (name, signed) in enumerate(members)])
        return writer

    def verdict(local: Writer, target: Writer) -> int | None:
        return relocate(local, target, 3, "0", rk.TYPE_MATCHES, mov(1)).target

    ours = build(("a", True), ("b", False))
    assert verdict(ours, build(("b", False), ("c", True), ("a", True))) == 1
    assert verdict(ours, build(("b", True), ("a", True))) == 0
    assert verdict(ours, build(("b", False), ("c", True))) == 0
    assert verdict(ours, build(("a", True))) == 0


def test_match_behind_a_pointer_takes_names_only() -> None:
    """Behind a pointer a struct matches by name, and a forward declaration of the same kind matches too."""

    def build(inner: str) -> Writer:
        writer = Writer()
        number = writer.integer("int", 4)
        pointee = {
            "struct": lambda: writer.struct("in", 4, [("x", number, 0)]),
            "larger": lambda: writer.struct("in", 8, [("y", number, 0), ("z", number, 32)]),
            "union": lambda: writer.union("in", 4, [("x", number, 0)]),
            "fwd": lambda: writer.fwd("in"),
            "fwd union": lambda: writer.fwd("in", union=True),
        }[inner]()
        pointer = writer.ptr(pointee)
        writer.struct("s", 8, [("p", pointer, 0)])
        return writer

    def verdict(local: str, target: str) -> int | None:
        return relocate(build(local), build(target), 4, "0", rk.TYPE_MATCHES, mov(1)).target

    pairs = {
        ("struct", "larger"): 1, ("struct", "fwd"): 1, ("fwd", "struct"): 1, ("struct", "union"): 0,
        ("struct", "fwd union"): 0, ("union", "fwd union"): 1, ("fwd", "fwd union"): 0, ("fwd", "union"): 0,
    }  # fmt: skip
    assert {pair: verdict(*pair) for pair in pairs} == pairs


def test_match_of_enums_by_name_of_values() -> None:
    """Local enumerators have to be there, whatever their values; sizes have to be equal, enum64 will do."""

    def build(values: dict[str, int], size: int = 4, *, wide_enum: bool = False) -> Writer:
        writer = Writer()
        writer.integer("int", 4)
        (writer.enum64 if wide_enum else writer.enum)("e", values, size)
        return writer

    def verdict(local: Writer, target: Writer) -> int | None:
        return relocate(local, target, 2, "0", rk.TYPE_MATCHES, mov(1)).target

    ours = build({"A": 1, "B___old": 2})
    assert verdict(ours, build({"B": 7, "A": 9, "C": 1})) == 1
    assert verdict(ours, build({"B": 7, "A": 9}, wide_enum=True)) == 1
    assert verdict(ours, build({"B": 7, "A": 9}, 8)) == 0
    assert verdict(ours, build({"A": 1, "C": 2})) == 0


def test_too_deep_nesting_is_refused() -> None:
    """33 pointers are more than libbpf follows: the object is refused, not the type declared absent."""

    def build(depth: int) -> Writer:
        writer = Writer()
        number = writer.integer("int", 4)
        for _ in range(depth):
            number = writer.ptr(number)
        writer.typedef("t", number)
        return writer

    for kind in (rk.TYPE_EXISTS, rk.TYPE_MATCHES):
        assert relocate(build(31), build(31), 33, "0", kind, mov(1)).target == 1
        fixup = relocate(build(32), build(32), 34, "0", kind, mov(1))
        assert fixup.outcome == "failed"
        assert fixup.message == "its type nests more than 32 levels deep"


def test_access_string_of_a_type() -> None:
    """A type relocation's access string is '0'."""
    fixup = relocate(thing(), thing(), 2, "0:0", rk.TYPE_EXISTS, mov(1))
    assert (fixup.outcome, fixup.message) == ("failed", "the access string '0:0' of a type is not '0'")


def test_size_of_a_type_without_one() -> None:
    """type_size of a function type is refused."""
    ours = typedef_of("f(int)")
    fixup = relocate(ours, ours, ours.next - 1, "0", rk.TYPE_SIZE, mov(0))
    assert (fixup.outcome, fixup.message) == ("failed", "func_proto has no size")
    assert immediate_of(mov(3)) == 3
