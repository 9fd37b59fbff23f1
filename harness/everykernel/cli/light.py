"""Command lines that are read without click, which takes as long to import as an object to relocate.

What is not read here, for whatever reason, is click's: nothing is said here, and nothing means something else there.
"""

from __future__ import annotations

import os

_FORMATS = ("table", "jsonl")
_SETTINGS = ("EVERYKERNEL_KERNELS", "_EVERYKERNEL_COMPLETE")  # from which click would take more


def relocate(argv: list[str]) -> tuple[list[str], list[str], str] | None:
    """Return the objects, the BTF and the format of ``relocate OBJ... --btf FILE... [--format FORMAT]``.

    None for any other command line.
    """
    if argv[:1] != ["relocate"] or any(name in os.environ for name in _SETTINGS):
        return None
    objects: list[str] = []
    options: dict[str, list[str]] = {"--btf": [], "--format": []}
    words = iter(argv[1:])
    for word in words:
        into = options.get(word, objects)
        value = next(words, "") if word in options else word
        if not value or value.startswith("-"):
            return None
        into.append(value)
    formats = options["--format"] or ["table"]
    if not objects or not all(form in _FORMATS for form in formats) or not all(map(_readable, objects)):
        return None
    return objects, options["--btf"], formats[-1]


def _readable(path: str) -> bool:
    """Whether click lets a path pass: it is there and may be read, or is not there."""
    return os.access(path, os.R_OK) or not os.access(path, os.F_OK)
