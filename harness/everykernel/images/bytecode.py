"""Bytecode of what a guest imports first: an emulated machine compiles twelve times as slowly as this one.

It is our own Python's. A guest's Python that is another one passes over it (it compares the magic number) and compiles
the sources, which are the same.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import marshal
import struct
import subprocess
import sys
from pathlib import PurePosixPath

from everykernel.guest.stage0 import PRELOADED

_LIST = (
    "import importlib, json, sys; [importlib.import_module(n) for n in sys.argv[1:]]; print(json.dumps([*sys.modules]))"
)


def compiled(path: str, source: bytes) -> bytes:
    """Return the contents of an unchecked hash-based .pyc (PEP 552) of a source that stands at ``path``.

    Raises SyntaxError, or ValueError, for what this Python does not compile.
    """
    unchecked = struct.pack("<I", 0b01)
    return importlib.util.MAGIC_NUMBER + unchecked + bytes(8) + code(path, source)


def code(path: str, source: bytes) -> bytes:
    """Return the marshalled code of a source that stands at ``path``; raises as `compiled` does."""
    return marshal.dumps(compile(source, path, "exec", dont_inherit=True))


def version() -> str:
    """Return the version of the Python that the bytecode is for: ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def place(path: str) -> str | None:
    """Return where the bytecode of a source belongs (``…/__pycache__/json.cpython-311.pyc``), None if it needs none.

    ``path`` is the source's in an image: ``usr/lib/python3.11/json/__init__.py``. Needed is what stage 0 imports.
    """
    library = f"usr/lib/python{version()}/"
    if not path.startswith(library) or not path.endswith(".py"):
        return None
    parts = path.removeprefix(library).removesuffix(".py").removesuffix("/__init__").split("/")
    return beside(path) if ".".join(parts) in _imported() else None


def beside(path: str) -> str:
    """Return where Python looks for a source's bytecode."""
    found = PurePosixPath(path)
    return str(found.parent / "__pycache__" / f"{found.stem}.{sys.implementation.cache_tag}.pyc")


@functools.cache
def _imported() -> frozenset[str]:
    """Return the modules that this Python imports where it is asked for what stage 0 imports."""
    argv = [sys.executable, "-S", "-I", "-c", _LIST, *PRELOADED]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return frozenset(json.loads(done.stdout))
