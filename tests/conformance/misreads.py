"""Misreads of many objects on kernels, as they are and changed under them: ``python -m tests.conformance.misreads``.

Each alarm on a foreign object has to stand in JUDGED, read by hand and found true: one that does not, and one that
stands there and is not told any more, make the exit code 1. So does a change of a field under a probed read that is not
told, or one that only moves it and is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from tests import idiomatic
from tests.conformance import foreign, mutations, relocating

from everykernel import core, wire
from everykernel.cli.misreads import Looking
from everykernel.cli.sources import Source, sources
from everykernel.core.explain import Explanation, explain, together
from everykernel.core.spec import parse
from everykernel.errors import EverykernelError
from everykernel.kernels.debian import Archive
from everykernel.object import ObjectSpec, read

READS = 200  # probed reads under which a kernel's types are changed
CHANGED = "6.12"  # the kernel whose types are
# (access, what it is taken for) of the alarms in foreign.PACKAGES, each with why it is true.
JUDGED = {
    # opensnitch takes the context of execveat for that of execve: its first argument is a descriptor, on every kernel.
    ("struct trace_sys_enter_execveat.filename", "char *filename at byte 16, 8 bytes"),
    ("struct trace_sys_enter_execveat.argv", "const char *const *argv at byte 24, 8 bytes"),
}


def parsed(objects: Iterable[foreign.Foreign]) -> list[ObjectSpec]:
    """Return the little-endian objects that can be read and have types."""
    found = []
    for obj in objects:
        try:
            spec = read(obj.data, obj.name)
        except EverykernelError:
            continue
        if spec.btf is not None and spec.byteorder == "little":
            found.append(spec)
    return found


def look(specs: list[ObjectSpec], source: Source, console: Console) -> list[wire.Misread]:
    """Look at all objects on one kernel; print what was counted, and each alarm."""
    counts: Counter[str] = Counter()
    alarms: list[wire.Misread] = []
    for spec in specs:
        assert spec.btf is not None
        session, looking = core.Session(spec.btf, core.Target(source.btf)), Looking(spec, source)
        for program in spec.programs:
            looking.add(program, core.relocate_program(spec, program, session))
        counts.update(looking.counts)
        for misread in looking.misreads:
            console.print(f"{source.label}: {spec.name}: {misread}", markup=False)
        alarms += looking.misreads
    console.print(
        f"{source.label}: {len(specs)} objects, {counts['programs']} programs, {counts['looked at']} accesses looked "
        f"at, {counts['not judged']} not judged, {len(alarms)} alarms"
    )
    return alarms


def remedies(specs: list[ObjectSpec], found: list[Source], folder: Path, console: Console) -> bool:
    """Compile the C that is proposed for each refusal, relocate it on every kernel, and return whether all of it fits.

    Raises CalledProcessError where clang refuses one.
    """
    idioms, refusals, well = {}, 0, True
    targets = [core.Target(source.btf) for source in found]
    for spec in specs:
        assert spec.btf is not None
        told: dict[str, list[Explanation]] = {}
        fixups: dict[str, core.Fixup] = {}
        seen: set[tuple[str, core.Target]] = set()
        for target in targets:
            session = core.Session(spec.btf, target)
            for program in spec.programs:
                for applied in core.relocate_program(spec, program, session).applied:
                    fixup = applied.fixup
                    if fixup.outcome != core.PATCHED and (fixup.access, target) not in seen:
                        others = [t for t in targets if t is not target]
                        told.setdefault(fixup.access, []).append(explain(fixup, spec.btf, target, others))
                        fixups[fixup.access] = fixup
                        seen.add((fixup.access, target))
        for access, explanations in told.items():
            refusals += 1
            idiom = together(explanations, fixups[access], spec.btf)
            if idiom:
                renames = tuple(dict.fromkeys(e.rename for e in explanations if e.rename is not None))
                idioms[idiom, access] = (parse(fixups[access].record, spec.btf), renames)
    for (idiom, access), (path, renames) in idioms.items():
        made = idiomatic.compiled(idiom, path, renames, folder)
        for source, target in zip(found, targets, strict=True):
            for failure in idiomatic.failures(made, target):
                console.print(f"{source.label}: the remedy for {access}: {failure}", markup=False)
                well = False
    console.print(
        f"{refusals} refused accesses, {len(idioms)} different remedies, all of which clang-19 takes, relocated on "
        f"{len(found)} kernels"
    )
    return well


def main(words: list[str]) -> int:
    """Run it, print it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.misreads", description=__doc__)
    parser.add_argument("objects", nargs="*", type=Path, help="compiled objects (default: foreign ones)")
    parser.add_argument("--kernels", default=relocating.KERNELS)
    arguments = parser.parse_args(words)
    console = Console(highlight=False, soft_wrap=True)
    given = [foreign.Foreign(str(path), path.read_bytes()) for path in arguments.objects]
    specs = parsed(given or foreign.collect(Archive())[0])
    found = list(sources(arguments.kernels.split(",")))
    alarms = [alarm for source in found for alarm in look(specs, source, console)]
    told = {(alarm["access"], alarm["taken"]) for alarm in alarms}
    well = bool(given) or told == JUDGED
    for access, taken in sorted(told ^ JUDGED) if not given else ():
        console.print(f"{'not judged yet' if (access, taken) in told else 'no alarm any more'}: {access}: {taken}")
    with tempfile.TemporaryDirectory() as name:
        well &= remedies(specs, found, Path(name), console)
    vmlinux = next(source.btf for source in sources([CHANGED]))
    reads = mutations.probed(specs, vmlinux)[:READS]
    tried, alarmed, wrong = mutations.measure(reads)
    for change in mutations.CHANGES:
        console.print(f"{CHANGED}, {change} changed under {tried[change]} probed reads: {alarmed[change]} alarms")
    for line in wrong:
        console.print(line, markup=False)
    return int(not well or bool(wrong) or (not given and len(reads) < READS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
