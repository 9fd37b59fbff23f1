"""Load objects with our loader and with libbpf in the same guests, and compare the verdict on every program.

A pair is a program of an object on a kernel. Two verdicts agree if both loaders load the program, or both do not; where
the kernel refused what either of them asked for, its errno has to be the same too. A pair that differs must be in
differences.toml, an entry there that fits no pair is stale, and both fail the run.
"""

from __future__ import annotations

import errno
import fnmatch
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from tests.conformance import left_out, libbpf
from tests.conformance.foreign import ENOUGH, Foreign

from everykernel import kernels, wire
from everykernel.errors import CaseTimeout, EverykernelError, GuestError
from everykernel.images.modules import Tree
from everykernel.kernels.debian import Archive
from everykernel.kernels.model import Kernel
from everykernel.load.programs.link import reached
from everykernel.machine import Machines, slots
from everykernel.machine.guest import Guest
from everykernel.machine.spec import MachineSpec
from everykernel.object import read
from everykernel.object.spec import DATA, EXTERN, EXTERN_CALL, MAP

KERNELS = "5.10,6.1,6.12,6.18,7.3"
GENERIC = "7.3+generic"  # what the cloud flavours leave out, for our own objects: input devices
TABLE = Path(__file__).with_name("differences.toml")
ALLOWED = 0.01  # of the pairs may be in the table
_BATCH = 8  # objects a guest
_PATIENCE = 900.0  # seconds for a batch: a million instructions take an emulated verifier minutes
_MODULES = ("nf_conntrack", "nf_flow_table", "hid")  # whose functions and types objects ask for
_LOADER = "/tmp/libbpf-loader"

# Who decided: the kernel about the program, the kernel about a map that it uses, or the loader before it asked.
LOADED, BY_KERNEL, BY_MAP, BY_LOADER = "loaded", "kernel", "map", "loader"

# What two verdicts agree in.
BOTH_LOADED, SAME_ERRNO = "loaded by both", "refused by the kernel with the same errno"


@dataclass(frozen=True)
class Verdict:
    """What one loader made of one program: ``errno`` is the kernel's ("" where it was not asked or took it)."""

    who: str
    errno: str = ""
    words: str = ""

    @property
    def loaded(self) -> bool:
        """Whether the program was loaded."""
        return self.who == LOADED

    def __str__(self) -> str:
        return " ".join(part for part in (self.who, self.errno, f"({self.words})" if self.words else "") if part)


@dataclass(frozen=True)
class Answer:
    """What one loader made of an object: a verdict a program by (name, section), or why it was not opened at all."""

    programs: Mapping[tuple[str, str], Verdict]
    unopened: str = ""


@dataclass(frozen=True)
class Difference:
    """A pair on which the two differ."""

    object: str
    program: str
    kernel: str
    ours: Verdict
    theirs: Verdict

    def __str__(self) -> str:
        return f"{self.object}: {self.program} on {self.kernel}: ours {self.ours}, libbpf's {self.theirs}"


@dataclass
class Tally:
    """What was compared.

    Attributes:
        cells: objects on kernels that both loaders opened.
        foreign: those that are of others, by kernel.
        pairs: verdicts compared, by what both say.
        left_out: programs or objects that cannot be compared, by a reason of left_out.py.
        uncompared: those that could not be compared for another reason, one line each.
        differences: pairs that differ.
        broken: guests that did not survive an object.
    """

    cells: int = 0
    foreign: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    uncompared: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """How many pairs were compared."""
        return sum(self.pairs.values()) + len(self.differences)


def agreement(ours: Verdict, theirs: Verdict) -> str:
    """Return in what two verdicts agree, "" if they do not."""
    if ours.loaded != theirs.loaded:
        return ""
    if ours.loaded:
        return BOTH_LOADED
    if BY_LOADER in (ours.who, theirs.who):
        return (
            "refused by both before the kernel was asked"
            if ours.who == theirs.who
            else "refused by both, by one before the kernel was asked"
        )
    return SAME_ERRNO if ours.errno == theirs.errno else ""


# ------------------------------------------------------------------------------------------------- the two answers


