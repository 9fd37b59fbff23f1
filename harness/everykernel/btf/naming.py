"""How types are called in messages and listings.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.escaping import printable

if TYPE_CHECKING:
    from everykernel.btf.types import Btf

__all__ = ["printable", "title"]

_WORDS = {kinds.STRUCT: "struct", kinds.UNION: "union", kinds.ENUM: "enum", kinds.ENUM64: "enum"}


def title(btf: Btf, number: int) -> str:
    """Return a type as C names it: ``struct task_struct``, ``enum x``, ``pid_t``; ``struct {…}`` without a name."""
    kind = btf.kind(number)
    name = printable(btf.name_of(number))
    if kind == kinds.FWD:
        found = btf.type(number)
        word: str | None = "union" if isinstance(found, kinds.Fwd) and found.union else "struct"
    else:
        word = _WORDS.get(kind)
    if word is not None:
        return f"{word} {name or '{…}'}"
    return name or (kinds.KIND_NAMES[kind] if kind < len(kinds.KIND_NAMES) else f"kind {kind}")
