"""The recipe of the guest image: images/guest.toml as values, and which files of its packages it keeps."""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from everykernel import folders
from everykernel.errors import HarnessError


@dataclass(frozen=True)
class Recipe:
    """What the image is made of.

    Attributes:
        suite: Debian's suite (its security suite is asked too).
        python: the version of its Python: ``3.11``.
        packages: names of packages.
        keep, drop, rescue: patterns of paths: kept is what ``rescue`` names, or ``keep`` names and ``drop`` does not.
        folders: empty folders to make.
        files: files to write, path to text.
        links: symbolic links to make, name to target.
    """

    suite: str
    python: str
    packages: tuple[str, ...]
    keep: tuple[str, ...]
    drop: tuple[str, ...]
    rescue: tuple[str, ...]
    folders: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]

    def keeps(self, path: str) -> bool:
        """Return whether the file ``path`` (``usr/bin/python3.11``) goes into the image.

        Where suites have moved everything below ``usr/``, patterns name it as it was before.
        """
        return self._keeps(path) or self._keeps(path.removeprefix("usr/"))

    def _keeps(self, path: str) -> bool:
        if _pattern(self.rescue).match(path):
            return True
        return bool(_pattern(self.keep).match(path)) and not _pattern(self.drop).match(path)


@functools.cache
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs) or r"(?!)")


def read(arch: str, path: Path | None = None) -> Recipe:
    """Return the recipe for an architecture; raise HarnessError if the file is not what it should be."""
    path = path or folders.data("images") / "guest.toml"
    try:
        text = path.read_text()
        raw = tomllib.loads(text)
        own = raw.get("own", {}).get(arch, {})
        raw = tomllib.loads(text.replace("{python}", own.get("python", raw["python"])))
        return Recipe(
            suite=own.get("suite", raw["suite"]),
            python=own.get("python", raw["python"]),
            packages=(*raw["packages"], *own.get("packages", ())),
            keep=tuple(raw["keep"]),
            drop=tuple(raw.get("drop", ())),
            rescue=tuple(raw.get("rescue", ())),
            folders=tuple(raw.get("folders", ())),
            files=tuple(sorted(raw.get("files", {}).items())),
            links=tuple(sorted({**raw.get("links", {}), **own.get("links", {})}.items())),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise HarnessError(f"cannot be used: {e}", where=str(path), remedy="install everykernel anew") from e