def parse(output: str) -> dict[str, Answer]:
    """Return the answers in the output of loader.c by the objects' paths."""
    found: dict[str, Answer] = {}
    path, log = "", [""]
    programs: dict[tuple[str, str], Verdict] = {}
    for line in output.splitlines():
        kind, *rest = line.split("\t")
        if kind == "object":
            path, programs = rest[0], {}
            found[path] = Answer(programs)
        elif kind == "log":
            log.append(rest[0].removeprefix("libbpf: "))
            continue
        elif kind == "open":
            found[path] = Answer(programs, log[-1] or f"errno {rest[0]}")
        elif kind == "crashed":
            found[path] = Answer(programs, f"libbpf crashed with signal {rest[0]}")
        elif kind == "program":
            name, section, error, who = rest
            who = BY_LOADER if who == "libbpf" else who
            text = "" if who == LOADED else " | ".join(log[-4:]).strip(" |")
            programs[name, section.removeprefix("?")] = Verdict(who, _errno(int(error), who), text)
        if kind != "map":
            log = [""]
    return found


def _errno(number: int, who: str) -> str:
    if who not in (BY_KERNEL, BY_MAP):
        return ""
    return "ENOTSUPP" if number == 524 else errno.errorcode.get(number, str(number))


def our_answer(obj: Foreign, loaded: wire.Loaded) -> Answer:
    """Return our loader's verdicts from its stages."""
    stage = loaded.load
    if stage["status"] == wire.NOT_REACHED and not stage["programs"]:
        return Answer({}, loaded.relocate["message"] or loaded.relocate["code"])
    refused = {m["name"]: m["errno"] for m in stage["maps"] if m["status"] == wire.FAILED and m["errno"]}
    users = _programs_with(obj, (MAP, DATA), refused) if refused else {}
    programs = {}
    for record in stage["programs"]:
        if record["status"] == wire.PASSED:
            verdict = Verdict(LOADED)
        elif record["errno"]:
            verdict = Verdict(BY_KERNEL, record["errno"], record["message"])
        elif record["name"] in users:
            verdict = Verdict(BY_MAP, refused[users[record["name"]]], record["message"])
        else:
            verdict = Verdict(BY_LOADER, "", f"{record['code']}: {record['message']}")
        programs[record["name"], record["section"]] = verdict
    return Answer(programs)


def _programs_with(obj: Foreign, kinds: Sequence[str], wanted: Collection[str]) -> dict[str, str]:
    """Return the programs that use any of some maps or externs: name → the first of them in its code."""
    spec = read(obj.data, obj.name)
    found = {}
    for program in spec.programs:
        parts = reached(spec.functions[program.function], spec.functions)
        used = [r.name for part in parts for r in part.references if r.kind in kinds]
        used += [s.name for s in spec.struct_ops if program.function in dict(s.programs).values()]
        names = [name for name in used if name in wanted]
        if names:
            found[program.name] = names[0]
    return found


# -------------------------------------------------------------------------------------------------------- comparing


def compare(obj: Foreign, kernel: str, ours: Answer, theirs: Answer, tally: Tally) -> None:
    """Compare two answers about one object on one kernel and add what was found to the tally."""
    reason = incomparable(theirs)
    if theirs.unopened and ours.unopened and not reason:
        reason = left_out.reason(theirs.unopened, left_out.UNSOUND)
        if not reason:
            tally.uncompared.append(f"{obj.name} on {kernel}: {theirs.unopened}; ours: {ours.unopened}")
            return
    if reason:
        tally.left_out[f"object on kernel: {reason}"] += 1
        return
    if not theirs.unopened and not ours.unopened:
        tally.cells += 1
        tally.foreign[kernel] += not obj.own
    for key in {**ours.programs, **theirs.programs}:
        mine = ours.programs.get(key, Verdict(BY_LOADER, "", ours.unopened or "no such program"))
        his = theirs.programs.get(key, Verdict(BY_LOADER, "", theirs.unopened or "no such program"))
        same = agreement(mine, his)
        if same:
            tally.pairs[same] += 1
        elif mine.loaded and _for_others_extern(obj, key[0], ours, his):
            tally.left_out[f"program on kernel: {left_out.OTHERS_EXTERN}"] += 1
        else:
            tally.differences.append(Difference(obj.name, key[0], kernel, mine, his))


