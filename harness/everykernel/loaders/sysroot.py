"""What programs in C for another architecture are linked with: Debian's static libraries of it, unpacked in a folder.

Nothing is installed; each package is the one whose SHA-256 stands in the archive's signed index.
"""

from __future__ import annotations

import platform
from pathlib import Path, PurePosixPath

from everykernel.architectures import Architecture
from everykernel.errors import DownloadError
from everykernel.kernels import debian

SUITE = "bookworm"  # its C library is no newer than the one that the guests have
PACKAGES = ("libc6-dev", "linux-libc-dev", "libgcc-12-dev", "libelf-dev", "zlib1g-dev", "libzstd-dev")
_PARTS = ("usr/include/", "usr/lib/", "lib/")
_LIMIT = 256 << 20  # bytes of all of them, unpacked: s390x has 28 MB


def is_foreign(arch: Architecture) -> bool:
    """Whether programs for it are built with the libraries of another machine than this one."""
    return platform.machine() != arch.uname


def unpack(arch: Architecture, folder: Path, archive: debian.Archive | None = None) -> None:
    """Write the headers and static libraries of an architecture into a folder.

    Raises:
        DownloadError: a package cannot be had, or holds too much.
    """
    archive = archive or debian.Archive()
    left = _LIMIT
    for name in PACKAGES:
        entry = archive.newest((SUITE,), name, arch.debian)
        for member, content in debian.unpack(archive.fetch(entry)):
            path = PurePosixPath(member.name)
            if content is None or ".." in path.parts or not member.name.startswith(_PARTS):
                continue
            left -= member.size
            if left < 0:
                raise DownloadError(f"holds more than {_LIMIT} bytes", where=f"package {name}")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def flags(arch: Architecture, folder: Path | str) -> tuple[str, ...]:
    """Return what clang needs to build for an architecture whose libraries are unpacked in a folder."""
    return (f"--target={arch.triplet}", f"--sysroot={folder}", "-fuse-ld=lld")
