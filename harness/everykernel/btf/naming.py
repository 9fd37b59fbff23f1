"""How types are called in messages and listings.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds

if TYPE_CHECKING:
    from everykernel.btf.types import Btf


def title(btf: Btf, number: int) -> str:
    """Return a type as C names it: ``struct task_struct``, ``enum x``, ``pid_t``; ``struct {…}`` without a name."""
    found = btf.type(number)
    name = printable(found.name)
    if isinstance(found, kinds.Struct):
        word = found.kind
    elif isinstance(found, kinds.Enum):
        word = "enum"
    elif isinstance(found, kinds.Fwd):
        word = "union" if found.union else "struct"
    else:
        return name or found.kind
    return f"{word} {name or '{…}'}"


def printable(name: str) -> str:
    """Return a name with bytes that are no UTF-8 shown as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
