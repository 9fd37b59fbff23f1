"""Compare with libbpf on many objects and kernels: ``python -m tests.conformance [relocate | load] [OBJECT…]``.

``relocate`` compares relocated instructions on the host, ``load`` verdicts in guests; without either word, both are.
``loaders`` compares, in guests, our loader by the rules of each real loader with that loader itself (``--loader``);
``reversals`` tells whether that notices each of these rules when it is turned into libbpf's. Without objects: those of
foreign packages and our own cases. Prints what was compared, what was left out and why, and every difference; the exit
code is 1 if there is one that is not explained, if something was left out for a reason that left_out.py does not know,
if too little of the default objects was compared, or if a reversal went unnoticed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from tests.conformance import foreign, gomodules, loaders, loading, made, relocating, reversing

from everykernel import folders
from everykernel.kernels.debian import Archive
from everykernel.loaders.names import REAL

PARTS = {
    "relocate": relocating.KERNELS,
    "load": loading.KERNELS,
    "loaders": loaders.KERNELS,
    "reversals": reversing.KERNELS,
}

SOURCES = Path(__file__).with_name("sources")  # CO-RE records of every kind
PROGRAMS = Path(__file__).with_name("programs")  # programs, maps and externs of every kind
RULES = Path(__file__).with_name("rules")  # a folder for each loader that differs from libbpf, an object for each rule
WHOLES = Path(__file__).with_name("wholes")  # objects that libbpf takes as a whole, or not, each for a reason


def own_objects(folder: Path) -> list[foreign.Foreign]:
    """Return this project's cases for x86_64 and what lies beside this file, compiled in ``folder`` or made."""
    paths = sorted(folders.data("cases").glob("*/build/x86_64/*.o"))
    found = [foreign.Foreign(f"cases/{path.parts[-4]}/{path.name}", path.read_bytes(), own=True) for path in paths]
    return [*found, *sources(folder, SOURCES, PROGRAMS, WHOLES), *made.objects()]


def sources(folder: Path, *places: Path, target: str = "bpf") -> list[foreign.Foreign]:
    """Return the C sources in some places, compiled in ``folder`` (``bpfeb``: big-endian)."""
    return [compiled(source, folder, target) for place in places for source in sorted(place.glob("*.c"))]


def compiled(source: Path, folder: Path, target: str) -> foreign.Foreign:
    """Return a C source, compiled in ``folder``."""
    out = folder / f"{source.parent.name}-{source.with_suffix(f'.{target}.o').name}"
    flags = ["-target", target, "-g", "-O2", "-I/usr/include/x86_64-linux-gnu"]
    flags += ["-mcpu=v3"] if source.parent.parent == RULES else []
    subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)
    return foreign.Foreign(f"{source.parent.name}/{source.name}", out.read_bytes(), own=True)


def more_for_loaders(folder: Path, known: Sequence[foreign.Foreign]) -> list[foreign.Foreign]:
    """Return what real loaders are asked about beside ``known``: the probes of rules, and what Go modules carry."""
    have = {one.data for one in known}
    return [*sources(folder, *sorted(RULES.iterdir())), *(one for one in gomodules.collect() if one.data not in have)]


def main(words: list[str]) -> int:
    """Run the comparisons and print them; return the exit code."""
    parts = [words.pop(0)] if words and words[0] in PARTS else ["relocate", "load"]
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance [relocate | load | loaders | reversals]", description=__doc__
    )
    parser.add_argument("objects", nargs="*", type=Path, help="compiled objects (default: foreign ones and our cases)")
    parser.add_argument("--kernels", help=f"default: {PARTS}")
    parser.add_argument("--loader", default="", help=f"with loaders: whom to compare with (default: {','.join(REAL)})")
    arguments = parser.parse_args(words)
    console = Console(highlight=False, soft_wrap=True)
    well = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.objects:
            objects = [foreign.Foreign(str(path), path.read_bytes()) for path in arguments.objects]
        else:
            objects, notes = foreign.collect(Archive())
            objects += own_objects(folder)
            for note in notes:
                console.print(f"note: {note}")
        for part in parts:
            specs = arguments.kernels or PARTS[part]
            whole = not (arguments.objects or arguments.kernels)
            if part == "relocate":
                big = [] if arguments.objects else sources(folder, SOURCES, target="bpfeb")
                tallies = relocating.run([*objects, *big], specs, folder, console)
                short = relocating.shortfalls(tallies) if whole else ()
                well &= relocating.report(tallies, [o.name for o in objects], short, console)
            elif part == "loaders":
                asked = objects if arguments.objects else [*objects, *more_for_loaders(folder, objects)]
                compared = loaders.run(asked, specs, loaders.choose(arguments.loader), console)
                short = loaders.shortfalls(compared, foreign.ENOUGH) if whole else ()
                well &= loading.report(compared, asked, short, console, loaders.TABLE)
            elif part == "reversals":
                probes = [] if arguments.objects else sources(folder, *sorted(RULES.iterdir()))
                asked = [*probes, *(one for one in objects[::-1] if one.own or arguments.objects)]
                well &= reversing.run(asked, specs, loaders.choose(arguments.loader or "ebpf-go,aya"), console)
            else:
                found = loading.run(objects, specs, folder, console)
                short = loading.shortfalls(found) if whole else ()
                well &= loading.report(found, objects, short, console)
                if whole:
                    own = [o for o in objects if o.own]
                    found = loading.run(own, loading.GENERIC, folder, console)
                    well &= loading.report(found, own, (), console)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
