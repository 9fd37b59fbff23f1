"""What is inside an RPM package: a header with what there is, signatures of it, and a compressed cpio archive.

Sources: rpm docs/manual/format_v4.md (lead, headers, payload), docs/manual/tags.md, docs/manual/hregions.md; rpm's own
limits in lib/header.cc. What is trusted is the header, once a signature of it was found good: it has a digest of every
file, which is compared with what the payload holds.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import stat
import struct
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from everykernel.kernels.bounded import Stream
from everykernel.kernels.formats import cpio
from everykernel.kernels.formats.members import LARGEST, Content, Malformed, Members, counted, explained, relative

_LEAD = 96  # bytes, which nothing has read since rpm 2.1
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_HEADER_MAGIC = b"\x8e\xad\xe8\x01"
_TAGS = 0xFFFF  # of a header (rpm lib/header.cc: hdrchkTags)
_STORE = 32 << 20  # bytes of a header's data: those of a kernel's sources, the largest, have 5 MB
_CHAR, _INT8, _INT16, _INT32, _STRING, _BIN, _STRINGS, _I18N = (
    1,
    2,
    3,
    4,
    6,
    7,
    8,
    9,
)  # types (rpm include/rpm/rpmtypes.h)
_INTEGERS = {_CHAR: "B", _INT8: "B", _INT16: "H", _INT32: "I"}
_DSA_HEADER, _RSA_HEADER, _OPENPGP = 267, 268, 278  # tags of the signature header: what signs the main header
_NAME, _VERSION, _RELEASE, _ARCH, _FORMAT, _COMPRESSOR = 1000, 1001, 1002, 1022, 1124, 1125
_SIZES, _MODES, _DIGESTS, _LINKS, _INODES = 1028, 1030, 1035, 1036, 1096
_DIR_INDEXES, _BASE_NAMES, _DIR_NAMES, _DIGEST_KIND = 1116, 1117, 1118, 5011
_KINDS = {"gzip": "gz", "bzip2": "bz2", "xz": "xz", "lzma": "xz", "zstd": "zst"}
_HASHES = {8: "sha256", 9: "sha384", 10: "sha512"}  # RFC 4880, section 9.4; those before are no proof of anything


@dataclass(frozen=True)
class _File:
    """A file as the header has it: its size in bytes, mode, digest (hex), target of a symbolic link, inode number."""

    size: int
    mode: int
    digest: str
    link: str
    inode: int


@dataclass(frozen=True)
class Package:
    """An RPM package's headers.

    Attributes:
        header: the main header's bytes, which the signatures sign.
        signatures: OpenPGP signatures of it, each a detached one.
        payload: where the compressed archive begins, in bytes.
        tags: of the main header, by number.
    """

    header: bytes
    signatures: tuple[bytes, ...]
    payload: int
    tags: Mapping[int, Any]

    @property
    def name(self) -> str:
        """``kernel-core-5.14.0-503.el9.x86_64``."""
        return f"{self._text(_NAME)}-{self._text(_VERSION)}-{self._text(_RELEASE)}.{self._text(_ARCH)}"

    def _text(self, tag: int) -> str:
        found = self.tags.get(tag, "")
        return found if isinstance(found, str) else ""

    def _list(self, tag: int) -> list[Any]:
        found = self.tags.get(tag, [])
        return found if isinstance(found, list) else []

    @functools.cached_property
    def _hash(self) -> str:
        """The algorithm of the files' digests."""
        (kind,) = self._list(_DIGEST_KIND) or (1,)
        if kind not in _HASHES:
            raise Malformed("the digests of its files are of a kind that proves nothing (MD5 or SHA-1)")
        return _HASHES[kind]

    @functools.cached_property
    def _files(self) -> dict[str, _File]:
        """The files by their names in the payload, relative."""
        folders, indexes, names = self._list(_DIR_NAMES), self._list(_DIR_INDEXES), self._list(_BASE_NAMES)
        columns = [self._list(tag) for tag in (_SIZES, _MODES, _DIGESTS, _LINKS, _INODES)]
        if any(len(column) != len(names) for column in (indexes, *columns)) or max(indexes, default=-1) >= len(folders):
            raise Malformed("its header's lists of files do not fit together")
        paths = (folders[index] + name for index, name in zip(indexes, names, strict=True))
        return {path.lstrip("/"): _File(*row) for path, row in zip(paths, zip(*columns, strict=True), strict=True)}


def read(rpm: Path) -> Package:
    """Return a package's headers; raise DownloadError for what is no sound package."""
    with explained(rpm), rpm.open("rb") as file:
        return _read(file)


def unpack(rpm: Path, *, largest: int = LARGEST) -> Members:
    """Yield each member of a package's payload with its content (None unless it is a regular file).

    Read the content before asking for the next member; the end of a content that is not what the header promises
    raises. Names are relative (``lib/modules/…``). Of files that are hard links of one another the last one in the
    payload has the content: all of them come then, each with it.

    Raises:
        DownloadError: the package is damaged, holds more than ``largest`` bytes, or a name that leads elsewhere.
    """
    with explained(rpm), rpm.open("rb") as file:
        package = _read(file)
        if package._text(_FORMAT) not in ("cpio", ""):
            raise Malformed(f"its payload is {package._text(_FORMAT)!r}, no cpio archive")
        compressor = package._text(_COMPRESSOR)
        if compressor and compressor not in _KINDS:
            raise Malformed(f"unknown compression {compressor!r}")
        stream: IO[bytes] = file
        if compressor:
            stream = io.BufferedReader(Stream(file.read, _KINDS[compressor], largest), 1 << 20)
        yield from _members(stream, package, rpm, largest)