def _for_others_extern(obj: Foreign, program: str, ours: Answer, theirs: Verdict) -> bool:
    """Whether libbpf gave up for an extern that this program does not use, and we refuse those that do."""
    found = left_out.EXTERN.search(theirs.words) if theirs.who == BY_LOADER else None
    if found is None:
        return False
    users = _programs_with(obj, (EXTERN, EXTERN_CALL), [found["name"]])
    refused = {name for (name, _), verdict in ours.programs.items() if verdict.who == BY_LOADER}
    return program not in users and bool(users) and refused.issuperset(users)


def incomparable(theirs: Answer) -> str:
    """Return why libbpf's answer about an object says nothing about the kernel, "" if it does."""
    words = [theirs.unopened, *(v.words for v in theirs.programs.values() if v.who == BY_LOADER)]
    return next(filter(None, (left_out.reason(said, left_out.OBJECTS) for said in words)), "")


def _ask(guest: Guest, program: bytes, batch: Sequence[Foreign]) -> list[tuple[Answer, Answer]]:
    """Return ours and libbpf's answers about each object, both from this guest."""
    guest.push(_LOADER, program, mode=0o755)
    paths = [f"/tmp/{number}.o" for number in range(len(batch))]
    for path, obj in zip(paths, batch, strict=True):
        guest.push(path, obj.data)
    ran = guest.run([_LOADER, *paths], timeout=_PATIENCE)
    theirs = parse(ran.stdout.decode("utf-8", "replace"))
    answers = []
    for path, obj in zip(paths, batch, strict=True):
        loaded = guest.request(wire.Load(obj.name, obj.data), _PATIENCE)
        assert isinstance(loaded, wire.Loaded)
        guest.request(wire.Unload(loaded.handle))
        answers.append((our_answer(obj, loaded), theirs.get(path, Answer({}, f"no answer: {ran.stderr[-200:]!r}"))))
    return answers


def _machine(kernel: Kernel) -> MachineSpec:
    """Return the guest for one object after the other: the kernel frees large maps when it finds the time."""
    tree = Tree(kernel)
    return MachineSpec(memory=512, modules=tuple(name for name in _MODULES if tree.has_file(name)))


def _batch(
    machines: Machines, kernel: Kernel, machine: MachineSpec, program: bytes, batch: Sequence[Foreign]
) -> list[tuple[Foreign, tuple[Answer, Answer] | EverykernelError]]:
    """Ask about a batch in one guest; if that breaks, about each object in a guest of its own."""
    try:
        with slots.slot(), machines.start(kernel, machine) as guest:
            return list(zip(batch, _ask(guest, program, batch), strict=True))
    except (GuestError, CaseTimeout) as e:
        if len(batch) == 1:
            return [(batch[0], e)]
    return [item for obj in batch for item in _batch(machines, kernel, machine, program, [obj])]


def run(objects: Sequence[Foreign], specs: str, folder: Path, console: Console) -> Tally:
    """Compare all objects on all kernels; ``folder`` is where libbpf is built."""
    reference = libbpf.Loader(Archive(), folder)
    program = reference.program.read_bytes()
    console.print(f"{len(objects)} objects, {reference.version}, kernels {specs}")
    batches = [objects[at : at + _BATCH] for at in range(0, len(objects), _BATCH)]
    tally = Tally()
    with Machines() as machines, ThreadPoolExecutor(slots.cores()) as pool:
        for resolved in kernels.resolve(specs):
            kernel = resolved.fetch()
            machine = _machine(kernel)
            machines.prepare(kernel, machine)
            answered = pool.map(lambda batch: _batch(machines, kernel, machine, program, batch), batches)  # noqa: B023
            for batch in track(answered, resolved.spec, len(batches), console=console):
                for obj, found in batch:
                    if isinstance(found, EverykernelError):
                        tally.broken.append(f"{obj.name} on {resolved.spec}: {found}")
                    else:
                        compare(obj, resolved.spec, *found, tally)
    return tally


