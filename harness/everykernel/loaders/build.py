"""Adapters' programs, built on demand and kept in the cache by all that decides what they are.

That is: the sources in this package, what they pin, the command, and what the toolchain says of its version. A
toolchain that is missing or too old is a ToolMissing: the column is skipped then, and nothing else stands in for it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from everykernel import cache, folders
from everykernel.architectures import DEFAULT, Architecture
from everykernel.errors import HarnessError, ToolMissing
from everykernel.loaders import sysroot
from everykernel.loaders.program import built_for
from everykernel.loaders.table import Loader, Tool

FOLDER = "loaders"  # of the cache
_PROGRAM = "adapter"
_PATIENCE = 1800.0  # seconds for a build: a slow host compiles a Go library for minutes
_TOLD = 300  # characters of a compiler's error that an error tells
_ERROR = re.compile(r"(?<![\w-])(error|undefined reference|cannot find)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Toolchain:
    """A tool as it was found: the program, and the first line of what it says of its version."""

    path: str
    said: str


@dataclass(frozen=True)
class Built:
    """An adapter that can be run in a guest: its program, and the toolchain that built it."""

    program: Path
    toolchain: str


def build(loader: Loader, arch: Architecture = DEFAULT, tell: Callable[[str], None] = lambda line: None) -> Built:
    """Return a loader's adapter for an architecture, built if it is not in the cache, kept until this process ends.

    ``tell`` hears of a build, which may take minutes.

    Raises:
        ToolMissing: it is not built for that architecture, its toolchain is missing or too old, or what it links is.
        DownloadError, CacheError, HarnessError: it cannot be built for another reason.
    """
    sources = folders.package() / "loaders" / loader.name
    if not sources.is_dir():
        raise HarnessError("its sources are not part of this package", where=f"loader {loader.name}")
    if arch.name not in loader.targets:
        raise ToolMissing(f"there is none for {arch.name}: {loader.nowhere_else}", where=f"loader {loader.name}")
    toolchain = find(loader.tool, sources, loader.name, loader.filled(loader.tool.remedy, arch))
    entry = cache.entry(FOLDER, f"{loader.name}-{digest(loader, sources, toolchain, arch)}")
    cache.hold(entry)
    with cache.lock(f"{FOLDER}/{entry.name}"):
        if not (entry / _PROGRAM).is_file():
            there = f" for {arch.name}" if arch is not DEFAULT else ""
            tell(f"loader {loader.name}: building its adapter{there}, {loader.library} {loader.version}, once")
            with cache.make_folder(entry) as made:
                _make(loader, sources, toolchain, arch, made / _PROGRAM)
    cache.touch(entry)
    return Built(entry / _PROGRAM, toolchain.said)


def find(tool: Tool, folder: Path, name: str, remedy: str) -> Toolchain:
    """Return the first of a tool's names that is installed and not too old; raise ToolMissing, with a remedy, for none.

    It is asked in the folder of the sources, where a rust-toolchain.toml may choose.
    """
    where = f"loader {name}"
    oldest = ".".join(map(str, tool.oldest))
    old = ""
    for candidate in tool.names:
        path = shutil.which(candidate)
        if path is None:
            continue
        environment = {**os.environ, "GOTOOLCHAIN": "local"}
        ran = subprocess.run([path, *tool.ask], cwd=folder, env=environment, capture_output=True, check=False)
        said = str(ran.stdout, "utf-8", "replace").partition("\n")[0].strip()
        version = tool.said.search(said)
        if version is not None and (int(version[1]), int(version[2])) >= tool.oldest:
            return Toolchain(path, said)
        words = said or str(ran.stderr, "utf-8", "replace").strip().partition("\n")[0]
        old = old or f"{candidate} says {words[:_TOLD]!r}, which is not {oldest} or newer"
    raise ToolMissing(old or f"{' nor '.join(tool.names[-1:])} is not installed", where=where, remedy=remedy)


def digest(loader: Loader, sources: Path, toolchain: Toolchain, arch: Architecture = DEFAULT) -> str:
    """Return what identifies an adapter in the cache: a digest of all that decides what its program is."""
    state = hashlib.sha256()
    parts = [loader.version, loader.pinned, *loader.command, loader.program, toolchain.said]
    parts += [loader.targets[arch.name], str(sysroot.is_foreign(arch))]
    parts += [f"{name}={value}" for name, value in sorted(loader.environment.items())]
    for path in _files(sources):
        parts += [str(path.relative_to(sources)), hashlib.sha256(path.read_bytes()).hexdigest()]
    for part in parts:
        state.update(f"{len(part)}:{part}".encode())
    return state.hexdigest()[:16]


def _files(sources: Path) -> list[Path]:
    """Return the sources, without what a build by hand leaves there."""
    skipped = {"target", "__pycache__"}
    found = (p for p in sources.rglob("*") if p.is_file() and not skipped & set(p.relative_to(sources).parts))
    return sorted(found)


def _make(loader: Loader, sources: Path, toolchain: Toolchain, arch: Architecture, program: Path) -> None:
    """Build in a copy of the sources, which may be read-only, and take the program out of it."""
    with tempfile.TemporaryDirectory(prefix="everykernel-loader-") as name:
        copy = Path(name)
        for path in _files(sources):
            target = copy / path.relative_to(sources)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        if loader.fetch is not None:
            loader.fetch(copy, arch)
        _run(loader, arch, [loader.filled(word, arch, toolchain.path) for word in loader.command], copy)
        made = copy / loader.filled(loader.program, arch)
        data = made.read_bytes() if made.is_file() else b""
        if built_for(data) != arch.name:
            where = f"loader {loader.name}"
            raise HarnessError(f"its build made no static program for Linux on {arch.name}", where=where)
        program.write_bytes(data)
        program.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)


def _run(loader: Loader, arch: Architecture, command: list[str], folder: Path) -> None:
    environment = {**os.environ, **{name: loader.filled(value, arch) for name, value in loader.environment.items()}}
    environment = {k: v for k, v in environment.items() if v or k not in loader.environment}
    where = f"loader {loader.name}"
    try:
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=_PATIENCE)
    except subprocess.TimeoutExpired as e:
        raise HarnessError(f"its build took more than {_PATIENCE:g} s", where=where) from e
    if ran.returncode:
        lines = str(ran.stdout + ran.stderr, "utf-8", "replace").splitlines()
        said = next((line for line in lines if _ERROR.search(line)), lines[-1] if lines else "it says nothing")
        remedy = (sysroot.is_foreign(arch) and loader.tool.across) or loader.filled(loader.tool.remedy, arch)
        raise ToolMissing(f"cannot be built: {said.strip()[:_TOLD]}", where=where, remedy=remedy)
