"""Big-endian objects: libbpf as a program for s390x, run by QEMU's user mode, against the BTF of Debian's s390x kernel.

libbpf prepares objects of its own byte order only, so the program that is asked has to be big-endian itself. What it is
built from is taken out of Debian's packages: nothing is installed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conformance import references

from everykernel.btf import image
from everykernel.errors import UsageError
from everykernel.kernels import debian
from everykernel.kernels.image import decompress

_SYSTEM = ("libc6-dev", "linux-libc-dev", "libgcc-12-dev", "libelf-dev", "zlib1g-dev", "libzstd-dev")
_KERNELS = "bookworm-backports"  # 6.12, the first series whose s390x kernel has BTF


def machine(archive: debian.Archive, folder: Path) -> references.Machine:
    """Return the machine that libbpf is built for: its C library and QEMU's user mode are unpacked in ``folder``."""
    for name in _SYSTEM:
        references.unpack(archive, _package(archive, "bookworm", name, "s390x"), folder)
    qemu = folder / "qemu-s390x"
    for member, content in debian.unpack(archive.fetch(_package(archive, "bookworm", "qemu-user-static", "amd64"))):
        if content is not None and member.name == "usr/bin/qemu-s390x-static":
            qemu.write_bytes(content.read())
            qemu.chmod(0o755)
            break
    headers = folder / "headers"  # the system's asm/ first: tools/ of the kernel lacks some for this architecture
    headers.mkdir()
    (headers / "asm").symlink_to(folder / "usr/include/s390x-linux-gnu/asm")
    flags = ("--target=s390x-linux-gnu", f"--sysroot={folder}", "-fuse-ld=lld", f"-I{headers}")
    return references.Machine("s390x", flags, (str(qemu),))


def btf(archive: debian.Archive) -> tuple[str, bytes]:
    """Return the release and the BTF of Debian's s390x kernel."""
    newest = _package(archive, _KERNELS, "linux-image-s390x", "s390x").depends.split()[0]
    for member, content in debian.unpack(archive.fetch(_package(archive, _KERNELS, newest, "s390x"))):
        if content is not None and member.name.startswith("boot/vmlinuz-"):
            for data in _decompressed(content.read()):
                found = image.search(data)
                if found is not None:
                    return member.name.removeprefix("boot/vmlinuz-"), found
    raise SystemExit(f"{newest} has no BTF")


def _decompressed(kernel: bytes) -> Iterator[bytes]:
    """Yield what is compressed in a kernel; its decompressor knows the magic too, and is followed by other data."""
    for found in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), kernel):
        with contextlib.suppress(UsageError):
            yield decompress(kernel[found.start() :])


def _package(archive: debian.Archive, suite: str, name: str, arch: str) -> debian.Entry:
    entry = archive.package(suite, name, arch)
    if entry is None:
        raise SystemExit(f"{name} for {arch} is not in {suite}")
    return entry
