"""A kernel image tells its release, architecture and BTF without being booted."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import struct
import time
from collections.abc import Callable

import lz4.block
import pytest
import zstandard

from everykernel.errors import UsageError
from everykernel.kernels import image

from .archive import BTF, bzimage

KERNEL = b"\x7fELF" + bytes(5000) + BTF + bytes(3000)


def lz4_legacy(data: bytes) -> bytes:
    """Compress as Linux's build does: lz4's legacy frame, then the size (scripts/Makefile.lib, size_append)."""
    out = struct.pack("<I", 0x184C2102)
    for start in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[start : start + (8 << 20)], store_size=False)
        out += struct.pack("<I", len(block)) + block
    return out + struct.pack("<I", len(data))


def elf(sections: dict[str, bytes]) -> bytes:
    """Return a 64-bit ELF file with these sections."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in [*sections, ".shstrtab"])
    body, headers = b"", [bytes(64)]
    for name, data in [*sections.items(), (".shstrtab", names)]:
        at = names.index(b"\0" + name.encode() + b"\0") + 1
        kind = 3 if name == ".shstrtab" else 1
        headers.append(struct.pack("<IIQQQQIIQQ", at, kind, 0, 0, 64 + len(body), len(data), 0, 0, 1, 0))
        body += data
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    rest = struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return ident + rest + body + b"".join(headers)


@pytest.mark.parametrize(
    "packed",
    [
        lz4_legacy(KERNEL),
        lz4_legacy(KERNEL + bytes(9 << 20)),
        zstandard.ZstdCompressor().compress(KERNEL) + struct.pack("<I", len(KERNEL)),
        lzma.compress(KERNEL) + struct.pack("<I", len(KERNEL)),
        lzma.compress(KERNEL, format=lzma.FORMAT_ALONE),
        gzip.compress(KERNEL),
        bz2.compress(KERNEL) + struct.pack("<I", len(KERNEL)),
        KERNEL,
    ],
    ids=["lz4", "lz4 blocks", "zstd", "xz", "lzma", "gzip", "bzip2", "plain"],
)
def test_btf_is_found_in_every_compression(packed: bytes) -> None:
    """The BTF is the same whatever the image is compressed with, and whatever follows the payload."""
    assert image.btf(bzimage("6.1.0", packed)) == BTF


def test_an_elf_section_wins_over_a_look_alike() -> None:
    """Where the kernel is an ELF file, its section .BTF is meant, not other bytes that look like it."""
    other = BTF[:-2] + b"u\0"
    assert image.btf(bzimage("6.1.0", gzip.compress(elf({".data": other, ".BTF": BTF})))) == BTF


def test_a_kernel_without_btf_has_none() -> None:
    """A kernel that was built without BTF gives None, also where the magic occurs by chance."""
    assert image.btf(bzimage("6.1.0", gzip.compress(elf({".data": b"\x9f\xeb\x01\x00" * 50})))) is None


@pytest.mark.parametrize("cut", [10, 23, 30, len(BTF) - 1])
def test_a_truncated_btf_is_none(cut: int) -> None:
    """A header whose sections do not fit is no BTF."""
    assert image.btf(bytes(100) + BTF[:cut]) is None


def test_big_endian_btf_is_found() -> None:
    """A big-endian kernel's BTF is found by the other magic."""
    big = struct.pack(">HBBIIIII", 0xEB9F, 1, 0, 24, 0, 16, 16, 5) + bytes(16) + b"\0int\0"
    assert image.btf(b"x" * 77 + big + b"y" * 50) == big


def test_the_header_tells_release_and_architecture() -> None:
    """Both widths of x86 and an arm64 Image are told apart."""
    assert image.inspect(bzimage("6.1.0-56-cloud-amd64", b""), "x") == image.Image("x86_64", "6.1.0-56-cloud-amd64")
    assert image.inspect(bzimage("6.1.0-54-686-pae", b"", wide=False), "x") == image.Image("i686", "6.1.0-54-686-pae")
    arm = bytes(56) + b"ARM\x64" + bytes(100) + b"Linux version 6.12.1 (x@y)"
    assert image.inspect(arm, "x") == image.Image("aarch64", "6.12.1")


