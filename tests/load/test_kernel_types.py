"""What an object asks of the kernel's types: operations structs, kernel functions, kernel variables."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer

from everykernel.btf import Btf
from everykernel.load.kernel import operations
from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.types import KernelTypes
from everykernel.load.programs import externs
from everykernel.load.programs.patch import Resolved
from everykernel.load.rules.named import DEFAULT
from everykernel.object import ObjectSpec
from everykernel.object.spec import Extern, StructOpsSpec


def _ops(members: list[tuple[str, str]], *, kernel: bool = False) -> tuple[Btf, int]:
    """Return a BTF with ``struct ops`` of these members (name, kind), each 8 bytes, and its id."""
    writer = Writer()
    long, narrow = writer.integer("long", 8, signed=True), writer.integer("int", signed=True)
    function = writer.ptr(writer.func_proto(narrow, []))
    types = {"function": function, "long": long, "int": narrow, "pointer": writer.ptr(long)}
    struct = writer.struct("ops", 8 * len(members), [(n, types[k], 64 * i) for i, (n, k) in enumerate(members)])
    if kernel:
        writer.struct("bpf_struct_ops_ops", 64 + 8 * len(members), [("common", long, 0), ("data", struct, 512)])
    return writer.btf("vmlinux" if kernel else "a.o"), struct


KERNEL = [("number", "long"), ("start", "function"), ("stop", "function"), ("plain", "pointer")]


def _resolve(
    members: list[tuple[str, str]], programs: dict[str, str], data: bytes = bytes(64)
) -> operations.Operations | Reason:
    local, number = _ops(members)
    spec = StructOpsSpec("ops", number, data[: 8 * len(members)], tuple(programs.items()), link=False, autocreate=True)
    return operations.resolve(spec, local, KernelTypes(_ops(KERNEL, kernel=True)[0]))


def test_members_are_found_by_name() -> None:
    """A program is told the index of the kernel's member, and data lands where the kernel has it."""
    data = bytes(8) + (4711).to_bytes(8, "little")
    found = _resolve([("stop", "function"), ("number", "long")], {"stop": "halt"}, data)
    assert isinstance(found, operations.Operations)
    assert found.indexes == {"halt": 2}
    assert found.pointers == (("halt", 64 + 16),)
    assert found.value == bytes(64) + data[8:] + bytes(24)
    assert found.btf_fd == 0


def test_a_member_that_the_kernel_lacks_must_be_zero() -> None:
    """An unknown member that is zero is left out; one that is set, or is a program, is a reason not to load."""
    members = [("start", "function"), ("new", "long")]
    assert isinstance(_resolve(members, {"start": "f"}), operations.Operations)
    assert isinstance(_resolve(members, {"start": "f"}, b"\1" * 64), Reason)
    assert isinstance(_resolve([("new", "function")], {"new": "f"}), Reason)


@pytest.mark.parametrize(
    ("member", "kind", "programs", "why"),
    [
        ("number", "pointer", {}, "is a ptr, the kernel's is a int"),
        ("number", "int", {}, "takes 4 bytes, the kernel's takes 8"),
        ("plain", "function", {"plain": "f"}, "the kernel's is no pointer to a function"),
    ],
)
def test_members_that_do_not_fit(member: str, kind: str, programs: dict[str, str], why: str) -> None:
    """A member of another kind or size than the kernel's is named, with both."""
    found = _resolve([(member, kind)], programs)
    assert isinstance(found, Reason)
    assert found.message == f"struct ops, member {member}: {why}"


def test_a_struct_that_the_kernel_takes_no_operations_of() -> None:
    """A struct without the kernel's wrapper around it, or without BTF at all, is a reason that says so."""
    local, number = _ops(KERNEL)
    spec = StructOpsSpec("ops", number, bytes(32), (), link=False, autocreate=True)
    bare = operations.resolve(spec, local, KernelTypes(_ops(KERNEL)[0]))
    assert isinstance(bare, Reason)
    assert bare.message == "this kernel takes no operations struct ops"
    none = operations.resolve(spec, local, KernelTypes(None))
    assert isinstance(none, Reason)
    assert none.code == "btf-missing"


def _extern(*, weak: bool, function: bool, kernel: Writer) -> Resolved:
    """Resolve an extern ``thing``, a function of one int or an int variable, on a kernel with these types."""
    writer = Writer()
    integer = writer.integer("int", signed=True)
    if function:
        number = writer.func("thing", writer.func_proto(integer, [("a", integer)]))
    else:
        number = writer.var("thing", integer)
    spec = ObjectSpec(
        "a.o", "little", btf=writer.btf("a.o"), externs={"thing": Extern("thing", ".ksyms", number, weak, function)}
    )
    return externs.Resolution(spec, KernelTypes(kernel.btf()), DEFAULT.externs).resolved["thing"]


@pytest.mark.parametrize(("weak", "code"), [(False, "kfunc-missing"), (True, "")])
def test_a_kernel_function_with_other_parameters_is_missing(code: str, *, weak: bool) -> None:
    """A function of the name with another number of parameters is not the one that was meant."""
    kernel = Writer()
    integer = kernel.integer("int", signed=True)
    kernel.func("thing", kernel.func_proto(integer, [("a", integer), ("b", integer)]))
    found = _extern(weak=weak, function=True, kernel=kernel)
    assert (found.kind, found.code) == ("missing", code)


def test_a_kernel_variable_of_another_type_is_refused_though_weak() -> None:
    """A variable of the name whose type does not fit is refused, weak or not."""
    kernel = Writer()
    kernel.var("thing", kernel.struct("other", 4, []))
    assert _extern(weak=True, function=False, kernel=kernel).code == "ksym-missing"


def test_a_kernel_function_and_variable_that_fit() -> None:
    """Compatible types are enough: the id in the kernel's BTF goes into the code."""
    kernel = Writer()
    integer = kernel.integer("s32", signed=True)
    function = kernel.func("thing", kernel.func_proto(integer, [("first", integer)]))
    assert _extern(weak=False, function=True, kernel=kernel).value == function
    other = Writer()
    variable = other.var("thing", other.integer("s64", 8, signed=True))
    assert _extern(weak=False, function=False, kernel=other).value == variable
