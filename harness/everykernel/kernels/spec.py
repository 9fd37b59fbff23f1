"""The grammar of kernel specs: text to `Spec`, nothing looked up.

SERIES|VERSION[+FLAVOUR][/ARCH]                6.1   6.1.192   6.1+generic   6.1/i386
SERIES|VERSION-btf|-nobtf|-supplied            6.1-btf   6.1-nobtf   6.1-supplied
SERIES..SERIES[+FLAVOUR][/ARCH]                5.10..6.12
lts|latest[+FLAVOUR][/ARCH]
SOURCE:REST[+FLAVOUR][/ARCH]                   debian:6.1   debian:6.1.0-56-cloud-amd64   rocky:9   rocky9
URL|FILE                                       ./linux-image-6.8.deb   https://host/linux.deb
PATH                                           ./bzImage   ~/linux   /boot/vmlinuz-6.1
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from everykernel.architectures import ARCHITECTURES, DEFAULT, Architecture
from everykernel.errors import UnknownKernel, UsageError
from everykernel.kernels import catalogue
from everykernel.kernels.model import Kernel
from everykernel.kernels.packages import upstream
from everykernel.kernels.sources import table
from everykernel.kernels.sources.file import READERS
from everykernel.kernels.twins import parts

Kind = Literal["series", "version", "range", "lts", "latest", "named", "path"]
_TWIN = rf"(?:-(?P<btf>{'|'.join(parts.PARTS)}))?"
_TAIL = r"(?:\+(?P<flavour>[a-z0-9][a-z0-9.-]*))?(?:/(?P<arch>[A-Za-z0-9_]+))?"
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("version", re.compile(rf"(?P<value>\d+\.\d+\.\d+){_TWIN}{_TAIL}")),
    ("series", re.compile(rf"(?P<value>\d+\.\d+){_TWIN}{_TAIL}")),
    ("range", re.compile(rf"(?P<value>\d+\.\d+)\.\.(?P<until>\d+\.\d+){_TAIL}")),
    ("lts", re.compile(rf"(?P<value>lts){_TAIL}")),
    ("latest", re.compile(rf"(?P<value>latest){_TAIL}")),
)
_NAMED = re.compile(r"(?P<source>[a-z][a-z-]*)(?::(?P<rest>\S+)|(?P<number>\d\S*))")
_NUMBER = re.compile(rf"(?P<value>\d+(?:\.\d+)?){_TAIL}")
_WHOLE = re.compile(r"(?P<value>\S+?)(?:/(?P<arch>[A-Za-z0-9_]+))?")
PATH_HINT = "or give a path to a bzImage or a kernel build directory, like ./bzImage"


@dataclass(frozen=True)
class Spec:
    """One kernel spec, read.

    Attributes:
        text: as the user gave it.
        kind: what it names.
        value: the series, version or path; the first series of a range; what stands after a source's name.
        until: the last series of a range, else "".
        btf: ``btf``, ``nobtf`` or ``supplied`` for a twin built from source (`everykernel.kernels.twins`), else "".
        flavour: what stands after ``+``, else "".
        arch: what stands after ``/``; for a path, None (its image tells).
        source: the source that it names, "" for any.
    """

    text: str
    kind: Kind
    value: str
    until: str = ""
    btf: str = ""
    flavour: str = ""
    arch: Architecture | None = DEFAULT
    source: str = ""

    def matches(self, kernel: Kernel) -> bool:
        """Tell whether a kernel of the cache is (one of those) meant: a series means all of its kernels."""
        if self.arch is None or kernel.arch != self.arch or (self.flavour and not _of_flavour(kernel, self.flavour)):
            return False
        if self.btf or self.kind not in ("series", "version", "named"):
            return False
        ours = self.kind != "named" or kernel.source.startswith(f"{self.source}:")
        name = re.sub(r"^linux-(image|binary)-", "", self.value)
        return ours and (kernel.release == name or kernel.series == name or upstream(kernel.version) == name)

    def named(self, series: str) -> str:
        """Return the spec of one series of a range (``5.10..6.12/i386`` gives ``5.10/i386``)."""
        tail = re.search(r"\+.*|/.*", self.text)
        return series + (tail[0] if tail else "")


def _of_flavour(kernel: Kernel, flavour: str) -> bool:
    return kernel.flavour == catalogue.load().flavours.get(kernel.arch.name, {}).get(flavour, flavour)


def parse(texts: str | Iterable[str]) -> list[Spec]:
    """Return the specs of one or several comma lists.

    Raises:
        UnknownKernel: one that is no spec.
        UsageError: an architecture that is not in the table, or no spec at all.
    """
    lists = [texts] if isinstance(texts, str) else list(texts)
    items = [item.strip() for text in lists for item in _split(text)]
    specs = [_parse(item) for item in items if item]
    if not specs:
        raise UsageError("no kernel is named", where="kernels", remedy="name some, like 5.10,6.1,6.12")
    return specs


def _split(text: str) -> Sequence[str]:
    """Split at commas, unless there is a file of that very name."""
    return [text] if _looks_like_path(text) and _exists(expand(text)) else text.split(",")


def expand(text: str) -> Path:
    """Return the path that a user means; ``~`` of a user who is not there stays as it is."""
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError):  # no such user; a NUL byte in its name
        return Path(text)


def _exists(path: Path) -> bool:
    """Return whether there is such a file; a name that no file system takes is none."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for such a name


def _looks_like_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~")) or text in (".", "..")


def _parse(text: str) -> Spec:
    if re.match(r"https?://", text) or (text.endswith(tuple(READERS)) and _exists(expand(text))):
        return Spec(text, "named", os.fspath(expand(text)) if _looks_like_path(text) else text, source="file")
    if _looks_like_path(text):
        return Spec(text, "path", text, arch=None)
    for kind, pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            found = match.groupdict(default="")
            return Spec(
                text=text,
                kind=kind,
                value=found["value"],
                until=found.get("until", ""),
                btf=found.get("btf", ""),
                flavour=found.get("flavour", ""),
                arch=_architecture(found.get("arch", ""), text),
            )
    if _exists(Path(text)):
        return Spec(text, "path", text, arch=None)
    match = _NAMED.fullmatch(text)
    if match and match["source"] in table.NAMES:
        return _named(text, match["source"], match["rest"] or match["number"])
    raise UnknownKernel(
        "is not a kernel spec",
        spec=text,
        where=text,
        remedy=f"write a series like 6.1, a version like 6.1.192, a range like 5.10..6.12, lts or latest, {PATH_HINT}",
    )


def _named(text: str, source: str, rest: str) -> Spec:
    """Return the spec of what a source calls ``rest``: a flavour stands only behind a number, a package has its own."""
    match = _NUMBER.fullmatch(rest) or _WHOLE.fullmatch(rest)
    assert match is not None, "it has no spaces"
    found = match.groupdict(default="")
    known = {name for row in ARCHITECTURES.values() for name in (row.name, row.debian)}
    if source in table.SLASHED and found["arch"] not in known:
        found |= {"value": rest, "arch": ""}
    return Spec(
        text=text,
        kind="named",
        value=found["value"],
        flavour=found.get("flavour", ""),
        arch=_architecture(found["arch"], text),
        source=source,
    )


def _architecture(name: str, text: str) -> Architecture:
    """Return the row of the table by our name or Debian's; "" is the default."""
    for row in ARCHITECTURES.values():
        if name in (row.name, row.debian):
            return row
    if not name:
        return DEFAULT
    known = ", ".join(ARCHITECTURES)
    raise UsageError(f"architecture {name!r} is not supported", where=text, remedy=f"one of {known}")