def _members(stream: IO[bytes], package: Package, rpm: Path, largest: int) -> Members:
    linked: dict[int, list[tarfile.TarInfo]] = {}  # by inode, members whose content is yet to come
    for number, (found, part) in enumerate(cpio.members(stream)):
        counted(number)
        member = tarfile.TarInfo(relative(found.name, rpm))
        file = package._files.get(member.name)
        if file is None or (stat.S_ISREG(file.mode) and found.size not in (0, file.size)):
            raise Malformed(f"its payload has {member.name!r}, which is not as its header says")
        member.mode, member.size = stat.S_IMODE(file.mode), file.size
        if not stat.S_ISREG(file.mode):
            member.type = {stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFDIR: tarfile.DIRTYPE}.get(
                stat.S_IFMT(file.mode), tarfile.CHRTYPE
            )
            member.linkname, member.size = file.link, 0
            yield member, None
        elif found.size < file.size:
            linked.setdefault(file.inode, []).append(member)
        else:
            checked = _Checked(part, package._hash, file.digest, member.name)
            names = [*linked.pop(file.inode, ()), member]
            largest -= (len(names) - 1) * file.size
            if largest < 0:
                raise Malformed("the links in it unpack to more than is allowed")
            yield from _contents(names, checked, rpm)
    for members in linked.values():
        raise Malformed(f"its payload has no content for {members[0].name!r}")


def _contents(names: list[tarfile.TarInfo], checked: _Checked, rpm: Path) -> Members:
    """Yield each of a file's names with its content, which is kept where it is needed more than once."""
    if len(names) == 1:
        yield names[0], io.BufferedReader(Content(checked.read, rpm), 1 << 20)
        return
    with tempfile.TemporaryFile(prefix="everykernel-") as kept:
        while data := checked.read(1 << 20):
            kept.write(data)
        for member in names:
            kept.seek(0)
            yield member, io.BufferedReader(Content(kept.read, rpm), 1 << 20)


class _Checked:
    """Reads a file's content, and raises Malformed at its end where it is not what the header promises."""

    def __init__(self, part: io.RawIOBase, kind: str, digest: str, name: str) -> None:
        self._part, self._hash, self._digest, self._name = part, hashlib.new(kind), digest, name

    def read(self, size: int) -> bytes:
        data = self._part.read(size) or b""
        self._hash.update(data)
        if not data and size and self._hash.hexdigest() != self._digest:
            raise Malformed(f"{self._name} is not what its header promises ({self._hash.name})")
        return data


def _read(file: IO[bytes]) -> Package:
    """Return the headers, and leave the file where the payload begins."""
    if file.read(_LEAD)[:4] != _LEAD_MAGIC:
        raise Malformed("it is no RPM package")
    first = _header(file)
    file.seek(-len(first) % 8, io.SEEK_CUR)
    main = _header(file)
    signatures = []
    for tag, value in _tags(first):
        if tag in (_RSA_HEADER, _DSA_HEADER) and isinstance(value, bytes):
            signatures.append(value)
        elif tag == _OPENPGP and isinstance(value, list):
            signatures += [base64.b64decode(text, validate=True) for text in value]
    return Package(main, tuple(signatures), file.tell(), dict(_tags(main)))


def _header(file: IO[bytes]) -> bytes:
    """Return the bytes of the header that comes next: a magic, two counts, an index, and its store."""
    start = file.read(16)
    if len(start) < 16 or start[:4] != _HEADER_MAGIC:
        raise Malformed("a header is damaged")
    count, size = struct.unpack_from(">II", start, 8)
    if count > _TAGS or size > _STORE:
        raise Malformed(f"a header of {count} tags and {size} bytes")
    rest = file.read(16 * count + size)
    if len(rest) < 16 * count + size:
        raise Malformed("it ends early")
    return start + rest


def _tags(header: bytes) -> Iterator[tuple[int, Any]]:
    """Yield a header's tags with their values: integers and texts as lists, one text as str, the rest as bytes."""
    (count,) = struct.unpack_from(">I", header, 8)
    store = header[16 + 16 * count :]
    room = len(store)  # no two values share their bytes
    for at in range(16, 16 + 16 * count, 16):
        tag, kind, offset, number = struct.unpack_from(">IIII", header, at)
        value, size = _value(store, kind, offset, number)
        room -= size
        if room < 0:
            raise Malformed("a header's values are more than it has bytes")
        yield tag, value


def _value(store: bytes, kind: int, offset: int, number: int) -> tuple[Any, int]:
    """Return one value and how many bytes of the store it takes."""
    if offset > len(store) or number > len(store):
        raise Malformed("a header's value lies outside of it")
    if kind in _INTEGERS:
        values = struct.unpack_from(f">{number}{_INTEGERS[kind]}", store, offset)
        return list(values), number * struct.calcsize(_INTEGERS[kind])
    if kind == _BIN:
        return store[offset : offset + number], number
    if kind not in (_STRING, _STRINGS, _I18N):
        return b"", 0  # 64-bit numbers, and what is yet to come: of no use here
    texts, start = [], offset
    for _ in range(1 if kind == _STRING else number):
        end = store.find(b"\0", start)
        if end < 0:
            raise Malformed("a text in a header does not end")
        texts.append(store[start:end].decode("utf-8", "surrogateescape"))
        start = end + 1
    return texts[0] if kind == _STRING else texts, start - offset
