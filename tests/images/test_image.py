"""The image is built once from verified packages, and stays in use until its recipe changes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, ClassVar

import pytest
from tests.images.test_cpio import members

from everykernel import cache, images
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import DownloadError
from everykernel.images import bytecode, image, recipe
from everykernel.kernels import debian

X86 = ARCHITECTURES["x86_64"]


class Archive(debian.Archive):
    """An archive whose suites hold one version of everything each."""

    versions: ClassVar[dict[str, str]] = {"bookworm": "2.0-1", "bookworm-security": "2.0-1+deb12u1"}

    def package(self, suite: str, name: str, arch: str, progress: object = None) -> debian.Entry | None:
        version = self.versions.get(suite)
        if version is None:
            return None
        return debian.Entry(name, version, arch, suite, f"{name}_{version}.deb", 1, "0" * 64)

    def fetch(self, entry: debian.Entry, progress: object = None) -> Path:
        return Path(f"/debs/{entry.name}_{entry.version}.deb")


def unpack(deb: Path, *, largest: int) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    program, link, junk = (
        tarfile.TarInfo("bin/busybox"),
        tarfile.TarInfo("lib64/ld-linux-x86-64.so.2"),
        tarfile.TarInfo("x"),
    )
    program.mode, link.type, link.linkname = 0o755, tarfile.SYMTYPE, "/lib/ld.so"
    yield program, io.BytesIO(deb.name.encode())
    yield link, None
    yield junk, io.BytesIO(b"junk")


@pytest.fixture(autouse=True)
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "Archive", Archive)
    monkeypatch.setattr(debian, "unpack", unpack)


def test_what_is_in_the_image() -> None:
    """Files of the newest packages, our own, folders and links, and nothing that was not asked for."""
    built = images.build(X86)
    found = members(built.path.read_bytes())
    assert found["bin/busybox"][2] == b"zlib1g_2.0-1+deb12u1.deb"
    assert found["lib64/ld-linux-x86-64.so.2"][2] == b"/lib/ld.so"
    assert found["init"][2].startswith(b"#!/bin/busybox sh")
    assert found["everykernel/stage0.py"][2].startswith(b'"""Stage 0')
    ours = recipe.read("x86_64").python == bytecode.version()
    assert (bytecode.beside("everykernel/stage0.py") in found) is ours
    assert {"proc", "sys", "dev/console", "usr/bin/python3"} <= set(found)
    assert found["etc/passwd"][2].startswith(b"root:x:0:0:")
    assert "x" not in found
    assert "busybox-static 2.0-1+deb12u1" in built.packages


def test_it_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call asks nobody for anything, unless an update is asked for."""
    first = images.build(X86)
    monkeypatch.setattr(debian, "Archive", None)
    assert images.build(X86) == first
    monkeypatch.setattr(debian, "Archive", Archive)
    monkeypatch.setattr(Archive, "versions", {"bookworm": "3.0-1"})
    assert images.build(X86) == first
    updated = images.build(X86, update=True)
    assert updated.path == first.path
    assert updated.digest != first.digest
    assert images.build(X86) == updated


def test_another_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's name holds its recipe, our init, the stage-0 agent and the architecture."""
    first = images.build(X86)
    assert images.build(ARCHITECTURES["i386"]).path != first.path
    monkeypatch.setattr(
        image, "_own_files", lambda: {"init": b"#!/bin/busybox sh\nchanged", "everykernel/stage0.py": b""}
    )
    assert images.build(X86).path != first.path


def test_a_truncated_image_is_built_again() -> None:
    """An image that lost bytes is not used."""
    first = images.build(X86)
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[:1000])
    assert images.build(X86).path.read_bytes() == whole


def test_a_package_that_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it and where it was looked for."""
    monkeypatch.setattr(Archive, "versions", {})
    name = recipe.read("x86_64").packages[0]
    with pytest.raises(DownloadError, match=f"package {name}: neither bookworm nor bookworm-security has it for amd64"):
        images.build(X86)
