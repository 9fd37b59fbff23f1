"""What a machine keeps of what travelled to it, by digest: single files, and folders that came packed.

    cluster/blob-<sha256>       the bytes, verified when the last of them came
    cluster/tree-<sha256>/      what a blob of that digest, a .tar.zst, unpacks to

Prune may take any of it that is not held; what is missing is sent again.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import zstandard

from everykernel import cache
from everykernel.errors import CacheError

FOLDER = "cluster"
CHUNK = 4 << 20  # bytes that travel at once: schedulers hold a message whole


def digest_of(data: bytes) -> str:
    """Return the name that bytes travel under."""
    return hashlib.sha256(data).hexdigest()


def has(digest: str) -> bool:
    """Return whether a blob is here, or what it unpacked to."""
    return _blob(digest).exists() or _tree(digest).exists()


def put(digest: str, offset: int, chunk: bytes, last: bool, sender: str) -> None:
    """Take a part of a blob; the last one completes it.

    Raises CacheError for a part that does not follow the one before, for bytes of another digest, and for a full disk.
    """
    part = cache.folder(FOLDER) / f".{digest}.{sender}.part"
    with cache.explained(part), part.open("ab" if offset else "wb") as file:
        if file.tell() != offset:
            raise CacheError("parts came out of order", where=str(part))
        file.write(chunk)
    if not last:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        part.unlink(missing_ok=True)
        raise CacheError("what came has another digest", where=str(part))
    part.replace(_blob(digest))


def read(digest: str) -> bytes | None:
    """Return a blob's bytes; None where it is not here any more."""
    try:
        data = _blob(digest).read_bytes()
    except FileNotFoundError:
        return None
    cache.touch(_blob(digest))
    return data


def file(digest: str) -> Path:
    """Return a blob's file, held until `everykernel.cache.let_go`."""
    cache.hold(_blob(digest))
    return _blob(digest)


def tree(digest: str) -> Path:
    """Return the folder that a blob unpacks to, unpacked once and held until `everykernel.cache.let_go`.

    Raises CacheError where neither is here, or the disk is full.
    """
    folder = _tree(digest)
    cache.hold(folder)
    if folder.exists():
        return folder
    with cache.lock(f"{FOLDER}/{folder.name}"):
        if not folder.exists():
            blob = _blob(digest)
            with cache.explained(blob), cache.make_folder(folder) as made, blob.open("rb") as packed:
                reader = zstandard.ZstdDecompressor().stream_reader(packed)
                with tarfile.open(fileobj=reader, mode="r|") as tar:
                    tar.extractall(made, filter="data")
            blob.unlink(missing_ok=True)
    return folder


def _blob(digest: str) -> Path:
    return cache.entry(FOLDER, f"blob-{digest}")


def _tree(digest: str) -> Path:
    return cache.entry(FOLDER, f"tree-{digest}")
