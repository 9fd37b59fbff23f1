"""The words of a baseline's line: separated by blanks; one in quotes, as in JSON, may hold anything."""

from __future__ import annotations

import json
import re

_WORD = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")(?=\s|$)|([^\s"#]\S*)|(#.*))')
_PLAIN = re.compile(r'[^\s"#]\S*')


def split(line: str) -> tuple[list[tuple[str, bool]], str]:
    """Return the words of a line, each with whether it stood in quotes, and the comment behind them.

    Raises ValueError, with what is wrong, for a quote that does not end or holds what is no text.
    """
    found: list[tuple[str, bool]] = []
    at, end = 0, len(line.rstrip())
    while at < end:
        match = _WORD.match(line, at)
        if match is None:
            raise ValueError(f"the quote at column {at + 1 + len(line[at:]) - len(line[at:].lstrip())} does not end")
        quoted, plain, comment = match.groups()
        if comment is not None:
            return found, comment
        if quoted is not None:
            try:
                found.append((json.loads(quoted, strict=False), True))
            except ValueError as e:
                raise ValueError(f"{quoted} is no text as JSON writes it") from e
        else:
            found.append((plain, False))
        at = match.end()
    return found, ""


def quoted(text: str) -> str:
    """Return a text in quotes."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def word(text: str) -> str:
    """Return a text as one word: in quotes where it would not be one, or be another."""
    plain = _PLAIN.fullmatch(text) and text.isprintable() and text not in RESERVED
    return text if plain else quoted(text)


NONE = "-"  # in the place of a program: the object as a whole
TESTED = "tested"
RESERVED = (NONE, TESTED)
