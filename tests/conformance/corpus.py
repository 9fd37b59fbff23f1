"""The objects that are compared by default: this project's own, compiled for an architecture, and those of others."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.conformance import foreign, gomodules, made

from everykernel import folders
from everykernel.architectures import DEFAULT, Architecture
from everykernel.kernels.debian import Archive

SOURCES = Path(__file__).with_name("sources")  # CO-RE records of every kind
PROGRAMS = Path(__file__).with_name("programs")  # programs, maps and externs of every kind
RULES = Path(__file__).with_name("rules")  # a folder for each loader that differs from libbpf, an object for each rule
WHOLES = Path(__file__).with_name("wholes")  # objects that libbpf takes as a whole, or not, each for a reason


def collect(folder: Path, arch: Architecture) -> tuple[list[foreign.Foreign], list[str]]:
    """Return all objects for an architecture, ours compiled in ``folder``, and notes on packages without any.

    Where Debian has less than for x86_64, what Go modules carry is there too.
    """
    objects, notes = foreign.collect(Archive(), arch)
    if arch is not DEFAULT:
        objects = [one for one in objects if foreign.is_of(arch, one.data)]
        objects = more(objects, gomodules.collect(arch))
    return [*objects, *own(folder, arch)], notes


def own(folder: Path, arch: Architecture = DEFAULT) -> list[foreign.Foreign]:
    """Return this project's cases and what lies beside this file, for an architecture: compiled or made."""
    paths = sorted(folders.data("cases").glob(f"*/build/{arch.name}/*.o"))
    found = [foreign.Foreign(f"cases/{path.parts[-4]}/{path.name}", path.read_bytes(), own=True) for path in paths]
    found += sources(folder, SOURCES, PROGRAMS, WHOLES, arch=arch)
    return [*found, *(one for one in made.objects() if foreign.is_of(arch, one.data))]


def sources(folder: Path, *places: Path, arch: Architecture = DEFAULT) -> list[foreign.Foreign]:
    """Return the C sources in some places, compiled in ``folder``."""
    return [compiled(source, folder, arch) for place in places for source in sorted(place.glob("*.c"))]


def compiled(source: Path, folder: Path, arch: Architecture = DEFAULT) -> foreign.Foreign:
    """Return a C source, compiled in ``folder``: they read no registers, so that only the byte order matters."""
    out = folder / f"{source.parent.name}-{source.with_suffix(f'.{arch.bpf_target}.o').name}"
    flags = ["-target", arch.bpf_target, "-g", "-O2", "-I/usr/include/x86_64-linux-gnu"]
    flags += ["-mcpu=v3"] if source.parent.parent == RULES else []
    subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)
    return foreign.Foreign(f"{source.parent.name}/{source.name}", out.read_bytes(), own=True)


def for_loaders(folder: Path, known: Sequence[foreign.Foreign], arch: Architecture = DEFAULT) -> list[foreign.Foreign]:
    """Return ``known`` and what real loaders are asked about beside it: probes of rules, and what Go modules carry."""
    probes = sources(folder, *sorted(RULES.iterdir()), arch=arch)
    return more([*known, *probes], gomodules.collect(arch))


def more(known: Sequence[foreign.Foreign], others: Sequence[foreign.Foreign]) -> list[foreign.Foreign]:
    """Return ``known`` and those of others that it does not hold."""
    have = {one.data for one in known}
    return [*known, *(one for one in others if one.data not in have)]
