"""Load objects with our loader and with libbpf in the same guest, and compare what they made of them.

A pair is a program of an object on a kernel, or the object as a whole there, with one version of libbpf. Two verdicts
on a program agree if both loaders load it, or both do not; where the kernel refused what either of them asked for, its
errno has to be the same too. Two verdicts on a whole object agree if both load it, or both give up with the same
errno at the same program or map. Each object has a fresh guest on each kernel. A pair that differs must be in
differences.toml, an entry there that fits no pair is stale, and both fail the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from tests.conformance import emulated, left_out, libbpf
from tests.conformance.differences import ALLOWED, TABLE, WHOLE, Difference, Entry, stale, table, title, unexplained
from tests.conformance.foreign import Foreign, enough
from tests.conformance.references import REFERENCES
from tests.conformance.verdicts import (
    BOTH_LOADED,
    BY_LOADER,
    SAME_ERRNO,
    WHOLE_LOADED,
    WHOLE_REFUSED,
    Answer,
    Verdict,
    agreement,
    our_answer,
    paired,
    parse,
    programs_with,
    whole_agreement,
)

from everykernel import kernels, wire
from everykernel.errors import CaseTimeout, EverykernelError, GuestError
from everykernel.images.modules import Tree
from everykernel.kernels.debian import Archive
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines, slots
from everykernel.machine.guest import Guest
from everykernel.machine.spec import MachineSpec
from everykernel.object.spec import EXTERN, EXTERN_CALL

KERNELS = "5.10,6.1,6.12,6.18,7.3"
GENERIC = "7.3+generic"  # what the cloud flavours leave out, for our own objects: input devices
_PATIENCE = 900.0  # seconds for an object: a million instructions take an emulated verifier minutes
_MODULES = ("nf_conntrack", "nf_flow_table", "hid")  # whose functions and types objects ask for


@dataclass
class Tally:
    """What was compared with one reference on one kernel.

    Attributes:
        reference: its version.
        kernel: the spec.
        cells: objects that both loaders opened.
        foreign: those that are of others.
        pairs: verdicts on programs compared, by what both say.
        wholes: verdicts on whole objects compared, likewise.
        left_out: programs or objects that cannot be compared, by a reason of left_out.py.
        uncompared: those that could not be compared for another reason, one line each.
        differences: pairs that differ.
        broken: guests that did not survive an object.
    """

    reference: str = ""
    kernel: str = ""
    cells: int = 0
    foreign: int = 0
    pairs: Counter[str] = field(default_factory=Counter)
    wholes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    uncompared: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What was compared with, and where."""
        return f"{title(self.reference)} on {self.kernel}"

    @property
    def programs(self) -> int:
        """How many programs were compared."""
        return sum(self.pairs.values()) + sum(d.program != WHOLE for d in self.differences)

    @property
    def objects(self) -> int:
        """How many whole objects were compared."""
        return sum(self.wholes.values()) + sum(d.program == WHOLE for d in self.differences)

    def excused(self, entries: Sequence[Entry]) -> int:
        """Return how many differences stand in the table."""
        return len(self.differences) - len(unexplained(self.differences, entries))

    def share(self, entries: Sequence[Entry]) -> float:
        """Return what part of all pairs, those left out among them, stands in the table."""
        return self.excused(entries) / max(self.programs + self.objects + sum(self.left_out.values()), 1)


# -------------------------------------------------------------------------------------------------------- comparing


def compare(obj: Foreign, ours: Answer, theirs: Answer, tally: Tally) -> None:
    """Compare two answers about one object and add what was found to the tally."""
    _compare_whole(obj, ours, theirs, tally)
    reason = incomparable(theirs)
    if theirs.unopened and ours.unopened and not reason:
        reason = left_out.reason(theirs.unopened, left_out.UNSOUND)
        if not reason:
            tally.uncompared.append(f"{obj.name} on {tally.kernel}: {theirs.unopened}; ours: {ours.unopened}")
            return
    if reason:
        tally.left_out[f"object: {reason}"] += 1
        return
    if not theirs.unopened and not ours.unopened:
        tally.cells += 1
        tally.foreign += not obj.own
    for key, mine, his in paired(ours, theirs):
        same = agreement(mine, his)
        if same:
            tally.pairs[same] += 1
        elif mine.loaded and for_others_extern(obj, key[0], ours, his):
            tally.left_out[f"program: {left_out.OTHERS_EXTERN}"] += 1
        elif mine.loaded and _for_others_btf(ours, his):
            tally.left_out[f"program: {left_out.OTHERS_BTF}"] += 1
        else:
            tally.differences.append(Difference(tally.reference, obj.name, key[0], tally.kernel, mine, his))


