"""Relocate many objects as we do and as libbpf does: against kernels' BTFs, with their modules' BTFs, and big-endian.

As libbpf does it, a supplied BTF stands alone, and the kernel's own is searched together with those of its modules:
these are asked for what vmlinux lacks only, so that objects that vmlinux satisfies are not compared twice.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from tests.conformance import emulated, left_out, libbpf, relocations
from tests.conformance.differences import stale, table, unexplained
from tests.conformance.foreign import Foreign, enough
from tests.conformance.references import REFERENCES, Reference
from tests.conformance.relocations import Tally

from everykernel import core, kernels
from everykernel.architectures import ARCHITECTURES, Architecture
from everykernel.btf import Btf, image
from everykernel.core.refusal import Refused
from everykernel.errors import EverykernelError
from everykernel.images.modules import content
from everykernel.kernels.debian import Archive
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.object import read
from everykernel.object.spec import ObjectSpec

KERNELS = "5.10,6.1,6.12,6.16,6.18,7.3"
BIG = "6.12/s390x"  # where big-endian objects are relocated beside others
MOST = 0.02  # of the programs that are compared may be left out beside them
_OUTCOMES = (core.PATCHED, core.POISONED, core.FAILED)


@dataclass(frozen=True)
class Parsed:
    """An object with CO-RE records: where it is for libbpf, and as we read it."""

    object: Foreign
    path: Path
    spec: ObjectSpec


@dataclass(frozen=True)
class Column:
    """A target: for libbpf as files, for us parsed; ``name`` is printed."""

    name: str
    target: core.Target
    files: libbpf.Files


def parse(objects: Iterable[Foreign], folder: Path, oracle: libbpf.Oracle, tally: Tally) -> list[Parsed]:
    """Return the objects that hold CO-RE records, written to ``folder``; count the others."""
    found: list[Parsed] = []
    nothing = Path(os.devnull)
    for number, obj in enumerate(objects):
        path = folder / f"{number}.o"
        path.write_bytes(obj.data)
        try:
            spec = read(obj.data, obj.name)
        except EverykernelError as e:
            verdicts = oracle.relocate(path, libbpf.Files(nothing, nothing))
            words = verdicts if isinstance(verdicts, str) else f"libbpf opens it, and we do not: {e.message}"
            relocations.leave_out(words, left_out.OBJECTS + left_out.UNSOUND, tally, obj.name)
            continue
        if any(function.core for function in spec.functions.values()):
            found.append(Parsed(obj, path, spec))
        elif not _core_length(obj):
            tally.left_out[left_out.NO_RECORD] += 1
        else:
            tally.uncompared.append(f"{obj.name}: its .BTF.ext has CO-RE records, and we see none")
    return found


def _core_length(obj: Foreign) -> int:
    """Return the size of the CO-RE table that the header of .BTF.ext promises (struct btf_ext_header of libbpf)."""
    header = image.section(obj.data, ".BTF.ext", name=obj.name) or b""
    order = "<" if header[:1] == b"\x9f" else ">"
    if len(header) < 32 or struct.unpack_from(f"{order}I", header, 4)[0] < 32:
        return 0
    length: int = struct.unpack_from(f"{order}I", header, 28)[0]
    return length


def modules(kernel: Kernel, folder: Path) -> dict[str, Path]:
    """Write the BTF of each of a kernel's modules to ``folder``, in files named like the modules; return them."""
    found: dict[str, Path] = {}
    folder.mkdir()
    paths = sorted(kernel.modules.rglob("*.ko*")) if kernel.modules is not None else []
    with ThreadPoolExecutor() as pool:  # most of them are compressed
        for path, raw in zip(paths, pool.map(lambda p: image.extract(content(p), name=str(p)), paths), strict=True):
            if raw is not None:
                name = path.name.split(".ko")[0].replace("-", "_")
                found[name] = folder / name
                found[name].write_bytes(raw)
    return found


def asks_modules(spec: ObjectSpec, vmlinux: core.Target) -> bool:
    """Whether a record of the object is of a type that vmlinux lacks."""
    assert spec.btf is not None
    for function in spec.functions.values():
        for _, record in function.core:
            with contextlib.suppress(Refused):
                if not vmlinux.candidates(spec.btf, record.type_id):
                    return True
    return False


def compare(objects: Sequence[Parsed], column: Column, oracle: libbpf.Oracle, tally: Tally, console: Console) -> None:
    """Compare objects in one column."""
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda obj: oracle.relocate(obj.path, column.files), objects)
        pairs = zip(objects, answers, strict=True)
        for obj, verdicts in track(pairs, column.name, len(objects), console=console):
            before = tally.programs
            if relocations.compare(obj.spec, verdicts, column.target, tally, column.name):
                all_of_it = oracle.relocate(obj.path, column.files, together=True)
                assert not isinstance(all_of_it, str)
                relocations.compare_together(obj.spec, all_of_it, column.target, tally, column.name)
            if tally.programs > before and not obj.object.own:
                tally.foreign[column.name] += 1


def run(objects: Sequence[Foreign], specs: str, folder: Path, console: Console) -> list[Tally]:
    """Compare all objects on all kernels with each reference that knows them, in ``folder``.

    Return a tally for each way to have BTF, and reference.
    """
    series = [resolved.series for resolved in kernels.resolve(specs)]
    asked = [reference for reference in REFERENCES if any(map(reference.knows_series, series))]
    return [tally for r in asked for tally in _run(objects, specs, r, folder / r.version, console)]


