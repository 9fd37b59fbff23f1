"""The order of what has numbers in its name: 5.10 before 6.1 before 6.12, whatever stands around the numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime

Key = tuple[tuple[int, int, str], ...]

_PARTS = re.compile(r"[0-9]+|[^0-9]+")


def natural(text: str) -> Key:
    """Return a key by which names sort as people count; names that differ have keys that differ."""
    found = []
    for part in _PARTS.findall(text):
        digits = part.lstrip("0") if part.isdigit() else ""
        found.append((0, len(digits), digits + "\0" + part) if part.isascii() and part.isdigit() else (1, 0, part))
    return tuple(found)


def moment(text: str) -> tuple[float, str]:
    """Return a key by which the starts of runs sort: of a text that is no time, the earliest."""
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp(), text
    except (ValueError, OverflowError):
        return float("-inf"), text