def _compare_whole(obj: Foreign, ours: Answer, theirs: Answer, tally: Tally) -> None:
    """Compare the verdicts on the object as a whole; nothing is left out but what we cannot even read."""
    if theirs.whole is None:
        tally.uncompared.append(f"{obj.name} on {tally.kernel}, as a whole: libbpf says nothing: {theirs.unopened}")
    elif ours.whole is None:
        reason = left_out.reason(theirs.whole.words, left_out.UNSOUND + left_out.OBJECTS)
        if theirs.whole.errno and reason:
            tally.wholes["refused as a whole by libbpf, unreadable for us"] += 1
        else:
            tally.uncompared.append(f"{obj.name} on {tally.kernel}, as a whole: {theirs.whole}; ours: {ours.unopened}")
    else:
        same = whole_agreement(ours.whole, theirs.whole)
        if same:
            tally.wholes[same] += 1
        else:
            found = Difference(tally.reference, obj.name, WHOLE, tally.kernel, ours.whole, theirs.whole)
            tally.differences.append(found)


def for_others_extern(obj: Foreign, program: str, ours: Answer, theirs: Verdict) -> bool:
    """Whether libbpf gave up for an extern that this program does not use, and we refuse those that do."""
    found = left_out.EXTERN.search(theirs.words) if theirs.who == BY_LOADER else None
    if found is None:
        return False
    users = programs_with(obj, (EXTERN, EXTERN_CALL), [found["name"]])
    refused = {name for (name, _), verdict in ours.programs.items() if verdict.who == BY_LOADER}
    return program not in users and bool(users) and refused.issuperset(users)


def _for_others_btf(ours: Answer, theirs: Verdict) -> bool:
    """Whether libbpf gave up for want of the kernel's BTF, and we refuse other programs of the object for that."""
    refused = [verdict.words for verdict in ours.programs.values() if verdict.who == BY_LOADER]
    return bool(left_out.NO_BTF.search(theirs.words)) and any("BTF" in words for words in refused)


def incomparable(theirs: Answer) -> str:
    """Return why libbpf's answer about an object's programs says nothing about the kernel, "" if it does."""
    words = [theirs.unopened, *(v.words for v in theirs.programs.values() if v.who == BY_LOADER)]
    return next(filter(None, (left_out.reason(said, left_out.OBJECTS) for said in words)), "")


# ----------------------------------------------------------------------------------------------------------- asking


def _ask(guest: Guest, loaders: Sequence[libbpf.Loader], obj: Foreign) -> list[Answer]:
    """Return each reference's answer about an object and, last, ours, all from this guest."""
    path, answers = "/tmp/prog.bpf.o", []
    guest.push(path, obj.data)
    for loader in loaders:
        program = f"/tmp/libbpf-{loader.reference.version}"
        guest.push(program, loader.content, mode=0o755)
        ran = guest.run([program, path], timeout=_PATIENCE)
        said = parse(ran.stdout.decode("utf-8", "replace"))
        answers.append(said.get(path, Answer({}, f"no answer: {ran.stderr[-200:]!r}")))
    loaded = guest.request(wire.Load(obj.name, obj.data), _PATIENCE)
    assert isinstance(loaded, wire.Loaded)
    return [*answers, our_answer(obj, loaded)]


def machine_for(kernel: Kernel) -> MachineSpec:
    """Return the guest for several loaders, one after the other: the kernel frees large maps when it finds the time."""
    tree = Tree(kernel)
    return MachineSpec(memory=512, modules=tuple(name for name in _MODULES if tree.has_file(name)))


def _asked(
    machines: Machines, kernel: Kernel, machine: MachineSpec, loaders: Sequence[libbpf.Loader], obj: Foreign
) -> list[Answer] | EverykernelError:
    """Ask about one object in a fresh guest."""
    try:
        with slots.slot(), machines.start(kernel, machine) as guest:
            return _ask(guest, loaders, obj)
    except (GuestError, CaseTimeout) as e:
        return e


