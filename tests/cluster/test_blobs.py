"""What a machine keeps by digest: verified, whole or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from everykernel import cache
from everykernel.cluster import blobs
from everykernel.errors import CacheError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))


def test_a_blob_comes_in_parts() -> None:
    """Nothing is there before the last part came; then it is, under its digest."""
    digest = blobs.digest_of(b"abcdef")
    blobs.put(digest, 0, b"abc", False, "s")
    assert not blobs.has(digest)
    blobs.put(digest, 3, b"def", True, "s")
    assert blobs.has(digest)
    assert blobs.read(digest) == b"abcdef"


def test_bytes_of_another_digest_are_not_kept() -> None:
    """What came otherwise than it was announced is refused, and leaves nothing."""
    digest = blobs.digest_of(b"abc")
    with pytest.raises(CacheError, match="what came has another digest"):
        blobs.put(digest, 0, b"abd", True, "s")
    assert not blobs.has(digest)
    assert not list(cache.folder(blobs.FOLDER).iterdir())


def test_a_part_that_does_not_follow_is_refused() -> None:
    """A part that was lost on the way is noticed."""
    digest = blobs.digest_of(b"abcdef")
    blobs.put(digest, 0, b"ab", False, "s")
    with pytest.raises(CacheError, match="parts came out of order"):
        blobs.put(digest, 3, b"def", True, "s")


def test_two_senders_do_not_meet() -> None:
    """Two runs may send the same at once: each its own parts."""
    digest = blobs.digest_of(b"abcdef")
    blobs.put(digest, 0, b"abc", False, "one")
    blobs.put(digest, 0, b"abcdef", True, "two")
    blobs.put(digest, 3, b"def", True, "one")
    assert blobs.read(digest) == b"abcdef"


def test_a_folder_is_unpacked_once() -> None:
    """A packed folder takes the place of its blob, and stays in use until it is let go."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("lib/a")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    data = zstandard.compress(packed.getvalue())
    digest = blobs.digest_of(data)
    blobs.put(digest, 0, data, True, "s")
    folder = blobs.tree(digest)
    assert (folder / "lib" / "a").read_bytes() == b"x"
    assert blobs.has(digest)
    assert blobs.read(digest) is None
    assert blobs.tree(digest) == folder
    [entry] = cache.entries([blobs.FOLDER])
    assert cache.busy(entry)
    cache.let_go()
    assert not cache.busy(entry)
