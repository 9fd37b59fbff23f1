"""What is zero in a file of memory takes no room, and the file reads as before."""

from __future__ import annotations

import os
from pathlib import Path

from everykernel.machine import holes

PAGE = holes.PAGE


def test_zero_pages_become_holes(tmp_path: Path) -> None:
    """Pages of zeros are given back, whole ones only; every byte reads as it did."""
    path = tmp_path / "memory"
    pages = [b"x" * PAGE, bytes(PAGE), bytes(PAGE), bytes(PAGE - 1) + b"y", *[bytes(PAGE)] * 600, b"z" * PAGE]
    content = b"".join(pages)
    path.write_bytes(content)
    before = path.stat().st_blocks
    assert holes.dig(path) == 602 * PAGE
    assert path.read_bytes() == content
    assert path.stat().st_blocks * 512 <= before * 512 - 602 * PAGE
    assert holes.dig(path) == 0


def test_stretches_of_data(tmp_path: Path) -> None:
    """What is no hole is found, to the end of the file."""
    path = tmp_path / "memory"
    with path.open("wb") as file:
        file.truncate(64 * PAGE)
        for page in (0, 1, 32):
            os.pwrite(file.fileno(), b"x" * PAGE, page * PAGE)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert list(holes.data(descriptor, 64 * PAGE)) == [(0, 2 * PAGE), (32 * PAGE, 33 * PAGE)]
    finally:
        os.close(descriptor)