def banner(release: str) -> bytes:
    return bytes(300) + f"Linux version {release} (x@y) #1 SMP\n\0".encode() + BTF


def s390x(release: str, payload: bytes = b"") -> bytes:
    """Return a bzImage of s390x: its version is where the parameter area says, as in arch/s390/boot."""
    head = bytearray(0x10600)
    head[0x10008:0x1000E] = b"S390EP"
    struct.pack_into(">Q", head, 0x10428, 0x10500)
    version = release.encode() + b" (x@y)\0"
    head[0x10500 : 0x10500 + len(version)] = version
    return bytes(head) + payload


def zboot(machine: bytes, kernel: bytes) -> bytes:
    """Return an EFI image that unpacks itself, as drivers/firmware/efi/libstub/zboot-header.S has it."""
    packed = gzip.compress(kernel)
    head = b"MZ\0\0zimg" + struct.pack("<II", 0x100, len(packed)) + bytes(44) + struct.pack("<I", 0x40)
    return (head + b"PE\0\0" + machine).ljust(0x100, b"\0") + packed


@pytest.mark.parametrize(
    ("data", "uname"),
    [
        (bytes(56) + b"RSC\x05" + banner("6.12.1-x"), "riscv64"),
        (b"\x7fELF\2\1\1" + bytes(11) + b"\x15\0" + banner("6.12.1-x"), "ppc64le"),
        (bytes(36) + b"\x18\x28\x6f\x01" + bytes(60) + lzma.compress(banner("6.12.1-x")), "armv7l"),
        (bytes(36) + b"\x18\x28\x6f\x01" + b"\x1f\x8b stray" + gzip.compress(banner("6.12.1-x")), "armv7l"),
        (zboot(b"\x64\xaa", bytes(56) + b"ARM\x64" + banner("6.12.1-x")), "aarch64"),
        (zboot(b"\x64\x50", bytes(56) + b"RSC\x05" + banner("6.12.1-x")), "riscv64"),
        (s390x("6.12.1-x", zstandard.ZstdCompressor().compress(banner("6.12.1-x"))), "s390x"),
    ],
    ids=[
        "riscv64",
        "ppc64el",
        "armhf",
        "armhf, stray bytes",
        "arm64 zboot",
        "riscv64 zboot",
        "s390x",
    ],
)
def test_images_of_other_architectures(data: bytes, uname: str) -> None:
    """Each tells release, architecture and BTF, packed or not."""
    assert image.inspect(data, "x") == image.Image(uname, "6.12.1-x")
    assert image.btf(data) == BTF


@pytest.mark.parametrize(
    "data",
    [
        s390x("../x"),
        s390x("6.12.1-x")[:0x10430],
        bytes(56) + b"RSC\x05",
        b"\x7fELF\2\1\1" + bytes(11) + b"\x15\0",
        bytes(36) + b"\x18\x28\x6f\x01" + b"\x1f\x8b" * 5000,
        b"MZ\0\0zimg" + b"\xff" * 60,
        b"MZ\0\0zimg",
    ],
)
def test_images_of_other_architectures_that_are_damaged(data: bytes) -> None:
    """Whatever a damaged image says, it is refused in one line."""
    with pytest.raises(UsageError):
        image.inspect(data, "x")


def test_a_vmlinux_is_pointed_to_its_image() -> None:
    """An ELF file does not boot: the error says what does."""
    with pytest.raises(UsageError) as caught:
        image.inspect(elf({}), "vmlinux")
    assert str(caught.value) == (
        "vmlinux: an ELF file does not boot as it is "
        "[give the bootable image instead, arch/x86/boot/bzImage of the build directory]"
    )


