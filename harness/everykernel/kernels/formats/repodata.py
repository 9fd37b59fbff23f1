"""A repository of RPM packages: repomd.xml, which names the indexes, and primary.xml, which lists the packages.

Sources: createrepo_c's output, rpm-software-management/rpm-metadata's schemas. Read as a stream of elements, no tree:
both come from outside, and a whole distribution's primary.xml has some 300 MB. A document type is refused, and with it
all entities.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import IO
from xml.etree import ElementTree

from everykernel import names
from everykernel.errors import DownloadError
from everykernel.kernels.bounded import Damaged

LARGEST = 2 << 30  # bytes of a primary.xml: Fedora's, of everything, has 0.3 GB
_PACKAGES = 1_000_000  # of a repository: Fedora's has 70,000
_TEXT = 16 << 10  # bytes of a text that is wanted: a path, a digest, a number
_CHUNK = 64 << 10  # bytes that are parsed at a time
_QUIET = 64  # chunks in which nothing begins, ends or is said: a tag of more than that many is none
_COMMON = "{http://linux.duke.edu/metadata/common}"
_REPO = "{http://linux.duke.edu/metadata/repo}"


@dataclass(frozen=True)
class Index:
    """An index that a repository has.

    Attributes:
        href: its path below the repository.
        sha256: of its file, hex.
        size: of its file, in bytes.
        time: when it was written, in seconds since the epoch; 0 if that is not said.
    """

    href: str
    sha256: str
    size: int
    time: int = 0


@dataclass(frozen=True)
class Listed:
    """One package of a repository.

    Attributes:
        name, arch: as RPM has them (``kernel-core``, ``x86_64``).
        epoch, version, release: of which the version is upstream's, and the release the distribution's.
        href: its path below the repository.
        sha256: of its file, hex.
        size: of its file, in bytes.
    """

    name: str
    arch: str
    epoch: str
    version: str
    release: str
    href: str
    sha256: str
    size: int

    @property
    def evr(self) -> str:
        """``0:5.14.0-503.el9``, what `everykernel.kernels.formats.evr` orders."""
        return f"{self.epoch or 0}:{self.version}-{self.release}"


class _Target:
    """What a parser tells: the path of open elements, the texts and attributes of those that are wanted.

    Args:
        record: the element that stands for one record.
        found: is given, for each record, its texts by element and its attributes by ``element attribute``.
    """

    def __init__(self, record: str, found: Callable[[dict[str, str]], None]) -> None:
        self._record, self._found = record, found
        self._fields: dict[str, str] | None = None
        self._open: list[str] = []
        self.events = self.records = 0

    def doctype(self, *_: object) -> None:
        raise Damaged("it has a document type, which no such index has")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.events += 1
        self._open.append(tag)
        if len(self._open) > 64:
            raise Damaged("its elements are nested more than 64 deep")
        if tag == self._record:
            self.records += 1
            if self.records > _PACKAGES:
                raise Damaged(f"it lists more than {_PACKAGES} packages")
            self._fields = {}
        if self._fields is not None and len(self._open) < 5:
            self._fields |= {f"{_plain(tag)} {_plain(name)}": value[:_TEXT] for name, value in attributes.items()}

    def data(self, text: str) -> None:
        self.events += 1
        if self._fields is not None and len(self._open) < 5:
            name = _plain(self._open[-1])
            known = self._fields.get(name, "")
            if len(known) < _TEXT:
                self._fields[name] = known + text[:_TEXT]

    def end(self, tag: str) -> None:
        self.events += 1
        self._open.pop()
        if tag == self._record and self._fields is not None:
            self._found({name: value.strip() for name, value in self._fields.items()})
            self._fields = None

    def close(self) -> None:
        pass


def repomd(data: bytes, where: str) -> Index:
    """Return what a repomd.xml says of its primary.xml.

    Raises:
        DownloadError: it is none, or has no primary index with a SHA-256.
    """
    found: list[dict[str, str]] = []
    _parse(io.BytesIO(data), _Target(f"{_REPO}data", found.append), where)
    for fields in found:
        if fields.get("data type") == "primary" and fields.get("checksum type") == "sha256":
            size = fields.get("size", "")
            if not size.isdecimal() or len(size) > 12:
                break
            time = fields.get("timestamp", "").partition(".")[0]  # createrepo of old wrote fractions
            return Index(
                _path(fields.get("location href", ""), where),
                _sha256(fields["checksum"], where),
                int(size),
                int(time) if time.isdecimal() and len(time) < 12 else 0,
            )
    raise DownloadError("names no primary index with its size and SHA-256", where=where)


def primary(stream: IO[bytes], wanted: Container[str], where: str) -> list[Listed]:
    """Return the packages of a plain primary.xml whose names are wanted.

    Raises:
        DownloadError: it is damaged, or larger than any; an entry that is wanted has no path, size or SHA-256.
    """
    found: list[Listed] = []

    def take(fields: dict[str, str]) -> None:
        if fields.get("name") in wanted:
            found.append(_listed(fields, where))

    _parse(stream, _Target(f"{_COMMON}package", take), where)
    return found


def _listed(fields: dict[str, str], where: str) -> Listed:
    size = fields.get("size package", "")
    if fields.get("checksum type") != "sha256" or not size.isdecimal() or len(size) > 12:
        raise DownloadError(f"the entry of {fields['name']} has no size or SHA-256", where=where)
    if "location base" in fields:
        raise DownloadError(f"{fields['name']} is not in this repository but at {fields['location base']}", where=where)
    version, release = fields.get("version ver", ""), fields.get("version rel", "")
    for text in (fields["name"], fields.get("arch", ""), version, release):
        names.checked(text, "a package's name or version", where=where, error=DownloadError)
    href, sha256 = _path(fields.get("location href", ""), where), _sha256(fields.get("checksum", ""), where)
    return Listed(
        fields["name"], fields["arch"], fields.get("version epoch", ""), version, release, href, sha256, int(size)
    )


def _parse(stream: IO[bytes], target: _Target, where: str) -> None:
    """Parse a stream to its end; raise DownloadError for what is not well formed."""
    parser = ElementTree.XMLParser(target=target)
    quiet = before = 0
    try:
        while data := stream.read(_CHUNK):
            parser.feed(data)
            quiet = quiet + 1 if target.events == before else 0
            before = target.events
            if quiet > _QUIET:
                raise Damaged(f"a tag of more than {_QUIET * _CHUNK >> 20} MiB")
        parser.close()
    except (ElementTree.ParseError, ValueError) as e:
        raise DownloadError(f"not a sound index: {e}", where=where) from e


def _plain(tag: str) -> str:
    """Return an element's name without its namespace."""
    return tag.rpartition("}")[2]


def _path(href: str, where: str) -> str:
    for part in href.split("/"):
        names.checked(part, "a part of a package's path", where=where, error=DownloadError)
    return posixpath.normpath(href)


def _sha256(text: str, where: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise DownloadError(f"{text[:80]!r} is no SHA-256", where=where)
    return text.lower()
