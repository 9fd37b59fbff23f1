"""everykernel.lock: which kernels a project's specs mean, to the byte, until it is written anew.

{"format": 1, "made": "20261129T060000Z", "kernels": [{"asked": "lts", "spec": "6.1", "arch": …, "source": …,
 "release": …, "series": …, "flavour": …, "image": SHA-256, "packages": [{"name": …, "url": …, "sha256": …, …}]}]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from everykernel.architectures import ARCHITECTURES
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels import store
from everykernel.kernels.download import Mismatch, NotThere
from everykernel.kernels.model import Kernel
from everykernel.kernels.packages import Candidate, Package
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources import table
from everykernel.kernels.sources.protocol import Source

FILENAME = "everykernel.lock"
SETTING = "EVERYKERNEL_LOCKED"  # any text but "" and 0: nothing that the lock does not name is taken
_FORMAT = 1
_REMEDY = "everykernel kernels lock writes it anew"


@dataclass(frozen=True)
class Held:
    """One kernel of a lock: the spec that asked for it, its own (of a range there are several), what it is."""

    asked: str
    spec: str
    candidate: Candidate
    image: str


@dataclass(frozen=True)
class Lock:
    """A lock: where it is, when it was made (``20261129T060000Z``), and its kernels."""

    path: Path
    made: str
    kernels: tuple[Held, ...]

    def meant(self, spec: str) -> list[Held]:
        """Return the kernels that a spec means, none if the lock does not know it."""
        return [one for one in self.kernels if one.asked == spec] or [one for one in self.kernels if one.spec == spec][
            :1
        ]

    def fetch(
        self, held: Held, source: Source, spec: str, progress: Progress, newest: Callable[[], Candidate | None]
    ) -> Kernel:
        """Return a kernel with its files in the cache, which are what the lock says.

        Args:
            held: the kernel.
            source: where it came from.
            spec: what the user calls it.
            progress: where downloads, and places that do not have it any more, are told.
            newest: returns what its spec means today, None for nothing; asked where it is nowhere to be had.

        Raises:
            DownloadError: its files are not what the lock says, or it is nowhere to be had any more.
        """
        try:
            kernel = store.fetch(kept(held), source, spec, progress)
        except Mismatch as e:
            text = f"is not what {self.path.name} says: {e.where}: {e.message}"
            raise Mismatch(text, where=spec, remedy=_REMEDY) from e
        except NotThere as e:
            found = self._elsewhere(held, source, spec, progress)
            if found is None:
                raise self._gone(held, source, spec, newest()) from e
            kernel = found
        if kernel.digest != held.image or _digests(held) != _had(kernel):
            text = f"the digests of {kernel.release} are not those that {self.path.name} has"
            remedy = f"find out which of them changed; {_REMEDY}"
            raise DownloadError(text, where=spec, remedy=remedy)
        return kernel

    def _elsewhere(self, held: Held, source: Source, spec: str, progress: Progress) -> Kernel | None:
        """Return a kernel that is no longer where it was, from wherever its bytes are now; None if from nowhere."""
        for moved in self._places(held, source, progress):
            try:
                return store.fetch(moved, source, spec, progress)
            except DownloadError as e:
                progress.note(f"{spec}: nor is it at {e.where}: {e.message}")
        return None

    def _places(self, held: Held, source: Source, progress: Progress) -> Iterator[Candidate]:
        """Yield a lock's kernel as its source has it now (another suite, a vault), then as the snapshot service has it.

        What is offered under its name is its own only by the same digests.
        """
        known = held.candidate
        if source.name in table.SLASHED:
            return  # a file or an image is nowhere but where it is
        for one in source.offer(known.release, known.arch, progress, thorough=True).candidates:
            places = [(package.base, package.suite, package.filename) for package in one.packages]
            before = [(package.base, package.suite, package.filename) for package in known.packages]
            if [package.sha256 for package in one.packages] == _digests(held) and places != before:
                yield one
        then = tuple(replace(one, base=source.snapshot(one, self.made)) for one in known.packages)
        if all(one.base for one in then):
            yield replace(known, packages=then)

    def _gone(self, held: Held, source: Source, spec: str, newest: Candidate | None) -> NotThere:
        """Return the error for a kernel that is nowhere any more, with what took its place."""
        now = f"{newest.version} has taken its place" if newest else "nothing has taken its place"
        text = f"{held.candidate.version} has left {source.name}'s archive, and {now}"
        return NotThere(text, where=spec, remedy=_REMEDY)


def kept(held: Held) -> Candidate:
    """Return a lock's kernel as the cache has it, or is to have it.

    What was fetched without a lock, from a source that knows no release but the image's, has its package's name there.
    """
    by_package = replace(held.candidate, release="")
    return by_package if store.folder_of(by_package).is_dir() else held.candidate


def _had(kernel: Kernel) -> list[str]:
    """Return the SHA-256 of the packages that a kernel of the cache was made from."""
    stored = store.at(kernel)
    return [row["sha256"] for row in stored.record["packages"]] if stored is not None else []


def _digests(held: Held) -> list[str]:
    return [one.sha256 for one in held.candidate.packages]


def find(start: Path) -> Lock | None:
    """Return the lock of the project that a folder belongs to, None if there is none; raises as `read` does."""
    for folder in (start, *start.parents):
        path = folder / FILENAME
        if path.is_file():
            return read(path)
    return None


def read(path: Path) -> Lock:
    """Return a lock; raise UsageError for what is none."""
    try:
        raw = json.loads(path.read_bytes())
        return Lock(path, _made(raw), tuple(_held(row) for row in raw["kernels"]))
    except (OSError, ValueError, KeyError, TypeError, DownloadError) as e:
        raise UsageError(f"is no lock that can be read: {e}", where=str(path), remedy=_REMEDY) from e


def _made(raw: dict[str, Any]) -> str:
    made: str = raw["made"]
    if raw["format"] != _FORMAT or not re.fullmatch(r"\d{8}T\d{6}Z", made):
        raise ValueError("it is of another format")
    return made


def _held(row: dict[str, Any]) -> Held:
    packages = tuple(Package(**{k: v for k, v in one.items() if k != "url"}) for one in row["packages"])
    if not packages or not all(re.fullmatch(r"[0-9a-f]{64}", one.sha256) for one in packages):
        raise ValueError(f"{row['spec']} has no package with a SHA-256")
    arch = ARCHITECTURES[row["arch"]]
    candidate = Candidate(arch, row["release"], row["series"], row["flavour"], packages, row["source"])
    return Held(row["asked"], row["spec"], candidate, row["image"])


def write(path: Path, made: str, kernels: Iterable[tuple[str, Kernel, store.Stored]]) -> None:
    """Write a lock of fetched kernels, each with the spec that asked for it."""
    rows = [_row(asked, kernel, store.candidate(one)) for asked, kernel, one in kernels]
    text = json.dumps({"format": _FORMAT, "made": made, "kernels": rows}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")


def _row(asked: str, kernel: Kernel, candidate: Candidate) -> dict[str, Any]:
    return {
        "asked": asked,
        "spec": kernel.spec,
        "arch": candidate.arch.name,
        "source": candidate.source,
        "release": candidate.release,
        "series": candidate.series,
        "flavour": candidate.flavour,
        "image": kernel.digest,
        "packages": [asdict(one) | {"url": one.url} for one in candidate.packages],
    }
