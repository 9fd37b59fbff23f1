"""libbpf's sources are the same from either place, and nothing else of an archive is written."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from everykernel.errors import DownloadError
from everykernel.kernels.download import NotThere
from everykernel.loaders import sources

FILES = {"src/libbpf.c": b"int a;", "src/bpf.h": b"", "include/uapi/linux/bpf.h": b"#"}
OTHERS = {"docs/x.rst": b"no", "src/../../out.c": b"no", "Makefile": b"no"}


def packed(path: Path, top: str, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tree:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(data)
            tree.addfile(member, io.BytesIO(data))
    return path


class Archive:
    """An archive that has one file, or none."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def fetch(self, entry: Any) -> Path:
        assert entry is sources.LIBBPF
        if self.path is None:
            raise NotThere("has moved on")
        return self.path


def written(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_archive_s_sources_are_taken(tmp_path: Path) -> None:
    """Its src and include, and nothing that leads out of the folder."""
    archive = Archive(packed(tmp_path / "orig.tar.gz", "libbpf-1.7.0", {**FILES, **OTHERS}))
    sources.libbpf(tmp_path / "made" / "inner", archive)  # type: ignore[arg-type]
    assert written(tmp_path / "made") == {f"inner/{name}": data for name, data in FILES.items()}


def test_the_crate_s_are_where_the_archive_has_moved_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They lie in a folder of their own there; the crate's own sources are not libbpf's."""
    files = {**{f"libbpf/{name}": data for name, data in {**FILES, **OTHERS}.items()}, "src/lib.rs": b"rust"}
    made = packed(tmp_path / "x.crate", "libbpf-sys-1.7.0", files)
    monkeypatch.setattr(sources, "crate", lambda: made)
    sources.libbpf(tmp_path / "made", Archive(None))  # type: ignore[arg-type]
    assert written(tmp_path / "made") == FILES


def test_an_archive_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked has a ceiling."""
    monkeypatch.setattr(sources, "_LIMIT", 4)
    with pytest.raises(DownloadError, match="holds more than 4 bytes"):
        sources.libbpf(tmp_path / "made", Archive(packed(tmp_path / "x.gz", "x", FILES)))  # type: ignore[arg-type]
