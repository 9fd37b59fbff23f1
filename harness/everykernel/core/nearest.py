"""What a kernel has in place of what a relocation misses: a member renamed or moved into another struct, a type that
became another kind, an enumerator of another enum.

Guesses for people, from names and types; nothing is relocated by them.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple, Optional

from everykernel.btf import diff, kinds
from everykernel.btf.index import essential
from everykernel.btf.naming import title
from everykernel.btf.render import declaration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf import Btf

_SIMILAR = 0.6  # difflib's ratio from which a name counts as near
_DEPTH = 2  # embedded structs that are looked into
_TYPES = ("struct", "union", "enum", "enum64", "typedef", "fwd")


class Near(NamedTuple):
    """One guess: ``path`` is its name or path inside the same struct, ``words`` say what it is."""

    path: str
    words: str


def member(btf: Btf, struct: str, kind: str, name: str, declared: str) -> Optional[Near]:
    """Return what may stand for a missing member of a struct that the kernel has; ``declared`` is its type in C."""
    number = btf.find(struct, kind)
    if number is None:
        return None
    embedded = next(_embedded(btf, number, name), None)
    if embedded is not None:
        return Near(embedded, f"it is now inside another member: {embedded}")
    here = diff.fields(btf, number)
    similar = [(f.name.strip("_") == name.strip("_"), f.type == declared, _ratio(name, f.name), f) for f in here]
    likely = [s for s in similar if s[0] or s[2] >= _SIMILAR]
    if not likely:
        return None
    _, same, _, found = max(likely, key=lambda s: s[:3])
    words = f"it may be called {found.name} now" + ("" if same else f", as {found.type}")
    return Near(found.name, words)


def type_(btf: Btf, name: str, kind: str) -> Optional[Near]:
    """Return what may stand for a missing type."""
    bare = essential(name)
    others = [n for n in btf.find_all(bare, _TYPES) if btf.type(n).kind != kind]
    if others:
        found = btf.type(others[0])
        words = "only its forward declaration is left" if found.kind == "fwd" else f"it is a {found.kind} now"
        return Near(title(btf, others[0]), words)
    names = {t.name for _, t in btf if t.name and t.kind == kind}
    close = difflib.get_close_matches(bare, names, 1, 0.75)
    return Near(close[0], f"a {kind} of a similar name: {close[0]}") if close else None


def enumerator(btf: Btf, enum: str, name: str) -> Optional[Near]:
    """Return what may stand for a missing value of an enum: the same name in another enum, or a similar one in this."""
    bare = essential(name)
    for number, found in btf:
        if isinstance(found, kinds.Enum) and found.name != enum and any(v.name == bare for v in found.values):
            return Near(bare, f"{title(btf, number)} has it")
    for number in btf.find_all(essential(enum), ("enum", "enum64")):
        found = btf.type(number)
        if isinstance(found, kinds.Enum):
            close = difflib.get_close_matches(bare, [v.name for v in found.values], 1, 0.75)
            if close:
                return Near(close[0], f"a value of a similar name: {close[0]}")
    return None


def _embedded(btf: Btf, number: int, name: str, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the paths to a member of this name in the structs that are members of a struct."""
    struct = btf.type(btf.resolve(number))
    if not isinstance(struct, kinds.Struct) or depth > _DEPTH:
        return
    for each in struct.members:
        inner = f"{prefix}.{each.name}" if prefix and each.name else prefix or each.name
        if depth and each.name == name:
            yield inner
        yield from _embedded(btf, each.type, name, inner, depth + 1)


def _ratio(one: str, two: str) -> float:
    return difflib.SequenceMatcher(None, one, two).ratio()


def declared(btf: Btf, number: int) -> str:
    """Return a type in C, as `member` compares it."""
    return declaration(btf, number)
