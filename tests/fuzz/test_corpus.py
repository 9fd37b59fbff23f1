"""Inputs that fuzzing found worth keeping end in typed errors or results, soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.fuzz.exercise import exercise

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name[:12])
def test_replay(path: Path) -> None:
    """No input of the corpus raises what it may not, or takes long."""
    start = time.monotonic()
    exercise(path.read_bytes())
    assert time.monotonic() - start < 5
