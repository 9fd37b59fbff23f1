"""Cells of an older report that are to be run again: those that did not pass, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from everykernel.errors import UsageError
from everykernel.matrix import records, results
from everykernel.matrix.records import CaseResult

RESULTS = "results.json"


class Selected(NamedTuple):
    """What a report has to run again.

    Attributes:
        cells: its cells that pytest did not run, with their place in the file.
        tests: the cells that pytest ran.
        total: how many cells it has.
    """

    cells: list[tuple[int, CaseResult]]
    tests: list[CaseResult]
    total: int

    @property
    def kernels(self) -> list[str]:
        """The kernels of what pytest ran, in order."""
        return list(dict.fromkeys(result["kernel"] for result in self.tests))


def select(path: Path, *, failed: bool) -> Selected:
    """Return the cells of a report: results.json, or the folder that holds one.

    Args:
        path: the report.
        failed: only those that did not pass: what failed, and what broke.

    Raises UsageError where it holds no results.
    """
    found = results.read(path / RESULTS if path.is_dir() else path)["results"]
    chosen = [(n, one) for n, one in enumerate(found) if not failed or one["outcome"] != records.PASSED]
    return Selected(
        [(n, one) for n, one in chosen if not one.get("test")],
        [one for _, one in chosen if one.get("test")],
        len(found),
    )


def nothing(path: Path, selected: Selected) -> str:
    """Return what is said of a report that has nothing to run again."""
    if not selected.total:
        return f"{path}: it has no cells: there is nothing to run again"
    return f"{path}: all {selected.total} cells passed: there is nothing to run again"


def check_tests(path: Path, selected: Selected, others: Sequence[object], how: str) -> str:
    """Return a line on cells that somebody else has to run again, "" where there are none.

    Raises UsageError where there are no others.
    """
    number = len(selected.tests if how.startswith("pytest") else selected.cells)
    if not number:
        return ""
    whose = "pytest" if how.startswith("pytest") else "everykernel run"
    text = f"{number} cell{'' if number == 1 else 's'} of this report {'is' if number == 1 else 'are'} {whose}'s"
    if not others:
        raise UsageError(text, where=str(path), remedy=f"{how} {path}")
    return f"{path}: {text}: {how} {path}"
