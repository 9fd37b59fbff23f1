"""Misreads for people: what reads the same thing wrongly is said once, with the kernels on which it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everykernel import wire
    from everykernel.matrix.records import CaseResult

_MOST = 12  # lines of a run


def of_results(results: Sequence[CaseResult], labels: Mapping[str, str]) -> list[str]:
    """Return a line for each misread of a run: the row, the kernels, the program, what is taken for what.

    More than a few are counted; ``labels`` says what each row is called.
    """
    from everykernel.matrix import records  # which those who look at one object do not need

    found = [(records.row(result), result.get("kernel", ""), m) for result in results for m in _of(result)]
    lines = _lines((labels.get(row, row), kernel, misread) for row, kernel, misread in found)
    more = len(lines) - _MOST
    return [*lines[:_MOST], f"… and {more} more misreads (in results.json)"] if more > 0 else lines


def of_object(kernels: Iterable[tuple[str, list[wire.Misread]]]) -> list[str]:
    """Return a line for each misread of one object; ``kernels`` pairs a kernel with what is misread there."""
    return _lines(("", label, misread) for label, misreads in kernels for misread in misreads)


def _of(result: CaseResult) -> list[wire.Misread]:
    return result.get("misreads", [])


def _lines(found: Iterable[tuple[str, str, wire.Misread]]) -> list[str]:
    """Group (row, kernel, misread) by what is taken for what."""
    groups: dict[tuple[str, str, str], tuple[dict[str, None], dict[str, dict[str, None]]]] = {}
    for row, kernel, misread in found:
        programs, there = groups.setdefault((row, misread["access"], misread["taken"]), ({}, {}))
        programs.setdefault(misread["program"])
        there.setdefault(misread["kernel"], {}).setdefault(kernel)
    lines = []
    for (row, access, taken), (programs, there) in groups.items():
        has = "; ".join(f"{', '.join(kernels)}: {words}" for words, kernels in there.items())
        lines.append(f"{row + ': ' if row else ''}{', '.join(programs)}: {access} is taken for {taken}; {has}")
    return lines
