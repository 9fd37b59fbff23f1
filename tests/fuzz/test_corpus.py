"""Inputs that fuzzing found worth keeping end in typed errors or results, soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.fuzz.targets import TARGETS

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*/*"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name[:12]}")
def test_replay(path: Path) -> None:
    """No input of the corpus raises what it may not, or takes long."""
    start = time.monotonic()
    TARGETS[path.parent.name](path.read_bytes())
    assert time.monotonic() - start < 5
