"""Two kernels' types side by side: which row stands beside which, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from everykernel.btf import Btf, diff
from everykernel.report.btfview.model import Entry, Line

_LONGEST = 2000  # rows of a type that are laid beside one another by likeness; longer ones by place alone


class Beside(NamedTuple):
    """Two rows that stand side by side, -1 where nothing does, and what became of the row.

    Marks begin with moved, resized, retyped, renamed, changed (an enumerator's value), gone or new; one that stands
    elsewhere on the other side says where: ``moved to 72``, ``moved from 40``.
    """

    old: int
    new: int
    marks: tuple[str, ...]


class Pair(NamedTuple):
    """Two types of one kind and name; ``rows`` is empty where they are the same."""

    old: int
    new: int
    rows: list[Beside]


def pairs(old: Btf, one: Sequence[Entry], new: Btf, two: Sequence[Entry]) -> list[Pair]:
    """Return the types that both have, the first of each kind and name with the first, second with second and so on."""
    waiting: dict[tuple[str, str], list[int]] = {}
    for place, entry in enumerate(two):
        if entry.name:
            waiting.setdefault((entry.kind, entry.name), []).append(place)
    found = []
    for place, entry in enumerate(one):
        others = waiting.get((entry.kind, entry.name))
        if others:
            other = others.pop(0)
            same = entry.size == two[other].size and _texts(entry) == _texts(two[other])
            found.append(Pair(place, other, [] if same else _beside(old, entry, new, two[other])))
    return found


def _texts(entry: Entry) -> list[tuple[object, ...]]:
    return [line[:-1] for line in entry.lines]


def _beside(old: Btf, one: Entry, new: Btf, two: Entry) -> list[Beside]:
    """Lay the rows of two types beside one another: what kept its name, or seems renamed, on one line if it can."""
    renamed = {c.before: c.after for c in diff.between(old, one.number, new, two.number) if c.what == "renamed"}
    before = [(line.what, renamed.get(line.path, line.path)) for line in one.lines]
    after = [(line.what, line.path) for line in two.lines]
    olds, news = _places(before), _places(after)

    def marks(row: int, key: tuple[str, str], other: dict[tuple[str, str], int], word: str) -> tuple[str, ...]:
        """Return what became of a row that stands alone: it may stand elsewhere on the other side."""
        lines = (one.lines, two.lines) if word == "gone" else (two.lines, one.lines)
        if key[0] in ("hole", "padding", "open", "close"):
            return ()
        if key in other:
            line, there = lines[0][row], lines[1][other[key]]
            verb = "changed" if key[0] == "value" else "moved"
            places = (
                (f"{verb} {'to' if word == 'gone' else 'from'} {there.place}",) if line.place != there.place else ()
            )
            return (*places, *(m for m in _marks(line, there) if m != verb))
        return (word,)

    found: list[Beside] = []
    for a, b, x, y in _blocks(before, after):
        if before[a:b] == after[x:y]:
            pairs = zip(range(a, b), range(x, y))
            found += [Beside(i, j, _marks(one.lines[i], two.lines[j])) for i, j in pairs]
            continue
        found += [Beside(i, -1, marks(i, before[i], news, "gone")) for i in range(a, b)]
        found += [Beside(-1, j, marks(j, after[j], olds, "new")) for j in range(x, y)]
    return found


def _blocks(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> list[tuple[int, int, int, int]]:
    if max(len(before), len(after)) > _LONGEST:
        same = next((i for i, (x, y) in enumerate(zip(before, after)) if x != y), min(len(before), len(after)))
        return [(0, same, 0, same), (same, len(before), same, len(after))]
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [(a, b, x, y) for _, a, b, x, y in codes]


def _places(keys: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {key: place for place, key in enumerate(keys)}


def _marks(one: Line, two: Line) -> tuple[str, ...]:
    """Return what differs between two rows of one member; holes are consequences, and have no marks."""
    if one.what in ("hole", "padding", "open"):
        return ()
    if one.what == "value":
        return ("changed",) if one.place != two.place else ()
    found = []
    if one.path != two.path:
        found.append("renamed")
    same = one.text == two.text if one.path == two.path else _type(one) == _type(two)
    if not same and one.what != "close":
        found.append("retyped")
    if one.size != two.size:
        found.append("resized")
    if one.place != two.place:
        found.append("moved")
    return tuple(found)


def _type(line: Line) -> str:
    """Return a declaration without its name."""
    name = re.escape(line.path.rpartition(".")[2])
    return re.sub(rf"(?<!\w){name}(?=\W*$)", "", line.text, count=1) if name else line.text
