"""Operations structs of an object: which functions their members point to, and what is wrong with broken ones."""

from __future__ import annotations

import pytest
from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import object as object_
from everykernel.errors import ObjectMalformed

PROGRAM = e.MOV0 + e.EXIT
DATA = bytes(8) + (5).to_bytes(8, "little")


def _object(
    section: str = ".struct_ops", *, data: bytes = DATA, at: int = 0, symbol: str = "start", count: int = 1
) -> bytes:
    """An object with variables ``ops``, ``ops1`` … of ``struct ops { int (*start)(); long number; }``."""
    types = Writer()
    pointer = types.ptr(types.func_proto(types.integer("int", signed=True), []))
    struct = types.struct("ops", 16, [("start", pointer, 0), ("number", types.integer("long", 8), 64)])
    variables = [(types.var(f"ops{number or ''}", struct), 16 * number, 16) for number in range(count)]
    types.datasec(section, 16 * count, variables)
    writer = e.ObjectWriter()
    writer.code("struct_ops", start=PROGRAM)
    writer.section(section, data * count, flags=e.ALLOC | e.WRITE)
    writer.symbol("ops", section, 0, 16, kind=e.OBJECT)
    writer.section(".BTF", types.image())
    writer.relocate(section, at, symbol, 2)
    return writer.build()


def test_members_and_functions() -> None:
    """The variable becomes an operations struct; its pointer is the program that stands in the member's place."""
    (found,) = object_.read(_object(), "a.o").struct_ops
    assert (found.name, found.programs) == ("ops", (("start", "start"),))
    assert found.data == DATA
    assert (found.link, found.autocreate) == (False, True)


@pytest.mark.parametrize(
    ("section", "link", "autocreate"),
    [(".struct_ops.link", True, True), ("?.struct_ops", False, False), ("?.struct_ops.link", True, False)],
)
def test_sections(section: str, *, link: bool, autocreate: bool) -> None:
    """``.link`` is for structs attached by a link, a question mark for those that are made on demand."""
    (found,) = object_.read(_object(section), "a.o").struct_ops
    assert (found.link, found.autocreate) == (link, autocreate)


@pytest.mark.parametrize("section", ["?.struct_ops", "?.struct_ops.link"])
def test_a_question_mark_is_for_the_first(section: str) -> None:
    """Of several structs in a section with a question mark only the first is made on demand, as libbpf has it."""
    found = object_.read(_object(section, count=3), "a.o").struct_ops
    assert [(o.name, o.autocreate) for o in found] == [("ops", False), ("ops1", True), ("ops2", True)]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"at": 4}, "points at 0x4 to a function from no member"),
        ({"symbol": "ops"}, "points at 0x0 to what is no function"),
        ({"data": DATA[:8]}, "ends past"),
    ],
)
def test_damage(broken: dict[str, object], message: str) -> None:
    """A pointer between members, one to data, and a section that is too short are named with their place."""
    with pytest.raises(ObjectMalformed, match=message):
        object_.read(_object(**broken), "a.o")  # type: ignore[arg-type]
