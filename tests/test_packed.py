"""A pack carries the cache's entries to another machine, and nothing of it leads out of the cache."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from everykernel import cache, packed
from everykernel.errors import CacheError, UsageError

MEMORY = b"a" * 4096 + bytes(100 * 4096) + b"b" * 100


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack of a cache with a kernel, two files of images, and three snapshots; the cache is another one now."""
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "first"))
    kernel = cache.entry("kernels", "x86_64-6.1.0-57_6.1.192-3")
    (kernel / "lib/modules/6.1").mkdir(parents=True)
    (kernel / "lib/modules/6.1/a.ko").write_bytes(b"module")
    (kernel / "link").symlink_to("/etc/passwd")
    cache.touch(kernel)
    cache.write(cache.entry("images", "modules-6.1.cpio"), b"cpio")
    for name in ("warm-6.1-a", "boot-6.1-b"):
        snapshot = cache.entry("snapshots", name)
        snapshot.mkdir()
        (snapshot / "memory").write_bytes(MEMORY)
        (snapshot / "about.json").write_text("{}")
    cache.write(cache.entry("packages", "a.deb"), b"deb")
    packed.pack(tmp_path / "pack")
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "second"))
    return tmp_path / "pack"


def test_there_and_back(pack: Path) -> None:
    """Kernels, images and warm snapshots arrive as they were, zeros as holes; what is there stays."""
    names = ["images/modules-6.1.cpio", "kernels/x86_64-6.1.0-57_6.1.192-3", "snapshots/warm-6.1-a"]
    assert packed.unpack(pack) == names
    assert sorted(entry.name for entry in cache.entries()) == names
    root = cache.root()
    assert (root / names[0]).read_bytes() == b"cpio"
    assert [path.name for path in (root / names[1]).rglob("*") if path.is_file()] == ["a.ko"]
    memory = root / names[2] / "memory"
    assert memory.read_bytes() == MEMORY
    assert memory.stat().st_blocks * 512 <= 4 * 4096
    (root / names[0]).write_bytes(b"ours")
    assert packed.unpack(pack) == []
    assert (root / names[0]).read_bytes() == b"ours"


def of(folder: Path, *members: tuple[str, bytes | str]) -> Path:
    """Return a pack with these members: a file's contents, or where a link leads."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    path = folder / "made"
    path.write_bytes(zstandard.ZstdCompressor().compress(out.getvalue()))
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("kernels/../../x", b"", "is no name for a member of a pack"),
        ("/etc/x", b"", "is no name for a member of a pack"),
        ("kernels/k/.last-used", b"", "is no name for a member of a pack"),
        ("locks/x", b"", "is nothing that a pack has"),
        ("kernels", b"", "is nothing that a pack has"),
        ("kernels/k/x", "/etc/passwd", "is nothing that a pack has"),
    ],
)
def test_what_no_pack_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | str, said: str
) -> None:
    """Paths that lead elsewhere, links and other folders of the cache are refused, and nothing is written."""
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    with pytest.raises(UsageError, match=said):
        packed.unpack(of(tmp_path, ("kernels/k/fine", b"fine"), (name, content)))
    assert cache.entries() == [] or not (cache.root() / "kernels/k/x").exists()
    assert not os.path.lexists(tmp_path / "x")


def test_damage_and_bombs(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cut short is no pack; one that unpacks to more than the cache holds ends there; neither leaves a part."""
    whole = pack.read_bytes()
    for data in (whole[: len(whole) // 2], b"no pack", whole[:40] + bytes(60) + whole[100:]):
        (tmp_path / "cut").write_bytes(data)
        with pytest.raises(UsageError, match="is no pack, or a damaged one"):
            packed.unpack(tmp_path / "cut")
    with pytest.raises(UsageError, match="there is no such file"):
        packed.unpack(tmp_path / "gone")
    monkeypatch.setenv(cache.LIMIT_SETTING, "0.000001")
    with pytest.raises(CacheError, match="unpacks to more than the cache's limit of 1e-06 GB"):
        packed.unpack(of(tmp_path, ("kernels/k/large", b"x" * 5000)))
    assert list(cache.folder("kernels").iterdir()) == []
