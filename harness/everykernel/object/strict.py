"""Strict reading of tables: an unknown key or a value of the wrong type is a UsageError that names the nearest.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from everykernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def known(text: str, names: Iterable[str], where: str, what: str) -> None:
    """Raise UsageError, with the nearest, for a text that is none of these names."""
    names = tuple(names)
    if text in names:
        return
    import difflib

    nearest = difflib.get_close_matches(text, names, 1)
    remedy = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(names) or 'none'}"
    raise UsageError(f"unknown {what} {text!r}", where=where, remedy=remedy)


def keys(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Raise UsageError, with the nearest, for a key that is none of these names."""
    for key in table:
        known(key, names, where, "key")


def is_table(value: Any) -> bool:
    """Whether a value is a table, with text for keys."""
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def table_at(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """Return the table at a key, an empty one without it."""
    value = table.get(key, {})
    if not is_table(value):
        raise UsageError(f"{key} = {value!r} is not a table", where=where)
    return value  # type: ignore[no-any-return]


def texts(table: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    """Return the table of texts at a key."""
    found = table_at(table, key, where)
    for name, value in found.items():
        if not isinstance(value, str) or not value:
            raise UsageError(f"{key}: {name} = {value!r} is not text", where=where)
    return dict(found)


def names(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """Return the list of names at a key."""
    value = table.get(key, ())
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        raise UsageError(f"{key} = {value!r} is not a list of names", where=where)
    return tuple(value)


def size(table: Mapping[str, Any], key: str, where: str, bits: int = 32) -> Optional[int]:
    """Return the number of so many bits at a key, None without it."""
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << bits:
        raise UsageError(f"{key} = {value!r} is not a number of {bits} bits", where=where)
    return value
