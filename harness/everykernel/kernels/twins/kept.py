"""Twins in the cache: ``twins/SERIES-PART-KEY/``, made whole or not at all.

twin.json                    the record (`Twin`), with the digest of the image
vmlinuz  config              as they were built
lib/modules/RELEASE/         what is built in (modules.builtin)
vmlinux.btf                  the BTF in the image, of the twin with BTF
RELEASE.btf                  what pahole makes of the debug information of the twin without
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from everykernel import cache
from everykernel.errors import CacheError
from everykernel.kernels.control import Version
from everykernel.kernels.packages import upstream
from everykernel.kernels.twins import kconfig

FOLDER = "twins"  # of the cache
RECORD = "twin.json"
# Of the record, and of what is built beside the fragments: raise it when the same inputs give other kernels.
_FORMAT = 1


@dataclass(frozen=True)
class Twin:
    """One of a pair that was built.

    Attributes:
        series: ``6.1``.
        part: ``btf`` or ``nobtf``.
        version: of the source's package (``6.1.192-3``).
        release: what ``uname -r`` prints there; both twins have the same.
        package, sha256: the source's package, by name and digest (hex).
        signed: how that was vouched for.
        fragments: digest of the configuration's fragments (hex).
        tools: what built it.
        image: SHA-256 of the image (hex).
        seconds: of one processor that building took, of its pair's second what was left to do.
        folder: where it is.
    """

    series: str
    part: str
    version: str
    release: str
    package: str
    sha256: str
    signed: str
    fragments: str
    tools: str
    image: str
    seconds: int
    folder: Path = field(compare=False)

    def write(self) -> None:
        """Write the record into the twin's folder."""
        plain = {name: value for name, value in asdict(self).items() if name != "folder"}
        (self.folder / RECORD).write_text(json.dumps({"format": _FORMAT, **plain}, indent=1) + "\n")

    def check(self) -> None:
        """Raise CacheError where the image is not what was built."""
        path = self.folder / "vmlinuz"
        with cache.explained(path), path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.image:
                remedy = f"rm -r {self.folder}; everykernel kernels build {self.series}"
                raise CacheError("is corrupted (SHA-256)", where=str(path), remedy=remedy)


def fragments(series: str, part: str) -> str:
    """Return the digest (hex) of what a twin's fragments ask for, as they are now; comments do not count."""
    asked = kconfig.read(kconfig.wanted(series, part))
    return hashlib.sha256(repr(sorted(asked.items())).encode()).hexdigest()


def key(series: str, part: str, sha256: str, tools: str) -> str:
    """Return what decides a twin, as one word: source, fragments, tools."""
    identity = [_FORMAT, series, part, sha256, fragments(series, part), tools]
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def place(series: str, part: str, word: str) -> Path:
    """Return the folder of a twin in the cache, whether it is there or not."""
    return cache.entry(FOLDER, f"{series}-{part}-{word}")


def at(folder: Path) -> Twin | None:
    """Return the twin in a folder, None where there is none whose record we can read."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
        return Twin(**record, folder=folder) if record.pop("format") == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def here() -> list[Twin]:
    """Return all twins of the cache, by name, those included that were built of other fragments than there are now."""
    found = (at(folder) for folder in sorted(cache.folder(FOLDER).iterdir()) if not folder.name.startswith("."))
    return [twin for twin in found if twin is not None]


def remove(twin: Twin) -> bool:
    """Delete a twin from the cache; return False if another process uses it."""
    cache.release(twin.folder)
    return cache.remove(cache.Entry(f"{FOLDER}/{twin.folder.name}", twin.folder, 0, 0.0))


def newest(series: str, part: str, version: str = "") -> Twin | None:
    """Return the newest twin that is here and was built of the fragments as they are now, None for none.

    ``version`` is the upstream version that it has to be of (``6.1.192``), "" for any.
    """
    wanted = (series, part, fragments(series, part))
    fit = [twin for twin in here() if (twin.series, twin.part, twin.fragments) == wanted]
    return max(
        (twin for twin in fit if version in ("", upstream(twin.version))),
        key=lambda twin: Version(twin.version),
        default=None,
    )
