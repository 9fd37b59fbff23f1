"""What a kernel image tells without being booted: its release, its architecture, its BTF.

Sources: Linux Documentation/arch/x86/boot.rst (the header of a bzImage), Documentation/arch/arm64/booting.rst and
riscv/boot-image-header.rst (Image), drivers/firmware/efi/libstub/zboot-header.S (an EFI zboot image),
arch/arm/boot/compressed/head.S (zImage), arch/s390/include/asm/setup.h (the parameter area of a bzImage for s390),
include/uapi/linux/btf.h (the header of BTF).
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from dataclasses import dataclass

import lz4.block
from elftools.elf.elffile import ELFFile

from everykernel import names
from everykernel.btf import image as btf_image
from everykernel.errors import BtfMalformed, UsageError
from everykernel.kernels import bounded

_LZ4_LEGACY_CHUNK = 8 << 20  # bytes that one block of the legacy format holds at most (lz4 programs/lz4io.c)
LARGEST = 1 << 30  # bytes of a kernel in its image: a distribution's has 100 MB, one with everything built in half a GB
_S390_MAGIC_AT = 0x10008
_S390_VERSION_AT = 0x10428  # parmarea.kernel_version: where in the image the version is
_BANNER = re.compile(rb"Linux version (\S{1,400}) ")
_HEADER = 0x250  # bytes that a bzImage has at least, the last field that is read here included
_LZ4_LEGACY = b"\x02\x21\x4c\x18"


@dataclass(frozen=True)
class Image:
    """What the header of a kernel image says.

    Attributes:
        uname: the architecture as ``uname -m`` would print it.
        release: as ``uname -r`` would print it.
    """

    uname: str
    release: str


def inspect(data: bytes, name: str) -> Image:
    """Return what an image that QEMU boots says of itself; ``name`` is for errors.

    Raises:
        UsageError: it is none that we know, ends early, or names no release.
    """
    if data[0x202:0x206] == b"HdrS":
        _check_length(data, name)
        (offset,) = struct.unpack_from("<H", data, 0x20E)
        version = data[offset + 0x200 : offset + 0x400].partition(b"\0")[0]
        wide = struct.unpack_from("<H", data, 0x206)[0] >= 0x020C and data[0x236] & 1  # XLF_KERNEL_64
        return Image("x86_64" if wide else "i686", _release(version.partition(b" ")[0], name))
    if data[_S390_MAGIC_AT:].startswith(b"S390EP"):
        (at,) = struct.unpack_from(">Q", data.ljust(_S390_VERSION_AT + 8, b"\0"), _S390_VERSION_AT)
        version = data[at : at + 0x100].partition(b"\0")[0] if at < len(data) else b""
        return Image("s390x", _release(version.partition(b" ")[0], name))
    uname = _uname(data)
    if uname is not None:
        found = _BANNER.search(unpacked(data))
        return Image(uname, _release(found[1] if found else b"", name))
    if data[:4] == b"\x7fELF":
        remedy = "give the bootable image instead, arch/x86/boot/bzImage of the build directory"
        raise UsageError("an ELF file does not boot as it is", where=name, remedy=remedy)
    raise UsageError("is no kernel image that we know", where=name, remedy="give a bzImage, vmlinuz or Image")


def _uname(data: bytes) -> str | None:
    """Return the architecture of an image whose release is in the kernel's own banner, None for what is none."""
    if data[56:60] == b"ARM\x64":
        return "aarch64"
    if data[56:60] == b"RSC\x05":
        return "riscv64"
    if data[36:40] == b"\x18\x28\x6f\x01":
        return "armv7l"
    if data[:4] == b"MZ\0\0" and data[4:8] == b"zimg":
        (machine_at,) = struct.unpack_from("<I", data.ljust(64, b"\0"), 60)  # of the PE header; its machine is behind
        return {b"\x64\xaa": "aarch64", b"\x64\x50": "riscv64"}.get(data[machine_at + 4 : machine_at + 6])
    if data[:6] == b"\x7fELF\2\1" and data[18:20] == b"\x15\0":  # EM_PPC64: its boot loaders take the ELF file
        return "ppc64le"
    return None


def _check_length(data: bytes, name: str) -> None:
    if len(data) < _HEADER:
        raise UsageError(f"ends inside its header ({len(data)} bytes)", where=name, remedy="copy or build it again")


def _release(text: bytes, name: str) -> str:
    """Return the release that a header names: it becomes part of paths, here and in the guest."""
    remedy = "build it with a sound LOCALVERSION"
    return names.checked(text.decode("latin-1"), "a kernel's release", where=name, error=UsageError, remedy=remedy)


