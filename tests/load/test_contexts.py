"""Parameters tagged as a program's context get the struct of the program's type where the kernel needs its name."""

from __future__ import annotations

from array import array

import pytest
from tests.btfwriter import Writer

from everykernel.btf import Btf, kinds
from everykernel.load.programs import contexts


def _object(*, static: bool = False, void: bool = True, tag: str = "arg:ctx", component: int = 0) -> tuple[Btf, int]:
    """Return a BTF with ``int takes(void *ctx, int n)`` whose parameter is tagged, and the func's id."""
    writer = Writer()
    integer = writer.integer("int", signed=True)
    pointer = writer.ptr(0 if void else integer)
    function = writer.func("takes", writer.func_proto(integer, [("ctx", pointer), ("n", integer)]), 0 if static else 1)
    writer.decl_tag(tag, function, component)
    return writer.btf("a.o"), function


def _infos(function: int) -> bytes:
    return array("I", [0, 1, 4, function]).tobytes()


def test_the_function_is_cloned_with_the_struct_of_the_program_type() -> None:
    """func_info names a clone whose tagged parameter is a pointer to the context's struct; the original stays."""
    btf, function = _object()
    changed = contexts.named(btf, _infos(function), "xdp")
    assert changed is not None
    image, infos = changed
    after = Btf.parse(image, name="a.o", pointer_size=8)
    clone = array("I", infos)[3]
    assert array("I", infos)[:3] == array("I", [0, 1, 4])
    assert clone != function
    prototype = after.type(after.type(clone).type)  # type: ignore[union-attr]
    assert isinstance(prototype, kinds.FuncProto)
    pointer = after.type(prototype.params[0].type)
    assert isinstance(pointer, kinds.Ptr)
    assert after.type(pointer.type).name == "xdp_md"
    assert prototype.params[1].name == "n"
    original = after.type(after.type(function).type)  # type: ignore[union-attr]
    assert isinstance(original, kinds.FuncProto)
    assert original.params[0].type != prototype.params[0].type


@pytest.mark.parametrize(
    ("written", "type_"),
    [
        ({"static": True}, "xdp"),
        ({"void": False}, "xdp"),
        ({"tag": "arg:nonnull"}, "xdp"),
        ({"component": 5}, "xdp"),
        ({"component": 1}, "xdp"),
        ({}, "tracing"),
    ],
)
def test_nothing_to_do(written: dict[str, object], type_: str) -> None:
    """Static functions, typed parameters, other tags, and program types without a struct are left alone."""
    btf, function = _object(**written)  # type: ignore[arg-type]
    assert contexts.named(btf, _infos(function), type_) is None


def test_functions_of_other_programs_are_left_alone() -> None:
    """Only what the program's func_info names is changed."""
    btf, function = _object()
    assert contexts.named(btf, _infos(function + 100), "xdp") is None
