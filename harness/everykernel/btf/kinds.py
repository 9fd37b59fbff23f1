"""The kinds of BTF types as plain, frozen values.

Each class has ``kind`` (the kernel's BTF_KIND_* in lower case) and ``name`` ("" where the type has none). Type ids are
numbers of the `Btf` that the value came from; sizes are bytes, offsets inside a struct are bits. Source: the kernel's
Documentation/bpf/btf.rst and include/uapi/linux/btf.h.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Union

from everykernel.dataclass import dataclass
from everykernel.namedtuple import NamedTuple

INT_SIGNED, INT_CHAR, INT_BOOL = 1, 2, 4

KIND_NAMES = (
    "void", "int", "ptr", "array", "struct", "union", "enum", "fwd", "typedef", "volatile", "const", "restrict",
    "func", "func_proto", "var", "datasec", "float", "decl_tag", "type_tag", "enum64",
)  # fmt: skip
KIND_NUMBERS = {name: number for number, name in enumerate(KIND_NAMES)}

VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)

LINKAGES = ("static", "global", "extern")  # of FUNC and VAR: the kernel's btf_func_linkage


@dataclass(frozen=True)
class Void:
    """Type id 0."""

    name: str = ""
    kind: str = "void"


@dataclass(frozen=True)
class Int:
    """An integer; ``bits`` and ``offset`` differ from ``8 * size`` and 0 only in old, bitfield-like integers."""

    name: str
    size: int
    bits: int
    offset: int
    encoding: int
    kind: str = "int"

    @property
    def signed(self) -> bool:
        """Whether the encoding says signed."""
        return bool(self.encoding & INT_SIGNED)

    @property
    def is_char(self) -> bool:
        """Whether it holds characters: by its encoding, or a byte called char (no compiler sets the encoding)."""
        return bool(self.encoding & INT_CHAR) or (self.size == 1 and self.name in ("char", "signed char"))

    @property
    def is_bool(self) -> bool:
        """Whether the encoding says bool."""
        return bool(self.encoding & INT_BOOL)


@dataclass(frozen=True)
class Ptr:
    """A pointer to ``type`` (0: void)."""

    type: int
    name: str = ""
    kind: str = "ptr"


@dataclass(frozen=True)
class Array:
    """``count`` elements of ``type``; 0 elements may be a flexible array."""

    type: int
    index: int
    count: int
    name: str = ""
    kind: str = "array"


class Member(NamedTuple):
    """One member; ``bit_size`` is 0 unless the struct marks it as a bitfield (kind_flag)."""

    name: str
    type: int
    bit_offset: int
    bit_size: int


@dataclass(frozen=True)
class Struct:
    """A struct or a union (``kind`` says which)."""

    name: str
    size: int
    members: tuple[Member, ...]
    kind: str


class Enumerator(NamedTuple):
    """One value of an enum, signed if the enum is."""

    name: str
    value: int


@dataclass(frozen=True)
class Enum:
    """An enum (kind ``enum``) or one with 64-bit values (kind ``enum64``)."""

    name: str
    size: int
    signed: bool
    values: tuple[Enumerator, ...]
    kind: str


@dataclass(frozen=True)
class Fwd:
    """A forward declaration of a struct, or of a union."""

    name: str
    union: bool
    kind: str = "fwd"


@dataclass(frozen=True)
class Typedef:
    """Another name for ``type``."""

    name: str
    type: int
    kind: str = "typedef"


@dataclass(frozen=True)
class Modifier:
    """``const``, ``volatile``, ``restrict`` or ``type_tag`` (which has a name) around ``type``.

    ``attribute``: the tag's name is a plain attribute of C (Linux v6.15: ``address_space(1)``), not a btf_type_tag's.
    """

    type: int
    kind: str
    name: str = ""
    attribute: bool = False


@dataclass(frozen=True)
class Func:
    """A function: ``type`` is its func_proto, ``linkage`` an index of LINKAGES."""

    name: str
    type: int
    linkage: int
    kind: str = "func"


class Param(NamedTuple):
    """One parameter; a last one without name and type stands for ``...``."""

    name: str
    type: int


@dataclass(frozen=True)
class FuncProto:
    """A function's type: ``type`` is what it returns."""

    type: int
    params: tuple[Param, ...]
    name: str = ""
    kind: str = "func_proto"


@dataclass(frozen=True)
class Var:
    """A global variable; ``linkage`` is an index of LINKAGES."""

    name: str
    type: int
    linkage: int
    kind: str = "var"


class SecVar(NamedTuple):
    """A variable's place in its section: ``type`` is the id of its var (or func), offset and size are bytes."""

    type: int
    offset: int
    size: int


@dataclass(frozen=True)
class DataSec:
    """A section of variables (``.rodata``, ``.maps``, ``.ksyms`` …)."""

    name: str
    size: int
    variables: tuple[SecVar, ...]
    kind: str = "datasec"


@dataclass(frozen=True)
class Float:
    """A floating-point number."""

    name: str
    size: int
    kind: str = "float"


@dataclass(frozen=True)
class DeclTag:
    """A btf_decl_tag on ``type``, or on its member or parameter ``component`` (-1: on the whole).

    ``attribute``: it is a plain attribute of C instead.
    """

    name: str
    type: int
    component: int
    attribute: bool = False
    kind: str = "decl_tag"


@dataclass(frozen=True)
class Unknown:
    """A kind that the BTF's own layout section lets a reader step over (Linux 7.1 and later)."""

    name: str
    number: int
    kind: str = "unknown"


Type = Union[
    Void, Int, Ptr, Array, Struct, Enum, Fwd, Typedef, Modifier, Func, FuncProto, Var, DataSec, Float, DeclTag, Unknown
]
