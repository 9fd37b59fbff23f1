"""The layout of the public BTF archive: where in a tree a kernel's BTF stands, and how a file of it is packed.

``DISTRIBUTION/VERSION/ARCH/UNAME.btf``, or ``.btf.tar.xz`` with that one file in it: README and tree of
https://github.com/aquasecurity/btfhub-archive. Tools that embed BTFs (libbpf-tools' ``btf_helpers.c``, tracee) look for
them by os-release's ``ID`` and ``VERSION_ID`` and by ``uname -m`` and ``-r``.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath

from everykernel import names
from everykernel.architectures import Architecture
from everykernel.errors import HarnessError

RAW, PACKED = ".btf", ".btf.tar.xz"
SUFFIXES = (RAW, PACKED)

# VERSION_ID of os-release, by the codename that sources go by; a source that goes by the number itself needs no row.
_VERSIONS = {
    "debian": {"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14"},
    "ubuntu": {"bionic": "18.04", "focal": "20.04", "jammy": "22.04", "noble": "24.04", "resolute": "26.04"},
}


# ID of os-release, by the names of our sources; a source that goes by the same needs no row.
_DISTRIBUTIONS = {
    "alma": "almalinux",
    "amazon": "amzn",
    "leap": "opensuse-leap",
    "oracle": "ol",
    "tumbleweed": "opensuse-tumbleweed",
}


def distribution(source: str) -> str:
    """Return the archive's name of the distribution that a kernel comes from (``amazon:2023``: ``amzn``)."""
    name = source.partition(":")[0]
    return _DISTRIBUTIONS.get(name, name)


def folder(source: str, arch: Architecture) -> PurePosixPath:
    """Return the folder of a kernel's distribution, version and architecture (by its name in the archive).

    Args:
        source: where the kernel comes from: ``debian:bookworm-security`` is ``debian/12``.
        arch: its architecture.

    A kernel of no distribution (``path:…``) is under its architecture alone, where `supplied.candidates` looks too.
    """
    name, (_, _, suite) = distribution(source), source.partition(":")
    if name == "path" or not suite:
        return PurePosixPath(arch.name)
    known = _VERSIONS.get(name, {})
    version = known.get(suite.partition("-")[0], suite)  # bookworm-security, trixie-backports: of that release
    for part in (name, version):
        names.checked(part, "a source's distribution and version", where=source, error=HarnessError)
    return PurePosixPath(name, version, arch.name)


def place(source: str, arch: Architecture, release: str) -> PurePosixPath:
    """Return where the raw BTF of a kernel stands, ``release`` being what ``uname -r`` prints there."""
    names.checked(release, "a kernel's release", where=source, error=HarnessError)
    return folder(source, arch) / f"{release}{RAW}"


def places(source: str, arch: Architecture, release: str) -> list[PurePosixPath]:
    """Return all places where a kernel's BTF may stand, the likeliest first: packed as in the archive, or raw."""
    own = place(source, arch, release)
    above = own.parent.parent
    folders = dict.fromkeys((arch.name, arch.uname, arch.debian))
    return [above / part / f"{release}{suffix}" for part in folders for suffix in (PACKED, RAW)]


def pack(name: str, data: bytes) -> bytes:
    """Return a ``.tar.xz`` with one file, the same bytes each time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o644
        tar.addfile(member, io.BytesIO(data))
    return out.getvalue()
