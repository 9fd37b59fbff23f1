"""What a repository says of itself: its objects, their sources, how it is built, which tools it has settings for."""

from __future__ import annotations

import configparser
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everykernel.errors import UsageError

OBJECT, SOURCE = ".bpf.o", ".bpf.c"
LARGEST = 20_000  # entries that are looked at
LARGEST_TEXT = 4 << 20  # bytes of a file that is read
_DEEPEST = 8
_OTHERS = {"node_modules", "vendor", "third_party", "site-packages", "kernel-report", "__pycache__"}

# What builds a project, by a file at its top, in the order in which they are believed.
BUILDS = (
    ("Makefile", "make"),
    ("makefile", "make"),
    ("GNUmakefile", "make"),
    ("CMakeLists.txt", "cmake -B build && cmake --build build"),
    ("meson.build", "meson setup build && meson compile -C build"),
    ("Cargo.toml", "cargo build"),
    ("go.mod", "go generate ./... && go build ./..."),
)


@dataclass(frozen=True)
class Found:
    """What was found, with paths seen from the repository's top.

    Attributes:
        objects: compiled objects that are there, else where those of its sources would be beside them.
        built: whether they are there.
        build: the command that builds the project; "" where nothing says so.
        tests: the folder of its tests.
        settings: whether pyproject.toml has a table for everykernel.
        package: whether pyproject.toml describes a Python package.
        tox: which file tox is configured in, "" for none.
        cut: whether the repository is larger than what was looked at.
    """

    objects: tuple[str, ...]
    built: bool
    build: str
    tests: str
    settings: bool
    package: bool
    tox: str
    cut: bool


def look(top: Path) -> Found:
    """Return what a repository says of itself, by its names and its pyproject.toml, setup.cfg and tox.ini.

    Raises UsageError for one of these that cannot be read.
    """
    objects, sources, seen = [], [], 0
    for path in _files(top):
        seen += 1
        name = path.relative_to(top).as_posix()
        if not name.isprintable():
            continue
        if name.endswith(OBJECT):
            objects.append(name)
        elif name.endswith(SOURCE):
            sources.append(name.removesuffix(SOURCE) + OBJECT)
    table = pyproject(top)
    tool = table.get("tool", {})
    return Found(
        objects=tuple(sorted(objects or sources)),
        built=bool(objects),
        build=next((command for file, command in BUILDS if (top / file).is_file()), ""),
        tests="test" if (top / "test").is_dir() and not (top / "tests").is_dir() else "tests",
        settings="everykernel" in tool,
        package="project" in table or "build-system" in table,
        tox=_tox(top, tool),
        cut=seen >= LARGEST,
    )


def _files(top: Path) -> Iterator[Path]:
    """Yield files below a folder, a bounded number; hidden folders, environments and others' code are left out."""
    seen = 0
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        deep = len(here.relative_to(top).parts) >= _DEEPEST
        folders[:] = [] if deep else sorted(name for name in folders if _ours(here / name))
        for name in sorted(files):
            seen += 1
            if seen > LARGEST:
                return
            yield here / name


def _ours(folder: Path) -> bool:
    name = folder.name
    return not name.startswith(".") and name not in _OTHERS and not (folder / "pyvenv.cfg").exists()


def text(path: Path) -> str:
    """Return what a file holds, "" for one that is not there; raise UsageError for what is no text, or too large."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
    except FileNotFoundError:
        return ""
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(path)) from e
    try:
        if len(data) <= LARGEST_TEXT:
            return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise UsageError(f"is no text of up to {LARGEST_TEXT >> 20} MiB", where=str(path), remedy="move it away")


def pyproject(top: Path) -> dict[str, Any]:
    """Return what pyproject.toml says; raise UsageError where it is none."""
    where = str(top / "pyproject.toml")
    try:
        table = tomllib.loads(text(top / "pyproject.toml"))
    except tomllib.TOMLDecodeError as e:
        raise UsageError(f"is not TOML: {e}", where=where) from e
    if not isinstance(table.get("tool", {}), dict):
        raise UsageError("tool is not a table", where=where, remedy="write [tool.NAME]")
    return table


def _tox(top: Path, tool: dict[str, Any]) -> str:
    """Return the file that tox takes, by its own order of looking."""
    if (top / "tox.ini").is_file():
        return "tox.ini"
    if any(section.startswith("tox:tox") for section in sections(text(top / "setup.cfg"))):
        return "setup.cfg"
    if "tox" in tool:
        return "pyproject.toml"
    return "tox.toml" if (top / "tox.toml").is_file() else ""


def sections(ini: str) -> list[str]:
    """Return the sections of an ini file; none of one that is malformed."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(ini)
    except configparser.Error:
        return []
    return parser.sections()
