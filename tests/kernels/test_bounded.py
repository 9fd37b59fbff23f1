"""What is compressed comes out whole, or as an error: never as more than was allowed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import lz4.block
import pytest
import zstandard

from everykernel.architectures import ARCHITECTURES
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels import bounded, image
from everykernel.kernels.bounded import Damaged
from everykernel.kernels.deb import unpack
from everykernel.kernels.supplied import Supply

from .archive import ar, bzimage, deb

MIB = 1 << 20
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "xz": lambda data: lzma.compress(data, preset=0),
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


def bomb(kind: str, size: int = 200 * MIB) -> bytes:
    """Return a few kilobytes that unpack to ``size`` zeros, made without ever holding them."""
    out = bytearray()
    if kind == "zst":
        frame = struct.pack("<IBB", 0xFD2FB528, 0, 0x38)  # no checksum, no size, a window of 128 KiB
        block = (128 << 10) << 3 | 1 << 1  # a block of 128 KiB that repeats one byte
        blocks = struct.pack("<I", block)[:3] + b"\0"
        last = struct.pack("<I", block | 1)[:3] + b"\0"
        return frame + blocks * (size // (128 << 10) - 1) + last
    if kind == "gz":
        file = io.BytesIO()
        with gzip.GzipFile(fileobj=file, mode="wb") as writer:
            for _ in range(size // MIB):
                writer.write(bytes(MIB))
        return file.getvalue()
    compressor = lzma.LZMACompressor(preset=0) if kind == "xz" else bz2.BZ2Compressor()
    for _ in range(size // MIB):
        out += compressor.compress(bytes(MIB))
    return bytes(out + compressor.flush())


@pytest.mark.parametrize("kind", PACKED)
def test_what_was_packed_comes_out(kind: str) -> None:
    """One stream, several with padding between, and (if that is allowed) what follows the first."""
    data = bytes(range(256)) * 8_000
    packed = PACKED[kind](data)
    assert bounded.decompress(packed, kind, 10 * MIB) == data
    assert bounded.decompress(packed + bytes(8) + PACKED[kind](b"more"), kind, 10 * MIB) == data + b"more"
    assert bounded.decompress(packed + b"trailing", kind, 10 * MIB, lax=True) == data
    with pytest.raises(Damaged):
        bounded.decompress(packed + b"trailing", kind, 10 * MIB)


@pytest.mark.parametrize("kind", PACKED)
def test_every_cut_is_told(kind: str) -> None:
    """Wherever the data ends early, that is an error."""
    packed = PACKED[kind](bytes(range(256)) * 4)
    for end in range(len(packed)):
        with pytest.raises(Damaged):
            bounded.decompress(packed[:end], kind, MIB)


@pytest.mark.parametrize("kind", PACKED)
def test_a_ceiling_holds_to_the_byte(kind: str) -> None:
    """As much as the ceiling is fine, one byte more is not."""
    packed = PACKED[kind](bytes(2 * MIB))
    assert len(bounded.decompress(packed, kind, 2 * MIB)) == 2 * MIB
    with pytest.raises(Damaged, match="it unpacks to more than 1 MiB"):
        bounded.decompress(packed, kind, 2 * MIB - 1)


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_takes_no_memory(kind: str, tmp_path: Path) -> None:
    """Two hundred megabytes in a few kilobytes stop at a ceiling of 16 MiB, and take no memory on the way."""
    path = tmp_path / "bomb"
    path.write_bytes(bomb(kind))
    assert path.stat().st_size < 2 * MIB
    program = (
        "import sys, pathlib\n"
        "from everykernel.kernels import bounded\n"
        "data = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "try: bounded.decompress(data, sys.argv[2], 16 << 20)\n"
        "except bounded.Damaged as e: print(e)\n"
        "print(pathlib.Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path, kind], capture_output=True, text=True, check=True)
    said, kilobytes = done.stdout.splitlines()
    assert said == "it unpacks to more than 16 MiB"
    assert int(kilobytes) < 120 << 10


def test_a_window_that_is_too_large_is_refused() -> None:
    """A header that asks for gigabytes of window gets none."""
    xz = bytearray(lzma.compress(b"x", format=lzma.FORMAT_ALONE))
    struct.pack_into("<I", xz, 1, 0xFFFF_FFFF)
    with pytest.raises(Damaged, match="Memory usage limit"):
        bounded.decompress(bytes(xz), "xz", MIB)
    window = struct.pack("<IBB", 0xFD2FB528, 0, 0xB0) + struct.pack("<I", 8 << 3 | 3)[:3] + b"\0"  # 4 GiB
    with pytest.raises(Damaged, match="too much memory"):
        bounded.decompress(window, "zst", MIB)


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_in_a_kernel_image_is_an_error(kind: str) -> None:
    """The BTF of an image is not looked for in more than a kernel can have."""
    data = bzimage("6.1.0", bomb(kind, 4 * MIB))
    with pytest.raises(UsageError) as caught:
        image.decompress(image_payload(data), largest=2 * MIB)
    text = "the kernel inside the image cannot be decompressed: it unpacks to more than 2 MiB"
    assert str(caught.value) == text


def image_payload(data: bytes) -> bytes:
    return data[1024 + 16 :]


def test_a_bomb_in_lz4_blocks_is_an_error() -> None:
    """The legacy format has its own reader, with the same ceiling."""
    block = lz4.block.compress(bytes(8 * MIB), store_size=False)
    bomb = b"\x02\x21\x4c\x18" + (struct.pack("<I", len(block)) + block) * 4
    with pytest.raises(UsageError, match="it unpacks to more than 16 MiB"):
        image.decompress(bomb, largest=16 * MIB)


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_in_a_package_is_an_error(kind: str, tmp_path: Path) -> None:
    """A package stops at its ceiling, whatever its members say of their sizes."""
    path = tmp_path / "x.deb"
    path.write_bytes(ar({"debian-binary": b"2.0\n", f"data.tar.{kind}": PACKED[kind](_tar(40 * MIB))}))
    for count in (1, -1):  # found where the member after it is looked for, and where its content is read
        with pytest.raises(DownloadError, match="not a sound package: it unpacks to more than 8 MiB"):
            [content.read(count) for _, content in unpack(path, largest=8 * MIB) if content is not None]


def _tar(size: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("a")
        info.size = size
        tar.addfile(info, io.BytesIO(bytes(size)))
        tar.addfile(tarfile.TarInfo("b"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "said"),
    [(b"x", "a member of type b'x'"), (b"S", "a member of type b'S'"), (b"L", "a name of 1073741824 bytes")],
    ids=["PAX header", "sparse file", "long name"],
)
def test_members_that_would_be_read_into_memory_are_refused(kind: bytes, said: str, tmp_path: Path) -> None:
    """What tarfile would read whole, because it describes the next member, is refused before it is read."""
    info = tarfile.TarInfo("a")
    info.type, info.size = kind, 1 << 30
    path = tmp_path / "x.deb"
    path.write_bytes(ar({"data.tar": info.tobuf(tarfile.USTAR_FORMAT) + bytes(10240)}))
    with pytest.raises(DownloadError) as caught:
        list(unpack(path))
    assert f"not a sound package: {said}" in str(caught.value)


def test_a_package_of_too_many_members_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is nothing but names ends, too."""
    monkeypatch.setattr("everykernel.kernels.formats.members.MEMBERS", 10)
    path = tmp_path / "x.deb"
    path.write_bytes(deb({f"a{number}": b"" for number in range(11)}))
    with pytest.raises(DownloadError, match="it holds more than 10 members"):
        list(unpack(path))


def test_a_bomb_among_supplied_btf_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .btf.tar.xz stops at its ceiling."""
    monkeypatch.setattr("everykernel.kernels.supplied._LIMIT", 4 * MIB)
    path = tmp_path / "6.1.0.btf.tar.xz"
    path.write_bytes(PACKED["xz"](_tar(8 * MIB)))
    with pytest.raises(UsageError) as caught:
        Supply.at(str(path)).find("6.1.0", ARCHITECTURES["x86_64"])
    assert str(caught.value) == f"{path}: is not a sound .tar.xz: it unpacks to more than 4 MiB"
