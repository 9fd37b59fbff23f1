"""The layout of a tracepoint's context: from the kernel's own description of the event, or from its BTF.

tracefs has ``events/CATEGORY/NAME/format`` for each event (Documentation/trace/events.rst). A kernel's BTF has a struct
trace_event_raw_NAME for each class of events; only where class and event have one name does it tell an event's layout.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds, render
from everykernel.btf.types import SizeUnknown
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from everykernel.btf import Btf

COMMON = 8  # bytes of struct trace_entry, which every event begins with, and no program may read
_LINE = re.compile(r"\s*field:(.*?)\s*;\s*offset:(\d+)\s*;\s*size:(\d+)\s*;")
_DYNAMIC = re.compile(r"^__(data|rel)_loc_|^__(data|rel)_loc\s+")
_NAME = re.compile(r"(\w+)\s*((?:\[[^\]]*\])*)$")


class Field(NamedTuple):
    """One field of an event.

    Attributes:
        name: without the mark of dynamic ones.
        offset, size: bytes; of a dynamic field, those of the word that says where its data is.
        declared: in C, as the kernel says it.
        array: whether it is one.
        dynamic: whether only the place of its data stands there (``__data_loc``).
    """

    name: str
    offset: int
    size: int
    declared: str
    array: bool
    dynamic: bool

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size


Format = tuple[Field, ...]


def parse(text: str) -> Format:
    """Return the fields in the text of a ``format`` file, in its order; lines that are none are passed over."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        declared = match[1]
        plain = re.sub(r"^__(data|rel)_loc\s+", "", declared)
        dynamic = plain != declared
        name = _NAME.search(plain.replace("[] ", " ") if dynamic else plain)
        if name is not None:
            array = bool(name[2]) or (dynamic and "[]" in plain)
            found.append(Field(name[1], int(match[2]), int(match[3]), declared, array, dynamic))
    return tuple(found)


def from_btf(btf: Btf, event: str) -> Optional[Format]:
    """Return the fields of an event (its name without the category) that is the only one of its class; else None."""
    struct_id = btf.find(f"trace_event_raw_{event}", "struct")
    if struct_id is None or btf.find(f"btf_trace_{event}", "typedef") is None:
        return None
    struct = btf.type(struct_id)
    assert isinstance(struct, kinds.Struct)
    found = []
    for member in struct.members:
        size = _size(btf, member.type)
        if not member.name or size is None or member.name == "__data" or member.bit_offset % 8 or member.bit_size:
            continue
        name = _DYNAMIC.sub("", member.name)
        array = isinstance(btf.type(btf.resolve(member.type)), kinds.Array)
        declared = render.declaration(btf, member.type, member.name)
        found.append(Field(name, member.bit_offset // 8, size, declared, array, name != member.name))
    return tuple(found)


def _size(btf: Btf, number: int) -> Optional[int]:
    try:
        return btf.size_of(number)
    except SizeUnknown:
        return None


def end(fields: Iterable[Field]) -> int:
    """Return how many bytes an event has, as the kernel counts them when a program is attached."""
    return max((field.end for field in fields), default=0)