def run(objects: Sequence[Foreign], specs: str, folder: Path, console: Console) -> list[Tally]:
    """Compare all objects on all kernels with each reference that knows them; ``folder`` is where libbpf is built.

    The kernels are of one architecture.
    """
    archive = Archive()
    resolved = kernels.resolve(specs)
    known = [r for r in REFERENCES if any(r.knows_series(k.series) for k in resolved)]
    machine_of = emulated.machine(archive, resolved[0].arch, folder)
    loaders = [libbpf.Loader(archive, folder, reference, machine_of) for reference in known]
    console.print(f"{len(objects)} objects, {', '.join(loader.version for loader in loaders)}, kernels {specs}")
    tallies = []
    with Machines() as machines, ThreadPoolExecutor(slots.cores()) as pool:
        for found in resolved:
            asked = [loader for loader in loaders if loader.reference.knows_series(found.series)]
            here = [Tally(loader.reference.version, found.spec) for loader in asked]
            tallies += here
            kernel = found.fetch()
            machine = machine_for(kernel)
            machines.prepare(kernel, machine)
            answered = pool.map(lambda obj: _asked(machines, kernel, machine, asked, obj), objects)  # noqa: B023
            pairs = zip(objects, answered, strict=True)
            for obj, answers in track(pairs, found.spec, len(objects), console=console):
                if isinstance(answers, EverykernelError):
                    here[0].broken.append(f"{obj.name} on {found.spec}: {answers}")
                    continue
                *theirs, ours = answers
                for answer, tally in zip(theirs, here, strict=True):
                    compare(obj, ours, answer, tally)
    return tallies


# ---------------------------------------------------------------------------------------------------------- telling


def shortfalls(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield what a comparison of the default objects on the default kernels has too little of to prove anything.

    And where more was left out than left_out.py allows, or more stands in the table than may.
    """
    entries = table()
    for tally in tallies:
        where = tally.title
        if tally.share(entries) > ALLOWED:
            yield f"{where}: more than {ALLOWED:.0%} of all pairs differ"
        for what in (BOTH_LOADED, SAME_ERRNO):
            if not tally.pairs[what]:
                yield f"{where}: nothing was {what}"
        for outcome in (WHOLE_LOADED, WHOLE_REFUSED):
            if not tally.wholes[outcome]:
                yield f"{where}: no object was {outcome}"
        if tally.foreign < enough(tally.kernel):
            yield f"{where}: only {tally.foreign} foreign objects were loaded, not {enough(tally.kernel)}"
        for reason, count in tally.left_out.items():
            most = left_out.most(reason)
            if count > most:
                yield f"{where}: {count} were left out, not at most {most}: {reason}"


def report(
    tallies: Sequence[Tally],
    objects: Sequence[Foreign],
    short: Iterable[str],
    console: Console,
    path: Path = TABLE,
) -> bool:
    """Print what was found; return whether all is well. ``path`` is the table of what may differ."""
    entries = [entry for entry in table(path) if not entry.of_relocations]
    differences = [d for tally in tallies for d in tally.differences]
    new = unexplained(differences, entries)
    compared = {(tally.reference, tally.kernel) for tally in tallies}
    wrong = [f"NOT ENOUGH {text}" for text in short]
    for tally in tallies:
        where = tally.title
        for reason, count in tally.left_out.most_common():
            console.print(f"{where}: left out: {count:5} {reason}")
        for what, count in [*tally.pairs.most_common(), *tally.wholes.most_common()]:
            console.print(f"{where}: agreed:   {count:5} {what}")
        wrong += [f"NOT COMPARED {text}" for text in tally.uncompared]
        wrong += [f"BROKEN GUEST {text}" for text in tally.broken]
    wrong += [f"DIFFERENCE {difference}" for difference in new]
    wrong += [f"STALE ENTRY {text}" for text in stale(differences, entries, [o.name for o in objects], compared)]
    for tally in tallies:
        console.print(
            f"{tally.title}: {tally.programs} programs and {tally.objects} whole objects "
            f"compared, {len(tally.differences)} differ, {tally.excused(entries)} of these are in {path.name} "
            f"({tally.share(entries):.2%} of all pairs), {sum(tally.left_out.values())} left out"
        )
    for text in wrong:
        console.print(text)
    return not wrong
