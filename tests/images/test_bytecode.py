"""Bytecode in the image: beside the sources that stage 0 imports, for a guest of our own Python's version."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from everykernel.guest.stage0 import PRELOADED
from everykernel.images import bytecode

LIBRARY = f"usr/lib/python{bytecode.version()}"
TAG = sys.implementation.cache_tag


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("subprocess.py", f"__pycache__/subprocess.{TAG}.pyc"),
        ("ctypes/__init__.py", f"ctypes/__pycache__/__init__.{TAG}.pyc"),
        ("asyncio/base_events.py", None),
        ("subprocess.txt", None),
    ],
)
def test_what_has_it(path: str, place: str | None) -> None:
    """What is imported before the first snapshot has it, where Python looks for it; nothing else has."""
    assert bytecode.place(f"{LIBRARY}/{path}") == (place and f"{LIBRARY}/{place}")


def test_another_pythons_library_has_none() -> None:
    """A guest with another Python could not use ours."""
    assert bytecode.place("usr/lib/python3.1/subprocess.py") is None


def test_python_takes_it(tmp_path: Path) -> None:
    """The interpreter runs the bytecode without a look at the source; all that stage 0 imports compiles."""
    source = tmp_path / "found.py"
    place = Path(importlib.util.cache_from_source(str(source)))
    place.parent.mkdir()
    place.write_bytes(bytecode.compiled(str(source), b"print('bytecode')"))
    source.write_text("print('source')")
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import found"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "bytecode\n"
    assert len({name for name in PRELOADED if bytecode.place(f"{LIBRARY}/{name}.py")}) > 10
