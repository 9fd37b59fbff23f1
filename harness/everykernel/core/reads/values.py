"""What a register or a stack slot may hold: the values of the walk over a program's instructions (see `flow`).

None stands for anything else. Integers are 64 bits, unsigned.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Optional, Union

from everykernel.dataclass import dataclass

U64 = 0xFFFFFFFFFFFFFFFF
U32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Const:
    """A number; ``adapted``: CO-RE put a field's size or shift into it."""

    value: int
    adapted: bool = False


@dataclass(frozen=True)
class Offset:
    """The relocated offset of an access (its number), and what was added to it."""

    access: int
    value: int
    delta: int = 0


@dataclass(frozen=True)
class Address:
    """A pointer to which the offset of an access was added, ``delta`` bytes further on."""

    access: int
    delta: int = 0


@dataclass(frozen=True)
class Held:
    """What was read from a field: ``size`` bytes, shifted left by ``shift`` bits."""

    access: int
    size: int
    shift: int = 0


@dataclass(frozen=True)
class Stack:
    """An address on the function's own stack, relative to its frame."""

    offset: int


@dataclass(frozen=True)
class Context:
    """An address in the program's context."""

    offset: int


@dataclass(frozen=True)
class Data:
    """An address in a data section of the object."""

    section: str
    offset: int


@dataclass(frozen=True)
class Extern:
    """The address of an extern."""

    name: str


@dataclass(frozen=True)
class Unsettled:
    """A setting of the kernel that is not known here: a branch on it may be a guard."""


Value = Optional[Union[Const, Offset, Address, Held, Stack, Context, Data, Extern, Unsettled]]


def joined(one: Value, other: Value) -> Value:
    """Return what is true of both: a value that both are, else nothing."""
    if one == other:
        return one
    if isinstance(one, Unsettled) or isinstance(other, Unsettled):
        return Unsettled()
    return None


def signed(value: int, bits: int) -> int:
    """Return an unsigned number of so many bits as a signed one."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