def vmlinux(data: bytes) -> bytes:
    """Return the decompressed kernel inside an image: an ELF file on x86, ``data`` itself where nothing is compressed.

    The headers of a bzImage and of an EFI zboot image tell where the payload is; in other images that unpack
    themselves it is the first of the known magics behind which there is a kernel.

    Raises:
        UsageError: it cannot be decompressed.
    """
    if data[0x202:0x206] == b"HdrS":
        _check_length(data, "kernel image")
    if data[0x202:0x206] == b"HdrS" and struct.unpack_from("<H", data, 0x206)[0] >= 0x0208:
        start, length = struct.unpack_from("<II", data, 0x248)
        start += ((data[0x1F1] or 4) + 1) * 512  # setup_sects: 0 means 4
        return decompress(data[start : start + length])
    if data[:2] == b"\x1f\x8b":
        return decompress(data)
    return unpacked(data)


def unpacked(data: bytes) -> bytes:
    """Return the kernel inside an image that is no bzImage of x86's, ``data`` itself where nothing is compressed.

    Raises:
        UsageError: an EFI zboot image that cannot be decompressed.
    """
    if data[4:8] == b"zimg":
        start, length = struct.unpack_from("<II", data.ljust(16, b"\0"), 8)
        return decompress(data[start : start + length])
    if data[36:40] != b"\x18\x28\x6f\x01" and not data[_S390_MAGIC_AT:].startswith(b"S390EP"):
        return data
    for number, found in enumerate(_PAYLOAD.finditer(data)):
        if number == _ATTEMPTS:
            break
        with contextlib.suppress(UsageError):
            inside = decompress(data[found.start() :])
            if _BANNER.search(inside):
                return inside
    return data


def elf(data: bytes) -> bytes | None:
    """Return the ELF file inside an image if QEMU can enter it, None else: it says where in a note (PVH).

    Source: Linux arch/x86/platform/pvh/head.S, include/xen/interface/elfnote.h (XEN_ELFNOTE_PHYS32_ENTRY).

    Raises:
        UsageError: the image cannot be decompressed.
    """
    kernel = vmlinux(data)
    try:
        found = any(
            note["n_name"] == "Xen" and note["n_type"] == _PHYS32_ENTRY
            for segment in ELFFile(io.BytesIO(kernel)).iter_segments("PT_NOTE")
            for note in segment.iter_notes()
        )
    except Exception:  # no ELF file, or whatever pyelftools makes of a broken one: the image itself is booted
        return None
    return kernel if found else None


_MAGICS = {
    b"\x28\xb5\x2f\xfd": "zst",
    b"\xfd7zXZ\x00": "xz",
    b"\x5d\x00\x00": "xz",
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\x7fELF": "",
    _LZ4_LEGACY: "lz4",
}


# Where the payload of an image that unpacks itself may begin; code and tables have these bytes too.
_PAYLOAD = re.compile(b"|".join(re.escape(magic) for magic, kind in _MAGICS.items() if kind))
_ATTEMPTS = 64
_PHYS32_ENTRY = 18


def decompress(payload: bytes, largest: int = LARGEST) -> bytes:
    """Return a payload decompressed by what its magic says; what follows its end (a size, padding) is ignored.

    Raises:
        UsageError: none of the formats that kernels are compressed with, damaged, or more than ``largest`` bytes.
    """
    kind = next((kind for magic, kind in _MAGICS.items() if payload.startswith(magic)), None)
    if kind is None:
        raise UsageError(f"the kernel inside the image is compressed in an unknown way ({payload[:4].hex()})")
    try:
        if kind == "lz4":
            return _lz4_legacy(payload, largest)
        return bounded.decompress(payload, kind, largest, lax=True) if kind else payload
    except (bounded.Damaged, lz4.block.LZ4BlockError) as e:
        raise UsageError(f"the kernel inside the image cannot be decompressed: {e}") from e


def _lz4_legacy(payload: bytes, largest: int) -> bytes:
    """Decompress lz4's legacy frame: blocks, each after its size; the kernel's build appends the whole size."""
    out = io.BytesIO()
    position, size = 4, -1
    while position + 4 <= len(payload):
        (size,) = struct.unpack_from("<I", payload, position)
        position += 4
        if not size or position + size > len(payload):
            break
        out.write(lz4.block.decompress(payload[position : position + size], uncompressed_size=_LZ4_LEGACY_CHUNK))
        if out.tell() > largest:
            raise bounded.Damaged(f"it unpacks to more than {largest >> 20} MiB")
        position += size
    if size != out.tell():  # the last four bytes, which are no block's size but the whole's
        raise bounded.Damaged("it ends early")
    return out.getvalue()


def btf(data: bytes) -> bytes | None:
    """Return the BTF that is inside a kernel image (compressed or not), None if there is none.

    Raises:
        UsageError: the image cannot be decompressed.
    """
    kernel = vmlinux(data)
    with contextlib.suppress(BtfMalformed):  # what only looks like ELF is searched
        found = btf_image.extract(kernel, name="vmlinux")
        if found is not None and btf_image.is_raw(found):
            return found
    return btf_image.search(kernel)
