"""Runs whose guests lie lose no cell, end with the right code, and print and write nothing that is obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz import run


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_run_of_liars(seed: int, tmp_path: Path) -> None:
    """96 cells by the command, with and without colour, and by pytest, alone and with two workers."""
    before = run.Liars.changed
    run.check(tmp_path, *(run.by_pytest if seed % 2 else run.by_command)(tmp_path, seed))
    assert run.Liars.changed > before
