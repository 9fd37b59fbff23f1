"""Compare with libbpf on many objects and kernels: ``python -m tests.conformance [relocate | load] [OBJECT…]``.

``relocate`` compares relocated instructions on the host, ``load`` verdicts in guests; without either word, both are.
Without objects: those of foreign packages and our own cases. Prints what was compared, what was left out and why, and
every difference; the exit code is 1 if there is one that is not explained.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track
from tests.conformance import foreign, libbpf, loading, relocations

from everykernel import core, folders, kernels
from everykernel.btf import Btf
from everykernel.errors import EverykernelError
from everykernel.kernels.debian import Archive
from everykernel.object import read
from everykernel.object.spec import ObjectSpec

KERNELS = "5.10,6.1,6.12,6.16,6.18,7.3"
PARTS = {"relocate": KERNELS, "load": loading.KERNELS}

SOURCES = Path(__file__).with_name("sources")  # CO-RE records of every kind
PROGRAMS = Path(__file__).with_name("programs")  # programs, maps and externs of every kind


def own_objects(folder: Path) -> list[foreign.Foreign]:
    """Return this project's cases for x86_64 and what lies beside this file, compiled in ``folder``."""
    paths = sorted(folders.data("cases").glob("*/build/x86_64/*.o"))
    found = [foreign.Foreign(f"cases/{path.parts[-4]}/{path.name}", path.read_bytes()) for path in paths]
    for source in sorted([*SOURCES.glob("*.bpf.c"), *PROGRAMS.glob("*.bpf.c")]):
        out = folder / source.with_suffix(".o").name
        flags = ["-target", "bpf", "-g", "-O2", "-I/usr/include/x86_64-linux-gnu"]
        subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)
        found.append(foreign.Foreign(f"{source.parent.name}/{source.name}", out.read_bytes()))
    return found


def readable(objects: Iterable[foreign.Foreign], tally: relocations.Tally) -> dict[str, tuple[bytes, ObjectSpec]]:
    """Return the objects that hold CO-RE records, parsed; count the others."""
    found: dict[str, tuple[bytes, ObjectSpec]] = {}
    for obj in objects:
        try:
            spec = read(obj.data, obj.name)
        except EverykernelError as e:
            tally.left_out[f"object: not read by us: {e.message.split(':')[-1].strip()}"] += 1
            continue
        if any(function.core for function in spec.functions.values()):
            found[f"{len(found):03} {obj.name}"] = (obj.data, spec)
        else:
            tally.left_out["object: no CO-RE record"] += 1
    return found


def run(objects: list[foreign.Foreign], specs: str, folder: Path, console: Console) -> relocations.Tally:
    """Compare all objects against all kernels in ``folder``; return the tally."""
    archive = Archive()
    oracle = libbpf.Oracle(archive, folder)
    tally = relocations.Tally()
    parsed = readable(objects, tally)
    console.print(f"{len(parsed)} objects with CO-RE records, {oracle.version}, kernels {specs}")
    kallsyms = folder / "kallsyms"
    names = {e.name for _, spec in parsed.values() for e in spec.externs.values() if not e.function}
    kallsyms.write_text("".join(f"ffffffff81000000 D {name}\n" for name in sorted(names)))
    for number, (data, _) in enumerate(parsed.values()):
        (folder / f"{number}.o").write_bytes(data)
    for resolved in kernels.resolve(specs):
        raw = kernels.btf(resolved.fetch())
        if raw is None:
            raise SystemExit(f"{resolved.spec} has no BTF")
        path = folder / f"{resolved.release}.btf"
        path.write_bytes(raw)
        target = core.Target(Btf.parse(raw))
        with ThreadPoolExecutor() as pool:
            answers = pool.map(lambda n: oracle.relocate(folder / f"{n}.o", path, kallsyms), range(len(parsed)))  # noqa: B023
            pairs = zip(parsed.items(), answers, strict=True)
            for (name, (_, spec)), verdicts in track(pairs, resolved.spec, len(parsed), console=console):
                if isinstance(verdicts, str):
                    tally.left_out[
                        f"object on kernel: libbpf does not open it: {verdicts.removeprefix('libbpf: ')}"
                    ] += 1
                else:
                    relocations.compare(spec, verdicts, target, tally, f"{name} on {resolved.spec}")
    return tally


def report(tally: relocations.Tally, console: Console) -> bool:
    """Print what was found; return whether all is well."""
    for reason, count in tally.left_out.most_common():
        console.print(f"left out: {count:5} {reason}")
    for difference in tally.differences:
        console.print(f"DIFFERENCE {difference}")
    total = sum(tally.outcomes.values())
    parts = ", ".join(f"{tally.outcomes[o]} {o}" for o in (core.PATCHED, core.POISONED, core.FAILED))
    console.print(
        f"{tally.programs} programs, {total} relocations compared ({parts}), {len(tally.differences)} differences"
    )
    return not tally.differences


def main(words: list[str]) -> int:
    """Run the comparisons and print them; return the exit code."""
    parts = [words.pop(0)] if words and words[0] in PARTS else list(PARTS)
    parser = argparse.ArgumentParser(prog="python -m tests.conformance [relocate | load]", description=__doc__)
    parser.add_argument("objects", nargs="*", type=Path, help="compiled objects (default: foreign ones and our cases)")
    parser.add_argument("--kernels", help=f"default: {PARTS}")
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
            if part == "relocate":
                well &= report(run(objects, specs, folder, console), console)
            else:
                well &= loading.report(loading.run(objects, specs, folder, console), objects, specs, console)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
