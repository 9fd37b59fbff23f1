"""Compare with libbpf on many objects and kernels: ``python -m tests.conformance [relocate | load] [OBJECT…]``.

``relocate`` compares relocated instructions on the host, ``load`` verdicts in guests; without either word, both are.
``loaders`` compares, in guests, our loader by the rules of each real loader with that loader itself (``--loader``);
``reversals`` tells whether that notices each of these rules when it is turned into libbpf's. Without objects: those of
foreign packages and our own cases, each for the kernels' architecture; ``--architectures`` takes the kernels of others
than x86_64. Prints what was compared, what was left out and why, and every difference; the exit code is 1 if there is
one that is not explained, if something was left out for a reason that left_out.py does not know, if too little of the
default objects was compared, or if a reversal went unnoticed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tests.conformance import corpus, foreign, loaders, loading, relocating, reversing

from everykernel import kernels
from everykernel.architectures import ARCHITECTURES, DEFAULT, Architecture
from everykernel.loaders.names import REAL

PARTS = {
    "relocate": relocating.KERNELS,
    "load": loading.KERNELS,
    "loaders": loaders.KERNELS,
    "reversals": reversing.KERNELS,
}
OTHERS = "6.12/arm64,6.12/s390x"  # --architectures


@dataclass(frozen=True)
class Asked:
    """What one part compares.

    Attributes:
        objects: what there is for the architecture.
        given: the command line named them.
        arch: the kernels' architecture.
        specs: the kernels.
        whole: everything is compared that there is, so that there must be enough of it.
        loader: whom to compare with, "" for all.
        folder: for what is made.
        console: where it is told.
    """

    objects: Sequence[foreign.Foreign]
    given: bool
    arch: Architecture
    specs: str
    whole: bool
    loader: str
    folder: Path
    console: Console


def relocate(asked: Asked) -> bool:
    """Compare relocated instructions; return whether all is well."""
    big = []
    if asked.arch is DEFAULT and not asked.given:
        big = corpus.sources(asked.folder, corpus.SOURCES, arch=ARCHITECTURES["s390x"])
    tallies = relocating.run([*asked.objects, *big], asked.specs, asked.folder, asked.console)
    short = relocating.shortfalls(tallies) if asked.whole else ()
    return relocating.report(tallies, [o.name for o in asked.objects], short, asked.console)


def load(asked: Asked) -> bool:
    """Compare what loads; return whether all is well."""
    found = loading.run(asked.objects, asked.specs, asked.folder, asked.console)
    short = loading.shortfalls(found) if asked.whole else ()
    well = loading.report(found, asked.objects, short, asked.console)
    if asked.whole and asked.arch is DEFAULT:
        own = [o for o in asked.objects if o.own]
        found = loading.run(own, loading.GENERIC, asked.folder, asked.console)
        well &= loading.report(found, own, (), asked.console)
    return well


def by_loaders(asked: Asked) -> bool:
    """Compare what loads by the rules of real loaders with these; return whether all is well."""
    objects = asked.objects if asked.given else corpus.for_loaders(asked.folder, asked.objects, asked.arch)
    compared = loaders.run(objects, asked.specs, loaders.choose(asked.loader), asked.console)
    short = loaders.shortfalls(compared) if asked.whole else ()
    return loading.report(compared, objects, short, asked.console, loaders.TABLE)


def reverse(asked: Asked) -> bool:
    """Reverse rules; return whether all were noticed."""
    probes = [] if asked.given else corpus.sources(asked.folder, *sorted(corpus.RULES.iterdir()))
    objects = [*probes, *(one for one in asked.objects[::-1] if one.own or asked.given)]
    return reversing.run(objects, asked.specs, loaders.choose(asked.loader or "ebpf-go,aya"), asked.console)


DO = {"relocate": relocate, "load": load, "loaders": by_loaders, "reversals": reverse}


def by_architecture(specs: str) -> dict[str, str]:
    """Return kernels by their architecture, in order."""
    found: dict[str, list[str]] = {}
    for resolved in kernels.resolve(specs):
        found.setdefault(resolved.arch.name, []).append(resolved.spec)
    return {arch: ",".join(here) for arch, here in found.items()}


def run(parts: Sequence[str], arguments: argparse.Namespace, console: Console) -> bool:
    """Run the comparisons, each in a folder of its own an architecture; return whether all is well."""
    well = True
    wanted = arguments.kernels or (OTHERS if arguments.architectures else "")
    for part in parts:
        for name, specs in by_architecture(wanted or PARTS[part]).items():
            arch = ARCHITECTURES[name]
            with tempfile.TemporaryDirectory() as folder:
                if arguments.objects:
                    objects = [foreign.Foreign(str(path), path.read_bytes()) for path in arguments.objects]
                else:
                    objects, notes = corpus.collect(Path(folder), arch)
                    for note in notes:
                        console.print(f"note: {note}")
                whole = not (arguments.objects or arguments.kernels)
                given = bool(arguments.objects)
                asked = Asked(objects, given, arch, specs, whole, arguments.loader, Path(folder), console)
                well &= DO[part](asked)
    return well


def main(words: list[str]) -> int:
    """Run the comparisons and print them; return the exit code."""
    parts = [words.pop(0)] if words and words[0] in PARTS else ["relocate", "load"]
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance [relocate | load | loaders | reversals]", description=__doc__
    )
    parser.add_argument("objects", nargs="*", type=Path, help="compiled objects (default: foreign ones and our cases)")
    parser.add_argument("--kernels", help=f"default: {PARTS}")
    parser.add_argument("--architectures", action="store_true", help=f"on {OTHERS}, each with the objects for it")
    parser.add_argument("--loader", default="", help=f"with loaders: whom to compare with (default: {','.join(REAL)})")
    return 0 if run(parts, parser.parse_args(words), Console(highlight=False, soft_wrap=True)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
