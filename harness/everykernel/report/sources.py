"""Paths of C sources as a repository has them: a build may have seen them from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from everykernel.errors import UsageError
from everykernel.matrix.records import CaseResult
from everykernel.matrix.results import Results

_PLACE = re.compile(r"(?P<file>.+):(?P<line>\d{1,7})(?::\d{1,5})?")


@dataclass(frozen=True)
class Sources:
    """How paths become those of a repository.

    Attributes:
        root: its folder; what is below it is told from there. "" for no such folder.
        maps: what a path begins with, and what stands there instead; the first that fits is taken.
    """

    root: str = ""
    maps: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, root: str, maps: Sequence[str] = ()) -> Sources:
        """Return what ``--source-root`` and ``--path-map FROM=TO`` mean; raise UsageError for what is no map."""
        pairs = []
        for text in maps:
            before, equals, after = text.partition("=")
            if not before or not equals:
                raise UsageError(f"{text!r} maps no path", where="--path-map", remedy="write FROM=TO")
            pairs.append((before, after))
        return cls(os.path.abspath(root) if root else "", tuple(pairs))  # noqa: PTH100 - links stay

    def path(self, name: str) -> str:
        """Return a path as the repository has it, with ``/``; what is elsewhere stays as it is."""
        for before, after in self.maps:
            if name == before or name.startswith(before.rstrip("/") + "/"):
                name = after.rstrip("/") + name[len(before.rstrip("/")) :] if after else name[len(before) :].lstrip("/")
                break
        made = os.path.normpath(name)
        if self.root and PurePosixPath(made).is_relative_to(self.root):
            return str(PurePosixPath(made).relative_to(self.root))
        return made

    def place(self, text: str) -> tuple[str, int]:
        """Return file and line of ``file:line``; "" and 0 where it is none."""
        found = _PLACE.fullmatch(text)
        return (self.path(found["file"]), int(found["line"])) if found else ("", 0)

    def mapped(self, results: Results) -> Results:
        """Return results whose places in sources are the repository's; nothing else differs."""
        return {**results, "results": [self._of_cell(result) for result in results["results"]]}

    def _of_cell(self, result: CaseResult) -> CaseResult:
        stages: dict[str, Any] = {}
        for name, stage in result.get("stages", {}).items():
            made: dict[str, Any] = {**stage}
            for key in ("programs", "relocations"):
                if key in made:
                    made[key] = self._of_records(made[key])
            stages[name] = made
        found: dict[str, Any] = {**result, "stages": stages}
        if "misreads" in found:
            found["misreads"] = self._of_records(found["misreads"])
        return cast("CaseResult", found)

    def _of_records(self, every: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [{**one, "source": self._place(one["source"])} if one.get("source") else one for one in every]

    def _place(self, text: str) -> str:
        file, line = self.place(text)
        return f"{file}:{line}" if file else text
