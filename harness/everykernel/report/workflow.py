"""Workflow commands: what GitHub's runner turns into annotations of lines.

Ten of each level are shown of a step (docs.github.com: "Workflow commands"), so the first says how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from everykernel.escaping import printable
from everykernel.report.columns import ranges
from everykernel.report.spots import ERROR, NOTICE, WARNING, Spot

MOST = 10
_COMMANDS = {ERROR: "error", WARNING: "warning", NOTICE: "notice"}


def lines(spots: Sequence[Spot], kernels: Sequence[str], summary: str = "", most: int = MOST) -> list[str]:
    """Return the commands, a line each: of each level at most ``most``, the aggregate first.

    Args:
        spots: what is told.
        kernels: the columns, in order.
        summary: a sentence on the whole run, for the aggregate.
        most: how many of a level.
    """
    found = []
    for level, command in _COMMANDS.items():
        of_level = [spot for spot in spots if spot.key.level == level]
        if not of_level:
            continue
        shown = of_level[: most - 1]
        found.append(_command(command, {"title": "everykernel"}, _aggregate(of_level, len(shown), summary)))
        found += [_of_spot(command, spot, kernels) for spot in shown]
    return found


def _aggregate(spots: Sequence[Spot], shown: int, summary: str) -> str:
    """Return what is said of all spots of a level."""
    places = len({spot.place for spot in spots if spot.place})
    more = len(spots) - shown
    number = (
        f"{len(spots)} thing{'' if len(spots) == 1 else 's'} at {places} line{'' if places == 1 else 's'} of source"
    )
    rest = f"; {more} more than are shown, in results.json" if more else ""
    return f"{number}{rest}{f'. {summary}' if summary else ''}"


def _of_spot(command: str, spot: Spot, kernels: Sequence[str]) -> str:
    key = spot.key
    where = {"file": key.file, "line": str(key.line)} if key.file else {}
    title = f"{key.code} on {', '.join(ranges(list(spot.kernels), kernels))}"
    program = f", program {key.program}" if key.program else ""
    return _command(command, {**where, "title": title}, f"{key.row}{program}: {spot.message}")


def _command(name: str, properties: dict[str, str], message: str) -> str:
    """Return a command, escaped as the runner reads it (actions/toolkit, packages/core/src/command.ts)."""
    told = ",".join(f"{key}={_escape(value, ':,')}" for key, value in properties.items())
    return f"::{name} {told}::{_escape(message)}"


def _escape(text: str, more: str = "") -> str:
    text = printable(text).replace("%", "%25")
    for character in more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
