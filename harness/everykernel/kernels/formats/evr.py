"""Versions of RPM packages and pacman's, in the order that both give them (rpm rpmio/rpmvercmp.cc, rpm-version(7))."""

from __future__ import annotations

import functools
import re

_PIECES = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_TILDE, _END, _CARET, _LETTERS, _NUMBER = range(5)  # in this order: 1~rc1 < 1 < 1^git1 < 1a < 1.1


@functools.total_ordering
class Evr:
    """An epoch, a version and a release (``0:5.14.0-503.el9``); a text without an epoch has epoch 0."""

    def __init__(self, text: str) -> None:
        self.text = text
        epoch, colon, rest = text.partition(":")
        version, _, release = (rest if colon else text).rpartition("-")
        number = int(epoch) if colon and epoch.isascii() and epoch.isdecimal() and len(epoch) < 10 else 0
        self._key = (number, _key(version or release), _key(release if version else ""))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evr) and self._key == other._key

    def __lt__(self, other: Evr) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Evr({self.text!r})"


def _key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return the pieces of a version; what is neither letter, digit, tilde nor caret only parts them."""
    key = []
    for piece in _PIECES.findall(text):
        if piece in "~^":
            key.append((_TILDE if piece == "~" else _CARET, 0, ""))
        elif piece.isdigit():
            digits = piece.lstrip("0")
            key.append((_NUMBER, len(digits), digits))  # longer is larger, without making a number of it
        else:
            key.append((_LETTERS, 0, piece))
    return (*key, (_END, 0, ""))
