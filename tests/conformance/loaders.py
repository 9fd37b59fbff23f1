"""Compare our loader, by the rules of a real loader, with that loader itself: in guests, program by program and whole.

``python -m tests.conformance loaders [--loader NAME,…] [--kernels LIST] [OBJECT…]``. A pair is a program of an object
on a kernel, or the object as a whole there. Two verdicts on a program agree as in loading.py; two on a whole object
agree if both load it or both do not, with one errno where both have one of the kernel's. What differs must be in
loader_differences.toml, each entry of which names a rule; what cannot be compared must be excused by the library's own
words (`LEFT_OUT`), no more of it than was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track
from tests.conformance import verdicts
from tests.conformance.differences import ALLOWED, WHOLE, Difference, table
from tests.conformance.foreign import Foreign, enough
from tests.conformance.left_out import OTHERS_EXTERN, Reason
from tests.conformance.loading import Tally, for_others_extern, machine_for
from tests.conformance.verdicts import (
    BY_KERNEL,
    BY_LOADER,
    BY_MAP,
    LOADED,
    WHOLE_LOADED,
    WHOLE_REFUSED,
    Answer,
    Verdict,
    Whole,
    agreement,
    our_answer,
    paired,
)

from everykernel import kernels, wire
from everykernel.errors import CaseTimeout, EverykernelError, GuestError, LoaderBroke
from everykernel.kernels.model import Kernel
from everykernel.load.rules.named import named
from everykernel.loaders import adapter, contract, drive
from everykernel.loaders.adapter import Adapter
from everykernel.loaders.names import ARCHES, REAL
from everykernel.loaders.table import LOADERS
from everykernel.machine import Machines, slots
from everykernel.machine.spec import MachineSpec
from everykernel.object import read
from everykernel.object.maps import MAP_TYPE

KERNELS = "5.10,6.1,6.12,7.3"
TABLE = Path(__file__).with_name("loader_differences.toml")
_PATIENCE = 900.0  # seconds for an object
_BY = {"kernel": BY_KERNEL, "map": BY_MAP}
_UNREADABLE = "refused as a whole by the loader, unreadable for us"

# What may be left out, by loader: the reason is matched against the library's own words.
LEFT_OUT: Mapping[str, tuple[Reason, ...]] = {
    "libbpf": (
        Reason("libbpf takes no legacy maps; ours does", re.compile(r"legacy map definitions|in section 'maps/"), 91),
        Reason("libbpf loads no object of another byte order", re.compile(r"endian"), 13),
    ),
    "ebpf-go": (
        Reason(
            "programs load in Go's random order, and the first decides what a program array takes",
            re.compile(r"program array|tail call|prog_array", re.IGNORECASE),
            4,
        ),
    ),
    "aya": (
        Reason("aya loads an extension for a program that a tool names", re.compile(r"loads an extension for"), 3),
    ),
}
_UNORDERED = ("ebpf-go",)  # in Go's random order any of those that are refused may be told of the whole
_ORDERED = "the object has a program array: ebpf-go's load order is random, its programs are compared singly"


def their_answer(said: contract.Answer) -> Answer:
    """Return a real loader's verdicts from what its adapter said."""
    programs = {}
    for one in said.programs:
        if one["status"] == wire.PASSED:
            verdict = Verdict(LOADED)
        else:
            who = _BY.get(one["by"], BY_LOADER)
            verdict = Verdict(who, (one["errno"] or "") if who != BY_LOADER else "", one["message"])
        programs[one["name"], one["section"].removeprefix("?")] = verdict
    unopened = ""
    if said.opened is not None and said.opened["status"] != wire.PASSED:
        unopened = said.opened["message"] or said.opened["errno"] or "not opened"
    whole = None
    if said.whole is not None:
        passed = said.whole["status"] == wire.PASSED
        whole = Whole() if passed else Whole(said.whole["errno"] or "refused", "", said.whole["message"])
    return Answer(programs, unopened, whole)


def compare(obj: Foreign, ours: Answer, theirs: Answer, tally: Tally, loader: str) -> None:
    """Compare two answers about one object and add what was found to the tally."""
    _compare_whole(obj, ours, theirs, tally, loader)
    if not theirs.unopened and not ours.unopened:
        tally.cells += 1
        tally.foreign += not obj.own
    for key, mine, his in paired(ours, theirs):
        reason = _left_out(loader, his.words) if not his.loaded and his.who == BY_LOADER else ""
        if loader == "libbpf" and mine.loaded and for_others_extern(obj, key[0], ours, his):
            reason = OTHERS_EXTERN
        same = agreement(mine, his)
        if same:
            tally.pairs[same] += 1
        elif reason:
            tally.left_out[f"program: {reason}"] += 1
        else:
            tally.differences.append(Difference(tally.reference, obj.name, key[0], tally.kernel, mine, his))
    if not ours.programs and not theirs.programs and bool(ours.unopened) == bool(theirs.unopened):
        tally.pairs["opened by neither" if ours.unopened else "without a program"] += 1


def _left_out(loader: str, words: str) -> str:
    return next((one.name for one in LEFT_OUT[loader] if one.said.search(words)), "")


