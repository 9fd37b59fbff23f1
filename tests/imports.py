"""What a source file imports, for the tests of the rooms."""

from __future__ import annotations

import ast
from pathlib import Path


def imported(path: Path) -> list[str]:
    """Return the full names that a file imports, wherever the statement stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found


def ours(path: Path) -> list[str]:
    """Return those of them that are everykernel's, without its name."""
    return [name.partition(".")[2] for name in imported(path) if name.split(".")[0] == "everykernel"]
