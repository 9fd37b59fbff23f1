"""Operations structs: which members of the kernel's struct an object fills.

The rules are libbpf 1.7's (find_struct_ops_kern_types, bpf_map__init_kern_struct_ops): members are found by name, a
member that the kernel does not have must be zero, the kernel's struct decides where each one is.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from everykernel.btf import SizeUnknown, kinds
from everykernel.btf.index import essential
from everykernel.load.kernel.reason import NEEDS_OWN_BTF, Reason
from everykernel.load.kernel.types import find_type
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.btf import Btf
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.object.spec import StructOpsSpec

_PREFIX = "bpf_struct_ops_"


class Operations(NamedTuple):
    """An operations struct as the kernel has it.

    Attributes:
        type_id: of the kernel's struct: what its programs attach to.
        value_type: of the struct around it that is the map's value.
        btf_fd: descriptor of the module's BTF that both are of, 0 for the kernel's.
        value: the map's value: that struct with the object's data in it, and zeros for its programs.
        pointers: (function, offset in the value) of each program.
        pointer_size: bytes of these.
        indexes: index of the kernel's member by function: the programs' expected attach type.
    """

    type_id: int
    value_type: int
    btf_fd: int
    value: bytes
    pointers: tuple[tuple[str, int], ...]
    pointer_size: int
    indexes: Mapping[str, int]


def resolve(spec: StructOpsSpec, local: Btf, kernel: KernelTypes) -> Union[Operations, Reason]:
    """Return an operations struct in the kernel's layout, or why this kernel does not take it."""
    ours = local.type(spec.type_id)
    assert isinstance(ours, kinds.Struct)
    name = essential(ours.name)
    if kernel.vmlinux is None:
        return Reason("btf-missing", f"struct {name} {NEEDS_OWN_BTF}", "ESRCH")
    found = find_type(kernel, name, "struct")
    value = find_type(kernel, _PREFIX + name, "struct")
    if found is None or value is None or value[0] is not found[0]:
        errno = "ESRCH" if value is None else "ENOENT"
        return Reason("attach-target-missing", f"this kernel takes no operations struct {name}", errno)
    btf, number, descriptor = found
    holder = btf.type(value[1])
    theirs = btf.type(number)
    assert isinstance(holder, kinds.Struct)
    assert isinstance(theirs, kinds.Struct)
    start = next((m.bit_offset // 8 for m in holder.members if m.type == number), None)
    if start is None:
        return Reason("attach-target-missing", f"struct {_PREFIX + name} does not hold a {name}", "EINVAL")
    value_bytes, pointers = bytearray(holder.size), []
    indexes: dict[str, int] = {}
    programs = dict(spec.programs)
    known = {m.name: (index, m) for index, m in enumerate(theirs.members)}
    for member in ours.members:
        place = known.get(member.name)
        if place is None:
            if member.name in programs or any(_content(local, member, spec.data)):
                lacks = f"this kernel's struct {name} has no member {member.name}"
                return Reason("attach-target-missing", lacks, "EOPNOTSUPP")
            continue
        index, there = place
        refusal = _fit(local, member, btf, there, programs)
        if refusal:
            return Reason("attach-target-missing", f"struct {name}, member {member.name}: {refusal}", "EOPNOTSUPP")
        offset = start + there.bit_offset // 8
        if member.name in programs:
            indexes[programs[member.name]] = index
            pointers.append((programs[member.name], offset))
        elif local.kind(local.resolve(member.type)) != kinds.PTR:
            content = _content(local, member, spec.data)
            value_bytes[offset : offset + len(content)] = content
    return Operations(number, value[1], descriptor, bytes(value_bytes), tuple(pointers), btf.pointer_size, indexes)


def _content(local: Btf, member: kinds.Member, data: bytes) -> bytes:
    try:
        size = local.size_of(member.type)
    except SizeUnknown:
        size = 0
    return data[member.bit_offset // 8 : member.bit_offset // 8 + size]


def _fit(local: Btf, ours: kinds.Member, btf: Btf, theirs: kinds.Member, programs: Mapping[str, str]) -> str:
    """Return why a member cannot stand for the kernel's, "" if it can."""
    if ours.bit_size or theirs.bit_size:
        return "is a bitfield"
    here, there = local.resolve(ours.type), btf.resolve(theirs.type)
    if local.kind(here) != btf.kind(there):
        return f"is a {local.type(here).kind}, the kernel's is a {btf.type(there).kind}"
    if local.kind(here) == kinds.PTR:
        pointee = btf.resolve(btf.type(there).type)  # type: ignore[union-attr]
        wrong = ours.name in programs and btf.kind(pointee) != kinds.FUNC_PROTO
        return "the kernel's is no pointer to a function" if wrong else ""
    try:
        sizes = local.size_of(here), btf.size_of(there)
    except SizeUnknown:
        return "it has no size"
    return "" if sizes[0] == sizes[1] else f"takes {sizes[0]} bytes, the kernel's takes {sizes[1]}"
