"""The runs of a folder: itself, and each folder in it, where there is a results.json; read again when it changed."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from everykernel.errors import UsageError
from everykernel.matrix.results import Results, read
from everykernel.report.files import Files
from everykernel.report.folder import RESULTS
from everykernel.report.runview.page import page
from everykernel.report.serving import history
from everykernel.report.serving.history import Summary

SELF = "."  # the name of the folder itself, where it is a run
MOST = 300  # runs of a folder that are shown: the newest
_PAGES = 3  # pages that are kept

_Made = TypeVar("_Made")
_Stamp = tuple[int, int]  # of a results file: when it changed, its size


@dataclass(frozen=True)
class Run:
    """One run of the folder.

    Attributes:
        name: of its folder, `SELF` for the folder itself.
        folder: it.
        summary: what it came to, None where it cannot be shown.
        wrong: why it cannot, "" where it can.
    """

    name: str
    folder: Path
    summary: Summary | None
    wrong: str = ""

    @property
    def address(self) -> str:
        """Where its page is: the folder itself has no name that could not be one of a folder in it."""
        return "/this/" if self.name == SELF else f"/run/{quote(self.name, safe='', errors='backslashreplace')}/"

    @property
    def called(self) -> str:
        """What it is called."""
        return "this folder" if self.name == SELF else self.name


class Runs:
    """The runs of a folder; may be asked by several threads.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()  # one results file at a time is in memory
        self._summaries: dict[str, tuple[_Stamp, Run]] = {}
        self._pages: OrderedDict[str, tuple[_Stamp, str]] = OrderedDict()

    def folders(self) -> dict[str, Path]:
        """Return the folders with results, by name, those that changed last first; symbolic links are not followed."""
        found = []
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in (SELF, *names):
            folder = self.folder / name
            if (stamp := _stamp(folder)) is not None:
                found.append((stamp, name, folder))
        return {name: folder for _, name, folder in sorted(found, reverse=True)[:MOST]}

    def all(self) -> list[Run]:
        """Return every run, the newest first."""
        found = [self._run(name, folder) for name, folder in self.folders().items()]
        return sorted(found, key=lambda run: run.summary.started if run.summary else "", reverse=True)

    def page(self, name: str, folder: Path) -> str:
        """Return a run's page; raise UsageError where it cannot be shown."""
        with self._lock:
            stamp = _stamp(folder)
            kept = self._pages.get(name)
            if kept is not None and kept[0] == stamp:
                self._pages.move_to_end(name)
                return kept[1]
            text = _shown(folder, lambda results: page(results, Files(folder, linked=True)))
            if stamp is not None:
                self._pages[name] = (stamp, text)
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
            return text

    def _run(self, name: str, folder: Path) -> Run:
        with self._lock:
            stamp = _stamp(folder)
            kept = self._summaries.get(name)
            if kept is not None and kept[0] == stamp:
                return kept[1]
            try:
                run = Run(name, folder, _shown(folder, history.summary))
            except UsageError as e:
                run = Run(name, folder, None, e.message)
            if stamp is not None:
                self._summaries[name] = (stamp, run)
            return run


def _stamp(folder: Path) -> _Stamp | None:
    try:
        found = os.open(folder / RESULTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        about = os.fstat(found)
        return about.st_mtime_ns, about.st_size
    finally:
        os.close(found)


def _shown(folder: Path, make: Callable[[Results], _Made]) -> _Made:
    """Return what is made of a folder's results; raise UsageError where that is not possible, whatever they hold."""
    try:
        return make(read(folder / RESULTS))
    except UsageError:
        raise
    except Exception as e:  # one file that nobody can show is no reason to show none
        raise UsageError(f"cannot be shown: {type(e).__name__}", where=str(folder / RESULTS)) from e
