"""libbpf as a program of another architecture: built with Debian's libraries for it, and run here by QEMU's user mode.

libbpf prepares objects of its own byte order only, so the program that is asked about big-endian objects has to be
big-endian itself. Nothing is installed: what it is built from, and QEMU, are taken out of Debian's packages. What these
programs say here they say in a guest too (test_architectures.py).
"""

from __future__ import annotations

from pathlib import Path

from tests.conformance import references

from everykernel.architectures import DEFAULT, Architecture
from everykernel.kernels import debian
from everykernel.loaders import sysroot


def machine(archive: debian.Archive, arch: Architecture, folder: Path) -> references.Machine:
    """Return the machine that libbpf is built for; what it needs of another one's is unpacked in ``folder``."""
    if not sysroot.is_foreign(arch):
        return references.NATIVE
    own = folder / arch.name
    qemu = own / f"qemu-{arch.uname}"
    if not qemu.exists():
        sysroot.unpack(arch, own, archive)
        headers = own / "headers"  # the system's asm/ first: tools/ of the kernel lacks some for s390x
        headers.mkdir()
        (headers / "asm").symlink_to(own / "usr/include" / arch.triplet / "asm")
        qemu.write_bytes(_qemu(archive, arch))
        qemu.chmod(0o755)
    types = ("-include", "asm/types.h")  # for <sys/wait.h> of s390x: the kernel's tools leave it out
    flags = (*sysroot.flags(arch, own), f"-I{own / 'headers'}", *types)
    return references.Machine(arch.debian, flags, (str(qemu),))


def _qemu(archive: debian.Archive, arch: Architecture) -> bytes:
    """Return QEMU's user mode for an architecture, as Debian builds it."""
    entry = archive.newest((sysroot.SUITE,), "qemu-user-static", DEFAULT.debian)
    for member, content in debian.unpack(archive.fetch(entry)):
        if content is not None and member.name == f"usr/bin/qemu-{arch.uname}-static":
            return content.read()
    raise SystemExit(f"{entry.name} {entry.version} has none for {arch.uname}")
