"""Names of matrix rows that fit a column and still tell the rows apart: the folder that all share is cut off, and of a
long name the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from everykernel.escaping import printable

_BEFORE = 4  # characters that are left before the first difference


def labels(rows: Sequence[str], width: int) -> tuple[str, dict[str, str]]:
    """Return the folder that all rows share, "" for none, and what each row is called below it; no two are alike.

    Args:
        rows: names of cases and paths of objects, each once.
        width: terminal cells that a label may take, at least 8.
    """
    shared = rows[0][: rows[0].rfind("/", 0, _same(rows)) + 1] if len(rows) > 1 else ""
    names = {row: printable(row[len(shared) :]) for row in rows}
    alike: dict[str, list[str]] = {}
    for row, name in names.items():
        alike.setdefault(cut(name, width), []).append(row)
    found: dict[str, str] = {}
    taken: dict[str, int] = {}
    for label, members in sorted(alike.items(), key=lambda group: len(group[1])):
        at = _same([names[row] for row in members])
        for row in members:
            differs = label if len(members) == 1 else _begin("…" + names[row][max(0, at - _BEFORE) :], width)
            found[row] = _free(differs, width, taken)
    return printable(shared), {row: found[row] for row in rows}


def _same(names: Sequence[str]) -> int:
    """Return how many characters all names begin with: those that the first and the last of them share, sorted."""
    first, last = min(names), max(names)
    return next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def cut(name: str, width: int) -> str:
    """Return a name without its middle: two thirds of what is left are its end, which tells more."""
    if cell_len(name) <= width:
        return name
    end = _first(reversed(name), 2 * width // 3)[::-1]
    return f"{_first(name, width - 1 - cell_len(end))}…{end}"


def _begin(name: str, width: int) -> str:
    return name if cell_len(name) <= width else _first(name, width - 1) + "…"


def _free(label: str, width: int, taken: dict[str, int]) -> str:
    """Return a label, with a number at its end if it is taken."""
    free = label
    while free in taken:
        taken[label] += 1
        mark = f"…{taken[label]}"
        free = _first(label, width - len(mark)) + mark
    taken[free] = 1
    return free


def _first(characters: Iterable[str], width: int) -> str:
    """Return the characters from the first on that ``width`` cells hold."""
    found, used = [], 0
    for character in characters:
        used += cell_len(character)
        if used > width:
            break
        found.append(character)
    return "".join(found)
