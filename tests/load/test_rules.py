"""Whose rules decide is asked of one room: nothing else in load/ knows which loader it plays."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from everykernel import folders
from everykernel.errors import UsageError
from everykernel.load.rules import named

ROOT = folders.package() / "load"
OUTSIDE = sorted(p for p in ROOT.rglob("*.py") if p.parent.name != "rules")
FILES = {name.replace("-", "_") for name in named.NAMES}


def _asks(text: str) -> list[str]:
    """Return what in a source asks which loader it plays: a loader's name as a value, or its own file."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and node.value in named.NAMES:
            found.append(f"line {node.lineno}: {node.value!r}")
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            modules = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            found += [f"line {node.lineno}: imports {f}" for f in FILES if f"everykernel.load.rules.{f}" in modules]
    return found


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_else_asks_which_loader_it_plays(path: Path) -> None:
    """Outside of load/rules/, no file of load/ names a loader as a value or imports the rules of one."""
    assert _asks(path.read_text()) == []


def test_what_asks_is_seen() -> None:
    """What the test above goes by sees comparisons and imports."""
    assert len(_asks("if rules.name == 'ebpf-go':\n    from everykernel.load.rules import libbpf\n")) == 2


def test_rules_are_asked_for_by_name() -> None:
    """Each loader's rules have the name by which they are asked for; a name that is none is told the nearest."""
    assert all(named.named(name).name == name for name in named.NAMES)
    assert named.DEFAULT.name == "libbpf"
    with pytest.raises(UsageError, match=r"unknown loader's rules 'ebpf_go' \[did you mean 'ebpf-go'\?\]"):
        named.named("ebpf_go")
