"""Debian's control stanzas (deb822(5)) and versions (deb-version(7)), as far as indexes and apt's sources need them."""

from __future__ import annotations

import functools
import re
from typing import Any

_NOTHING = [(0,), 0]  # how the end of a version compares
_PIECES = re.compile(r"([^0-9]*)([0-9]*)")


def fields(stanza: str) -> dict[str, str]:
    """Return the fields of one stanza by lower-case name; what goes on in further lines keeps its line ends.

    Comments are left out, and what stands before the first field. A field that comes twice counts as its last.
    """
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in stanza.split("\n"):
        if line.startswith((" ", "\t")):
            lines.append(line.strip())
        elif ":" in line and not line.startswith("#"):
            name, _, value = line.partition(":")
            lines = found[name.strip().lower()] = [value.strip()]
    return {name: "\n".join(value) for name, value in found.items()}


@functools.total_ordering
class Version:
    """A package's version, in the order that dpkg gives them (deb-version(7), section "Sorting algorithm")."""

    def __init__(self, text: str) -> None:
        self.text = text
        epoch, colon, rest = text.rpartition(":")
        upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
        number = int(epoch) if colon and epoch.isascii() and epoch.isdecimal() else 0
        self._key = (number, _key(upstream), _key(revision))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Version({self.text!r})"


def _key(text: str) -> tuple[Any, ...]:
    """Return text and numbers in turn: ``~`` sorts before the end, the end before letters, letters before the rest."""
    key: list[Any] = []
    for letters, digits in _PIECES.findall(text):
        key += [(*(_rank(character) for character in letters), 0), int(digits or 0)]
    while key[-2:] == _NOTHING:  # 1.0 without revision is 1.0-0
        del key[-2:]
    return (*key, *_NOTHING)


def _rank(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256