# -------------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Entry:
    """One row of differences.toml: ``object`` may hold ``*`` for a version, ``kernels`` are specs as given."""

    object: str
    program: str
    kernels: tuple[str, ...]
    ours: str
    theirs: str
    decides: str
    why: str

    def fits(self, difference: Difference) -> bool:
        """Whether it explains a difference: the pair, and both verdicts with their errnos."""
        return (
            fnmatch.fnmatchcase(difference.object, self.object)
            and difference.program == self.program
            and difference.kernel in self.kernels
            and (_short(difference.ours), _short(difference.theirs)) == (self.ours, self.theirs)
        )


def _short(verdict: Verdict) -> str:
    return f"{verdict.who} {verdict.errno}".rstrip()


def table(path: Path = TABLE) -> list[Entry]:
    """Return the checked-in differences."""
    with path.open("rb") as file:
        rows = tomllib.load(file).get("difference", [])
    return [
        Entry(
            row["object"],
            row["program"],
            tuple(row["kernels"]),
            row["ours"],
            row["libbpf"],
            row["decides"],
            row["why"],
        )
        for row in rows
    ]


def unexplained(differences: Iterable[Difference], entries: Sequence[Entry]) -> list[Difference]:
    """Return the differences that no entry fits."""
    return [d for d in differences if not any(entry.fits(d) for entry in entries)]


def stale(
    differences: Sequence[Difference], entries: Sequence[Entry], objects: Iterable[str], specs: Iterable[str]
) -> Iterator[str]:
    """Yield the entries, kernel by kernel, that fit no difference though their object and kernel were compared."""
    ran, names = set(specs), list(objects)
    by_kernel = defaultdict(list)
    for difference in differences:
        by_kernel[difference.kernel].append(difference)
    for entry in entries:
        if not any(fnmatch.fnmatchcase(name, entry.object) for name in names):
            continue
        for kernel in entry.kernels:
            if kernel in ran and not any(entry.fits(d) for d in by_kernel[kernel]):
                yield f"{entry.object}: {entry.program} on {kernel}: ours {entry.ours}, libbpf's {entry.theirs}"


def shortfalls(tally: Tally) -> Iterator[str]:
    """Yield what a comparison of the default objects on the default kernels has too little of to prove anything."""
    for what in (BOTH_LOADED, SAME_ERRNO):
        if not tally.pairs[what]:
            yield f"nothing was {what}"
    for spec in KERNELS.split(","):
        if tally.foreign[spec] < ENOUGH:
            yield f"only {tally.foreign[spec]} foreign objects were loaded on {spec}, not {ENOUGH}"


def report(tally: Tally, objects: Sequence[Foreign], specs: str, short: Iterable[str], console: Console) -> bool:
    """Print what was found; return whether all is well."""
    entries = table()
    new = unexplained(tally.differences, entries)
    old = list(stale(tally.differences, entries, (o.name for o in objects), (r.spec for r in kernels.resolve(specs))))
    for reason, count in tally.left_out.most_common():
        console.print(f"left out: {count:5} {reason}")
    for what, count in tally.pairs.most_common():
        console.print(f"agreed:   {count:5} {what}")
    wrong = [f"TOO LITTLE {text}" for text in short]
    wrong += [f"NOT COMPARED {text}" for text in tally.uncompared]
    wrong += [f"BROKEN GUEST {text}" for text in tally.broken]
    wrong += [f"DIFFERENCE {difference}" for difference in new]
    wrong += [f"STALE ENTRY {text}" for text in old]
    for text in wrong:
        console.print(text)
    explained = len(tally.differences) - len(new)
    share = len(tally.differences) / max(tally.compared, 1)
    console.print(
        f"{tally.cells} objects on kernels loaded by both, {tally.compared} verdicts compared: "
        f"{sum(tally.pairs.values())} agree, {len(tally.differences)} differ ({share:.2%}), "
        f"{explained} of these are in {TABLE.name}"
    )
    if share > ALLOWED:
        console.print(f"more than {ALLOWED:.0%} differ")
    return not (wrong or share > ALLOWED)
