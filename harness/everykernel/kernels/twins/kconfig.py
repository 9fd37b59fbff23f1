"""Configurations of kernels: the fragments in kernels/configs, and what came of them.

The format is the kernel's own (Linux Documentation/kbuild/kconfig.rst): ``CONFIG_A=y``, ``# CONFIG_B is not set``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from everykernel import folders

OFF = "n"
_LINE = re.compile(r"(?P<set>CONFIG_\w+)=(?P<value>.*)|# (?P<unset>CONFIG_\w+) is not set")


def read(text: str) -> dict[str, str]:
    """Return options with their values as written (``y``, ``8``, ``"text"``), ``n`` for those that are not set.

    The last line that names an option counts.
    """
    matches = filter(None, map(_LINE.fullmatch, text.splitlines()))
    return {match["set"] or match["unset"]: match["value"] if match["set"] else OFF for match in matches}


def fragments(series: str, part: str) -> list[Path]:
    """Return the files whose lines are a twin's configuration, in order: what all have, a series has, a part has."""
    folder = folders.data("kernels") / "configs"
    own = folder / f"{series}.config"
    return [folder / "base.config", *([own] if own.is_file() else []), folder / f"{part}.config"]


def wanted(series: str, part: str) -> str:
    """Return the text of all fragments of a twin."""
    return "".join(path.read_text() for path in fragments(series, part))


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return what differs, by option: its value in ``one`` and in ``other``. What is not there is not set."""
    pairs = ((name, one.get(name, OFF), other.get(name, OFF)) for name in sorted({*one, *other}))
    return {name: (a, b) for name, a, b in pairs if a != b}


def unmet(asked: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    """Return the options of a fragment that a configuration does not have as asked (a dependency is not met)."""
    return [f"{name}={value}" for name, value in asked.items() if made.get(name, OFF) != value]
