r"""What came from outside, as it may be shown: a name, message, log or path says something, and orders nothing.

A terminal obeys control characters; bidirectional and zero-width ones make a reader see another name than is there; a
lone surrogate cannot be written at all. All of them are shown as escapes (``\x1b``, ``\u202e``), whatever prints them.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import re

_ODD = re.compile("[^ -~]")  # what is worth a look: all but printable ASCII


def printable(text: str) -> str:
    """Return a text as one line: what `str.isprintable` does not count as text is shown as an escape.

    That is all of Unicode's "other" and "separator" characters but the space. A byte that is no UTF-8, which Python
    decodes to a surrogate of U+DC80 to U+DCFF, is shown as that byte.
    """
    return text if text.isprintable() else _ODD.sub(_escape, text)


def lines(text: str) -> list[str]:
    """Return the lines of a log or console, each printable; tabs become spaces, and ends of any system are ends."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text.split("\n")
    return [printable(line.rstrip("\r").expandtabs()) for line in text.split("\n")]


def block(text: str) -> str:
    """Return a text of several lines, each printable."""
    return "\n".join(lines(text))


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
