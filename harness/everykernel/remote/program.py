"""The program, built for an architecture: by clang and lld alone, which need no library nor header of that machine.

clang is here for the cases already, and compiles for every architecture; so a program of 10 KB costs a user no cross
compiler, no C library of another architecture, and no download. It is kept in the cache by all that decides what it is.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from everykernel import cache, folders
from everykernel.architectures import Architecture
from everykernel.compile import COMPILERS
from everykernel.errors import HarnessError, ToolMissing
from everykernel.remote.calls import NUMBERS

LARGEST = 200 << 10  # bytes
_SOURCES = ("start.S", "door.c")
_LINKERS = tuple(f"ld.lld{name.removeprefix('clang')}" for name in COMPILERS)
_REMEDY = "apt install clang-19 lld-19"
_PATIENCE = 120.0  # seconds
# clang's name of the machine, and what its code is for: the oldest that each kernel runs on.
_TARGETS = {
    "x86_64": ("x86_64-linux-gnu", "-fcf-protection=none"),
    "i386": ("i686-linux-gnu", "-fcf-protection=none"),
    "arm64": ("aarch64-linux-gnu", "-mno-outline-atomics"),
    "armhf": ("armv7-linux-gnueabihf", "-marm", "-mfloat-abi=soft"),
    "s390x": ("s390x-linux-gnu", "-march=z10"),
    "riscv64": ("riscv64-linux-gnu", "-march=rv64imac", "-mabi=lp64"),
    "ppc64el": ("powerpc64le-linux-gnu",),
}
_COMPILE = (
    *("-std=c11", "-O2", "-ffreestanding", "-fno-builtin", "-fno-pic", "-fno-stack-protector", "-fno-unwind-tables"),
    *("-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Werror", "-nostdinc"),
)
_LINK = ("-static", "--gc-sections", "-s", "-z", "noexecstack", "--build-id=none", "-z", "norelro")


def build(arch: Architecture) -> Path:
    """Return the program for an architecture, built if it is not in the cache; it is held until this process ends.

    Raises:
        ToolMissing: clang or lld is not installed.
        HarnessError: it cannot be built.
    """
    compiler, linker, said = tools()
    sources = {name: (folders.package() / "remote" / "program" / name).read_bytes() for name in _SOURCES}
    commands = _commands(arch, compiler, linker)
    state = hashlib.sha256(repr((said, commands, sorted(sources.items()))).encode())
    entry = cache.entry("images", f"door-{arch.name}-{state.hexdigest()[:16]}")
    cache.hold(entry)
    with cache.lock(f"images/{entry.name}"):
        if not (entry / "door").is_file():
            with cache.make_folder(entry) as made:
                for name, data in sources.items():
                    (made / name).write_bytes(data)
                for command in commands:
                    _run(command, made)
    cache.touch(entry)
    found = entry / "door"
    if found.stat().st_size > LARGEST:
        raise HarnessError(f"the program has {found.stat().st_size} bytes, more than {LARGEST}", where=arch.name)
    return found


def tools() -> tuple[str, str, str]:
    """Return compiler and linker of one release, and what the compiler says of its version; raise ToolMissing."""
    for compiler, linker in zip(COMPILERS, _LINKERS):
        if shutil.which(compiler) and shutil.which(linker):
            said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
            return compiler, linker, said.partition("\n")[0]
    raise ToolMissing("clang and lld are not installed, of one release", where="the static program", remedy=_REMEDY)


def _commands(arch: Architecture, compiler: str, linker: str) -> list[list[str]]:
    target, *flags = _TARGETS[arch.name]
    common = [compiler, "-target", target, *flags, *_COMPILE]
    defines = [f"-DNR_{name}={number}" for name, number in sorted(NUMBERS[arch.name].items())]
    objects = [f"{Path(name).stem}.o" for name in _SOURCES]
    made = [[*common, *defines, "-c", name, "-o", out] for name, out in zip(_SOURCES, objects)]
    return [*made, [linker, *_LINK, *objects, "-o", "door"]]


def _run(command: list[str], folder: Path) -> None:
    try:
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except subprocess.TimeoutExpired as e:
        raise HarnessError(f"{command[0]} took more than {_PATIENCE:g} s", where="the static program") from e
    if ran.returncode:
        said = next((line for line in ran.stderr.splitlines() if re.search(r"\berror\b", line)), ran.stderr.strip())
        raise HarnessError(f"cannot be built: {said}", where="the static program", remedy=_REMEDY)
