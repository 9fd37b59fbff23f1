"""Functions that catch exceptions, and variables in arenas."""

from __future__ import annotations

from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import object as object_
from everykernel.load.programs.link import reached
from everykernel.object import Reference

PROGRAM = e.MOV0 + e.EXIT


def test_the_function_that_catches_exceptions_is_linked_last() -> None:
    """``exception_callback:name`` on a program brings a function that nothing calls, after those that are called."""
    types = Writer()
    main = types.func("main", types.func_proto(types.integer("int", signed=True), []))
    types.decl_tag("exception_callback:caught", main)
    writer = e.ObjectWriter()
    writer.code(".text", caught=PROGRAM, helper=PROGRAM)
    writer.code("tc", main=e.call() + PROGRAM)
    writer.section(".BTF", types.image())
    writer.relocate("tc", 0, "helper", e.R_BPF_64_32)
    spec = object_.read(writer.build(), "a.o")
    assert spec.functions["main"].exception == "caught"
    assert [f.name for f in reached(spec.functions["main"], spec.functions)] == ["main", "helper", "caught"]


def _arena(kind: int) -> bytes:
    types = Writer()
    integer = types.integer("int", signed=True)
    members = [
        (name, types.ptr(types.array(integer, count)), 64 * at)
        for at, (name, count) in enumerate([("type", kind), ("max_entries", 4)])
    ]
    types.datasec(".maps", 16, [(types.var("pages", types.struct("", 16, members)), 0, 16)])
    writer = e.ObjectWriter()
    writer.code("syscall", main=e.load64(imm=4) + PROGRAM)
    writer.section(".maps", bytes(16), flags=e.ALLOC | e.WRITE)
    writer.section(".addr_space.1", b"abcdefgh", flags=e.ALLOC | e.WRITE)
    writer.section(".BTF", types.image())
    writer.symbol("pages", ".maps", 0, 16, kind=e.OBJECT)
    writer.symbol("letters", ".addr_space.1", 0, 8, kind=e.OBJECT)
    writer.relocate("syscall", 0, "letters")
    return writer.build()


def test_variables_in_an_arena_are_references_into_its_map() -> None:
    """What lies in ``.addr_space.1`` is the arena's content, and code refers to it by the map."""
    spec = object_.read(_arena(33), "a.o")
    assert spec.functions["main"].code[4:8] == b"\4\0\0\0"  # the offset that linking adds
    assert spec.maps["pages"].content == b"abcdefgh"
    assert spec.functions["main"].references == (Reference(0, "data", "pages"),)