def _compare_whole(obj: Foreign, ours: Answer, theirs: Answer, tally: Tally, loader: str) -> None:
    """Compare the verdicts on the object as a whole."""
    if theirs.whole is None:
        tally.uncompared.append(f"{obj.name} on {tally.kernel}, as a whole: {loader} says nothing")
        return
    if loader == "ebpf-go" and _has_program_array(obj):
        tally.left_out[f"object: {_ORDERED}"] += 1
        return
    mine = ours.whole if ours.whole is not None else Whole("refused", "", ours.unopened)
    refusals = [mine.errno, *(v.errno for v in ours.programs.values() if loader in _UNORDERED and not v.loaded)]
    if bool(mine.errno) == bool(theirs.whole.errno) and any(_same_errno(e, theirs.whole.errno) for e in refusals):
        tally.wholes[WHOLE_REFUSED if mine.errno else WHOLE_LOADED] += 1
    elif theirs.whole.errno and (reason := _left_out(loader, theirs.whole.words)):
        tally.left_out[f"object: {reason}"] += 1
    else:
        tally.differences.append(Difference(tally.reference, obj.name, WHOLE, tally.kernel, mine, theirs.whole))


def _same_errno(ours: str, theirs: str) -> bool:
    """Whether two refusals have one errno, as far as both have one of the kernel's: libraries often give none."""
    both = [errno for errno in (ours, theirs) if re.fullmatch(r"E[A-Z0-9]+", errno)]
    return len(set(both)) < 2


def _has_program_array(obj: Foreign) -> bool:
    try:
        spec = read(obj.data, obj.name, named("ebpf-go").reading)
    except EverykernelError:
        return False
    kind = MAP_TYPE["prog_array"]
    return any(one.type == kind for one in spec.maps.values())


# ----------------------------------------------------------------------------------------------------------- asking


def _asked(
    machines: Machines, kernel: Kernel, machine: MachineSpec, loaders: Sequence[Adapter], obj: Foreign
) -> list[tuple[Answer, Answer]] | EverykernelError:
    """Ask each loader, and ours by its rules, about one object in a fresh guest each; return ours and theirs."""
    pairs = []
    try:
        for loader in loaders:
            with slots.slot(), machines.start(kernel, machine) as guest:
                said = drive.ask(guest, loader, obj.name, obj.data, timeout=_PATIENCE)
                if said.broken:
                    raise drive.broken(loader, said)
                loaded = guest.request(wire.Load(obj.name, obj.data, rules=loader.name), _PATIENCE)
                assert isinstance(loaded, wire.Loaded)
                pairs.append((our_answer(obj, loaded, named(loader.name).reading), their_answer(said)))
    except (GuestError, CaseTimeout, LoaderBroke) as e:
        return e
    return pairs


def run(objects: Sequence[Foreign], specs: str, names: Sequence[str], console: Console) -> list[Tally]:
    """Compare all objects on all kernels, of one architecture, with each of the loaders that are built for it.

    Raise where one that is built for it cannot be had.
    """
    resolved = kernels.resolve(specs)
    arch = resolved[0].arch.name
    there = [name for name in names if arch in ARCHES[name]]
    made = [one for one in adapter.prepare(adapter.parse(",".join(there)), console.print, [arch]) if one is not None]
    for one in made:
        if one.skipped:
            raise LoaderBroke(one.skipped)
    for name in set(names) - set(there):
        console.print(f"{name} is not built for {arch}: {LOADERS[name].nowhere_else}")
    console.print(f"{len(objects)} objects, {', '.join(f'{m.name} {m.version}' for m in made)}, kernels {specs}")
    tallies = []
    with Machines() as machines, ThreadPoolExecutor(slots.cores()) as pool:
        for found in resolved:
            here = [Tally(one.name, found.spec) for one in made]
            tallies += here
            kernel = found.fetch()
            machine = machine_for(kernel)
            machines.prepare(kernel, machine)
            answered = pool.map(lambda obj: _asked(machines, kernel, machine, made, obj), objects)  # noqa: B023
            for obj, answers in track(zip(objects, answered, strict=True), found.spec, len(objects), console=console):
                if isinstance(answers, EverykernelError):
                    here[0].broken.append(f"{obj.name} on {found.spec}: {answers}")
                    continue
                for one, (ours, theirs), tally in zip(made, answers, here, strict=True):
                    compare(obj, ours, theirs, tally, one.name)
    return tallies


def shortfalls(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield what a comparison has too little of to prove anything, or too much of that proves nothing."""
    entries = table(TABLE)
    for tally in tallies:
        if tally.share(entries) > ALLOWED:
            yield f"{tally.title}: more than {ALLOWED:.0%} of all pairs differ"
        for what in (verdicts.BOTH_LOADED, verdicts.SAME_ERRNO):
            if not tally.pairs[what]:
                yield f"{tally.title}: nothing was {what}"
        if tally.foreign < (least := enough(tally.kernel)):
            yield f"{tally.title}: only {tally.foreign} foreign objects were opened by both, not {least}"
        for reason, count in tally.left_out.items():
            name = reason.partition(": ")[2]
            most = next((one.most for one in LEFT_OUT[tally.reference] if one.name == name), 20)
            if count > most:
                yield f"{tally.title}: {count} were left out, not at most {most}: {reason}"


def choose(text: str) -> list[str]:
    """Return the loaders that ``--loader`` names."""
    return [one.name for one in adapter.parse(text)] if text else list(REAL)
