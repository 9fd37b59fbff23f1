"""The room of comparing: what it may import, and that it touches nothing but what it is given."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.imports import imported, ours

from everykernel import folders

ROOT = folders.package() / "comparing"
BELOW = (
    "core", "errors", "escaping", "names", "wire", "matrix.expect", "matrix.records", "matrix.results", "comparing",
)  # fmt: skip
FILES = sorted(ROOT.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_go_downward(path: Path) -> None:
    """A file imports of its own room and of those below: no report, plugin, command or guest."""
    found = ours(path)
    assert found or path.stem in ("__init__", "order", "join")
    above = [name for name in found if not any(f"{name}.".startswith(f"{room}.") for room in BELOW)]
    assert set(above) <= {"matrix.records"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_pure(path: Path) -> None:
    """No file reads, writes, prints or asks the clock; what it makes is a value."""
    outside = {name.split(".")[0] for name in imported(path)}
    assert not outside & {"os", "pathlib", "subprocess", "time", "click", "sys", "rich"}
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not names & {"print", "open", "exit"}
    assert len(path.read_text().splitlines()) <= 320