@pytest.mark.parametrize("data", [b"", b"text", bytes(5000)], ids=["empty", "text", "zeros"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    """Any other file is refused, also an empty one."""
    with pytest.raises(UsageError) as caught:
        image.inspect(data, "x")
    assert str(caught.value) == "x: is no kernel image that we know [give a bzImage, vmlinuz or Image]"


@pytest.mark.parametrize(
    "payload",
    [
        b"LZO?" + bytes(50),
        lzma.compress(KERNEL)[:100] + b"x" * 50,
        gzip.compress(KERNEL)[:40],
        zstandard.ZstdCompressor().compress(KERNEL)[:30],
        lz4_legacy(KERNEL)[:60],
        lz4_legacy(KERNEL)[:-9] + lz4_legacy(KERNEL)[-4:],
    ],
    ids=["unknown", "xz damaged", "gzip cut", "zstd cut", "lz4 cut", "lz4 without its middle"],
)
def test_a_payload_that_cannot_be_decompressed_is_an_error(payload: bytes) -> None:
    """An unknown or damaged payload is told, never taken for a kernel without BTF."""
    with pytest.raises(UsageError, match="the kernel inside the image"):
        image.btf(bzimage("6.1.0", payload))


@pytest.mark.parametrize("release", ["/../../x", "../x", ".x", "a/b", "", "-v", "a\u00e9", "x" * 201, "a\x1b[2J"])
def test_a_release_that_is_no_name_is_refused(release: str) -> None:
    """A release becomes part of paths: an image whose header names another thing is no kernel for us."""
    with pytest.raises(UsageError, match="is no name for a kernel's release") as caught:
        image.inspect(bzimage(release, b""), "bzImage")
    assert str(caught.value).startswith("bzImage: '")
    assert str(caught.value).endswith(" [build it with a sound LOCALVERSION]")
    arm = bytes(56) + b"ARM\x64" + bytes(100) + b"Linux version " + release.encode() + b" (x@y)"
    with pytest.raises(UsageError, match="is no name for a kernel's release"):
        image.inspect(arm, "Image")


@pytest.mark.parametrize("end", [0x206, 0x20F, 0x236, 0x24F])
def test_an_image_that_ends_inside_its_header_is_told(end: int) -> None:
    """A download that broke off is an error of one line, from either reader."""
    data = bzimage("6.1.0", b"x")[:end]
    with pytest.raises(UsageError) as caught:
        image.inspect(data, "bzImage")
    assert str(caught.value) == f"bzImage: ends inside its header ({end} bytes) [copy or build it again]"
    with pytest.raises(UsageError):
        image.btf(data)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, lz4_legacy])
def test_an_image_may_end_anywhere(pack: Callable[[bytes], bytes]) -> None:
    """Wherever an image is cut, it is read or refused: nothing else is raised, and no BTF comes out of a part."""
    data = bzimage("6.1.0", pack(KERNEL))
    for end in range(0x250, len(data)):
        with contextlib.suppress(UsageError):
            image.inspect(data[:end], "bzImage")
        with pytest.raises(UsageError):
            image.btf(data[:end])


def test_many_look_alikes_are_not_searched_for_ever() -> None:
    """An image that is nothing but headers of BTF, each sound and of megabytes, is read through once."""
    size = 4 << 20
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 4, 4, size - 24 * 50_000)
    data = head * 50_000 + bytes(size)
    started = time.process_time()
    assert image.btf(data) is not None
    assert time.process_time() - started < 2


def noted(owner: bytes, kind: int) -> bytes:
    """Return a 64-bit ELF file with one note in one segment."""
    note = struct.pack("<III", len(owner) + 1, 8, kind) + (owner + b"\0").ljust(-(-len(owner + b"\0") // 4) * 4, b"\0")
    note += struct.pack("<Q", 0x1000000)
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(note), len(note), 4)
    return b"\x7fELF\x02\x01\x01" + bytes(9) + header + segment + note


def test_what_qemu_can_enter_unpacked() -> None:
    """An ELF file that says where to enter it is taken out of the image, whole; any other stays in its image."""
    kernel = noted(b"Xen", 18)
    assert image.elf(bzimage("6.1", zstandard.ZstdCompressor().compress(kernel))) == kernel
    for other in (noted(b"Xen", 6), noted(b"GNU", 18), KERNEL, b"MZ" + bytes(5000)):
        assert image.elf(bzimage("6.1", gzip.compress(other))) is None
