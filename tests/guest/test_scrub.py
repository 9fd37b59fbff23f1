"""Free memory is taken once and given back: a piece at a time, never all of it, never more than a boot has touched."""

from __future__ import annotations

import mmap

import pytest

from everykernel.guest import scrub


@pytest.mark.parametrize(("free", "taken"), [(0, 0), (19, 0), (20, 1), (25, 2), (4000, 4)])
def test_what_is_taken(monkeypatch: pytest.MonkeyPatch, free: int, taken: int) -> None:
    """Of so many MiB so many pieces of four are taken, and each is given back."""
    pieces: list[Piece] = []

    class Piece:
        def __init__(self, descriptor: int, size: int, flags: int) -> None:
            assert flags & mmap.MAP_ANONYMOUS
            self.size, self.open = size, True
            pieces.append(self)

        def __enter__(self) -> Piece:
            return self

        def __exit__(self, *_: object) -> None:
            self.open = False

    monkeypatch.setattr(scrub, "_free", lambda: (free << 20) - sum(piece.size for piece in pieces))
    monkeypatch.setattr(mmap, "mmap", Piece)
    scrub.scrub()
    assert [piece.size for piece in pieces] == [4 << 20] * taken
    assert not any(piece.open for piece in pieces)
