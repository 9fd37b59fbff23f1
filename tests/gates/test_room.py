"""The room of gates: what it may import, and that it prints nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import jsonschema
import pytest
from tests.gates.made import REFUSED, cell, run
from tests.imports import ours

from everykernel import folders
from everykernel.report import schema

ROOT = folders.package() / "gates"
# What is below it: records and what they are made of, kernels' names and numbers.
BELOW = (
    "architectures", "errors", "reasons", "settings", "wire", "kernels.catalogue", "load.rules", "loaders.names",
    "matrix", "gates",
)  # fmt: skip
FILES = sorted(ROOT.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_go_downward(path: Path) -> None:
    """A file imports of its own room and of those below: no report, plugin, command or guest."""
    above = [name for name in ours(path) if not any(f"{name}.".startswith(f"{room}.") for room in BELOW)]
    assert above == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_prints_nothing(path: Path) -> None:
    """No file prints, or ends the process; what is said travels as values."""
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not names & {"print", "exit", "click", "sys"}
    assert len(path.read_text().splitlines()) <= 300


def test_reports_decide_nothing() -> None:
    """Of reports, only what tells a verdict knows of gates; what results hold is rendered without them."""
    users = {
        path.stem for path in (folders.package() / "report").rglob("*.py") if any("gates" in n for n in ours(path))
    }
    assert users == {"gate"}


def test_what_tests_make_is_what_runs_write() -> None:
    """The results that these tests are made of are valid by the schema."""
    cells = [cell("x.o", "5.10", REFUSED), cell("x.o", "6.1/i386", broke="guest-lost"), cell("y.o", "6.1")]
    jsonschema.validate(run(*cells), schema.load())