def _run(objects: Sequence[Foreign], specs: str, reference: Reference, folder: Path, console: Console) -> list[Tally]:
    """Compare all objects on the kernels that one reference knows, and big-endian ones on ``BIG`` where none is."""
    titles = ("kernels' BTF", "with modules' BTF", "big-endian")
    alone, together, big = (Tally(f"{reference}, {title}", reference.version) for title in titles)
    folder.mkdir()
    oracles = Oracles(reference, folder)
    resolved = [found for found in kernels.resolve(specs) if reference.knows_series(found.series)]
    parsed = parse(objects, folder, oracles.of(resolved[0].arch), alone)
    console.print(f"{len(parsed)} objects with CO-RE records, {reference}, kernels {specs}")
    kallsyms = folder / "kallsyms"
    names = {e.name for p in parsed for e in p.spec.externs.values() if not e.function}
    kallsyms.write_text("".join(f"ffffffff81000000 D {name}\n" for name in sorted(names)))
    for found in resolved:
        alone.kernels.append(found.spec)
        _on_kernel(found, parsed, kallsyms, oracles.of(found.arch), (alone, together), console)
    orders = {found.arch.byteorder for found in resolved}
    if {p.spec.byteorder for p in parsed} - orders != {"big"}:
        return [alone, together]
    (found,) = kernels.resolve(BIG)
    _on_kernel(found, parsed, kallsyms, oracles.of(found.arch), (big, big), console)
    return [alone, together, big]


class Oracles:
    """libbpf of one version, for each byte order: built when it is first asked for, below a folder."""

    def __init__(self, reference: Reference, folder: Path) -> None:
        self.reference = reference
        self.folder = folder
        self._made: dict[str, libbpf.Oracle] = {}

    def of(self, arch: Architecture) -> libbpf.Oracle:
        """Return the one that relocates objects of an architecture: records say nothing of it but the byte order."""
        if arch.byteorder not in self._made:
            archive = Archive()
            by = ARCHITECTURES[{"little": "x86_64", "big": "s390x"}[arch.byteorder]]
            machine = emulated.machine(archive, by, self.folder)
            self._made[arch.byteorder] = libbpf.Oracle(archive, self.folder, self.reference, machine)
        return self._made[arch.byteorder]


def _on_kernel(
    resolved: ResolvedKernel,
    parsed: Sequence[Parsed],
    kallsyms: Path,
    oracle: libbpf.Oracle,
    tallies: tuple[Tally, Tally],
    console: Console,
) -> None:
    """Compare the objects of a kernel's byte order with its types alone, and with its modules' where asked for."""
    alone, together = tallies
    kernel, folder = resolved.fetch(), kallsyms.parent
    raw = kernels.btf(kernel)
    if raw is None:
        raise SystemExit(f"{resolved.spec} has no BTF")
    btf, vmlinux = folder / f"{resolved.release}.btf", Btf.parse(raw)
    btf.write_bytes(raw)
    column = Column(resolved.spec, core.Target(vmlinux), libbpf.Files(btf, kallsyms, kernel.config))
    here = [p for p in parsed if p.spec.byteorder == resolved.arch.byteorder]
    compare(here, column, oracle, alone, console)
    asking = [p for p in here if asks_modules(p.spec, column.target)]
    found = modules(kernel, folder / resolved.release) if asking else {}
    if found:
        vmlinux.index.build()
        target = core.Target(vmlinux, lambda: _split(found, vmlinux))
        files = libbpf.Files(btf, kallsyms, kernel.config, tuple(found.values()))
        compare(asking, Column(f"{resolved.spec} and {len(found)} modules", target, files), oracle, together, console)


def _split(found: Mapping[str, Path], vmlinux: Btf) -> Iterator[Btf]:
    return (Btf.parse(path.read_bytes(), base=vmlinux, name=name) for name, path in found.items())


def shortfalls(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield what a comparison of the default objects on the default kernels has too little of to prove anything."""
    for tally in tallies:
        for outcome in _OUTCOMES:
            if not tally.outcomes[outcome]:
                yield f"{tally.title}: no relocation that is {outcome} was compared"
        without = sum(tally.left_out[reason.name] for reason in left_out.PROGRAMS)
        if without > MOST * tally.programs:
            yield f"{tally.title}: {without} programs were left out, and {tally.programs} compared"
        for one in left_out.OBJECTS + left_out.UNSOUND:
            count, most = tally.left_out[one.name], one.most * max(len(tally.kernels), 1)
            if count > most:
                yield f"{tally.title}: {count} objects were left out, not at most {most}: {one.name}"
        for spec in tally.kernels:
            if tally.foreign[spec] < enough(spec):
                count, least = tally.foreign[spec], enough(spec)
                yield f"{tally.title}: only {count} foreign objects were compared on {spec}, not {least}"


def report(tallies: Sequence[Tally], objects: Sequence[str], short: Iterable[str], console: Console) -> bool:
    """Print what was found of objects (by name); return whether all is well."""
    entries = [entry for entry in table() if entry.of_relocations]
    for tally in tallies:
        for reason, count in tally.left_out.most_common():
            console.print(f"{tally.title}: left out: {count:5} {reason}")
        total, counts = sum(tally.outcomes.values()), ", ".join(f"{tally.outcomes[o]} {o}" for o in _OUTCOMES)
        console.print(
            f"{tally.title}: {tally.programs} programs, {total} relocations compared ({counts}), "
            f"{tally.objects} objects as a whole, {len(tally.differences)} differences"
        )
    differences = [d for tally in tallies for d in tally.differences]
    compared = {(tally.reference, spec) for tally in tallies for spec in tally.kernels}
    wrong = [f"DIFFERENCE {d}" for d in unexplained(differences, entries)]
    wrong += [f"STALE ENTRY {text}" for text in stale(differences, entries, objects, compared)]
    wrong += [f"NOT COMPARED {text}" for tally in tallies for text in tally.uncompared]
    wrong += [f"TOO LITTLE {text}" for text in short]
    for text in wrong:
        console.print(text)
    return not wrong
