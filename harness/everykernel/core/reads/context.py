"""A tracepoint's context as a program takes it, by a struct that its author wrote, against the event's own layout.

Only what the struct names is compared: whoever names a field means it. A field under another name, in the same place,
is an author's own word for it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds, render
from everykernel.btf.naming import printable
from everykernel.btf.types import SizeUnknown
from everykernel.core.reads import formats
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf import Btf
    from everykernel.object.spec import Function

_MARKS = ("__data_loc_", "__rel_loc_", "data_loc_", "rel_loc_")


class Taken(NamedTuple):
    """A member of the struct that the object takes the context for.

    Attributes:
        name: without the mark of dynamic fields.
        offset, size: bytes.
        declared: in C.
        array: whether it is one.
        dynamic: whether its name says that only the place of its data stands there.
    """

    name: str
    offset: int
    size: int
    declared: str
    array: bool
    dynamic: bool


class Wrong(NamedTuple):
    """What a read is taken for, and what the kernel has; without an access, nothing is wrong (`RIGHT`)."""

    access: str
    taken: str
    kernel: str


RIGHT = Wrong("", "", "")


def struct_of(function: Function, btf: Btf) -> Optional[int]:
    """Return the struct to which a function's first parameter points, None where it points to nothing that is known."""
    if function.func_info is None:
        return None
    func = btf.type(function.func_info.type_id)
    proto = btf.type(func.type) if isinstance(func, kinds.Func) else None
    if not isinstance(proto, kinds.FuncProto) or not proto.params:
        return None
    pointer = btf.type(btf.resolve(proto.params[0].type))
    if not isinstance(pointer, kinds.Ptr):
        return None
    number = btf.resolve(pointer.type)
    return number if isinstance(btf.type(number), kinds.Struct) else None


def members(btf: Btf, struct: int) -> Iterator[Taken]:
    """Yield the members of a struct that have a name and whole bytes."""
    found = btf.type(struct)
    assert isinstance(found, kinds.Struct)
    for member in found.members:
        try:
            size = btf.size_of(member.type)
        except SizeUnknown:
            continue
        start, rest = divmod(member.bit_offset, 8)
        if not member.name or rest or member.bit_size:
            continue
        name = next((member.name[len(mark) :] for mark in _MARKS if member.name.startswith(mark)), member.name)
        array = isinstance(btf.type(btf.resolve(member.type)), kinds.Array)
        declared = render.declaration(btf, member.type, printable(member.name))
        yield Taken(name, start, size, declared, array, name != member.name)


def judge(member: Taken, offset: int, size: int, event: formats.Format, title: str) -> Optional[Wrong]:
    """Return what is wrong with reading ``size`` bytes at ``offset`` of an event's context; None where that is unknown.

    Args:
        member: of the object's struct, which holds the first of the bytes.
        offset, size: what is read, in bytes.
        event: the event's fields in this kernel.
        title: the struct's name in C.
    """
    there = next((f for f in event if f.name == member.name), None)
    if offset + size > member.offset + member.size:
        return None
    if there is None:
        return RIGHT if any(f.offset <= offset and offset + size <= f.end for f in event) else None
    fits = there.offset == member.offset and offset + size <= there.end
    if fits and _alike(member, there):
        return RIGHT
    if there.offset == member.offset and not fits and not _overlaps(event, there, offset + size):
        return RIGHT
    instead = [f for f in event if f.offset < offset + size and offset < f.end and f != there]
    kernel = f"{there.declared} at byte {there.offset}, {_bytes(there.size)}"
    if instead:
        kernel += f"; what is read is of {' and '.join(f.declared for f in instead[:2])}"
    elif offset + size > formats.end(event):
        kernel += f"; the event ends at byte {formats.end(event)}"
    return Wrong(f"{title}.{member.name}", f"{member.declared} at byte {member.offset}, {_bytes(member.size)}", kernel)


def _alike(member: Taken, there: formats.Field) -> bool:
    """Whether a field of one name in one place is the same kind of thing: data, or the word that says where data is."""
    if member.size == there.size:  # an address in four bytes or as one number: the author's choice
        return there.dynamic or not member.dynamic
    return not there.dynamic and not member.dynamic and member.array == there.array


def _overlaps(event: formats.Format, there: formats.Field, end: int) -> bool:
    """Whether what is read behind a field is another field."""
    return any(there.end <= f.offset < end for f in event)


def _bytes(size: int) -> str:
    return f"{size} byte{'' if size == 1 else 's'}"
