"""Debian packages for guests: unpacked in a folder, or the libraries in them, found by what they say they are."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile

from everykernel.kernels import debian

INTERPRETER = "ld-linux-x86-64.so.2"


def files(archive: debian.Archive, package: str, suite: str = "trixie") -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the ELF files of a package."""
    entry = archive.package(suite, package, "amd64")
    assert entry is not None, package
    for member, content in debian.unpack(archive.fetch(entry)):
        if content is not None and "/gconv/" not in member.name:
            data = content.read()
            if data.startswith(b"\x7fELF"):
                yield member.name, data


def unpack(archive: debian.Archive, folder: Path, names: Iterable[str], arch: str = "amd64") -> Path:
    """Unpack packages of bookworm, whose C library every host has that we run on; return the folder."""
    for name in names:
        entry = archive.newest(("bookworm", "bookworm-security"), name, arch)
        for member, content in debian.unpack(archive.fetch(entry)):
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                path.symlink_to(member.linkname)
            elif content is not None:
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
                path.chmod(member.mode)
    return folder


def with_libraries(archive: debian.Archive, programs: Iterable[bytes], packages: Iterable[str]) -> dict[str, bytes]:
    """Return the libraries that programs need, and these in turn, by soname, and their interpreter, from packages."""
    known = {
        soname: data for package in packages for path, data in files(archive, package) if (soname := _soname(data))
    }
    wanted, found = [INTERPRETER, *(name for data in programs for name in _tags(data, "needed"))], {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = known[name]
            wanted += _tags(found[name], "needed")
    return found


def _soname(data: bytes) -> str:
    return next(iter(_tags(data, "soname")), "")


def _tags(data: bytes, name: str) -> list[str]:
    section = ELFFile(io.BytesIO(data)).get_section_by_name(".dynamic")
    tags = section.iter_tags(f"DT_{name.upper()}") if section is not None else ()
    return [getattr(tag, name) for tag in tags]
