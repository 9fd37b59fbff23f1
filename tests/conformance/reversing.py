"""Whether the comparison with real loaders notices each of their rules: ``python -m tests.conformance reversals``.

A rule is turned into libbpf's (reversals.py); with it our loader has to differ from the real one on a program or an
object on which it agrees otherwise. A rule whose reversal nothing notices has no proof, and fails the session, unless
`UNSEEN` says why verdicts cannot show it, and what does. Which object noticed it is printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from tests.conformance import loaders
from tests.conformance.differences import short
from tests.conformance.foreign import Foreign
from tests.conformance.loading import Tally, machine_for
from tests.conformance.reversals import AS_IT_IS, reversals
from tests.conformance.verdicts import Answer, our_answer

from everykernel import images, kernels, wire
from everykernel.errors import GuestError, LoaderBroke
from everykernel.kernels.model import Kernel
from everykernel.load.rules.named import named
from everykernel.loaders import adapter, drive
from everykernel.loaders.adapter import Adapter
from everykernel.machine import Machines, slots
from everykernel.machine.spec import MachineSpec

KERNELS = "6.12,5.10,6.1"  # one that has much, one that lacks it, and one whose BTF has functions twice
_AT_ONCE = 12  # objects that one guest loads, by each reversal
_PATIENCE = 1800.0  # seconds for them
_FOLDER = "/tmp/reversals"

_UNIT = "tests/load/test_rules_ebpf_go.py"
_AYAS = "tests/load/test_rules_aya.py"
_ERRNOS = "only errnos of the kernel are compared: a library's own refusals have none of libbpf's"

# Rules that no verdict shows when they are reversed, and why; each has another test.
UNSEEN: Mapping[str, Mapping[str, str]] = {
    "ebpf-go": {
        "reading.checks#calls": f"clang refers to static functions by their sections: {_UNIT}",
        "reading.checks#names": f"no compiler makes two functions of one name: {_UNIT}",
        "externs.kfunc_poison": f"a number in the verifier's log: {_UNIT}",
        "functions": "decides when a program is attached: tests/vm/test_rules.py",
        "foreign_order": "what does not open, and what opens with no program that loads, are alike",
        "answers": _ERRNOS,
    },
    "aya": {
        "reading.any_section": f"a section of functions alone stands for no program, which refuses the object: {_AYAS}",
        "reading.optional": f"aya knows no section that begins with a question mark: {_AYAS}",
        "reading.checks#byte_order": "the machine's byte order refuses the same objects",
        "reading.checks#legacy": f"what is too small for a map is damage by libbpf's rules: {_AYAS}",
        "reading.checks#settings": f"externs.settings refuses those that are used: {_AYAS}",
        "reading.checks#references": f"reading.checks#settings refuses most, the kernel the rest: {_AYAS}",
        "externs.settings": f"reading.checks#settings refuses the object before: {_AYAS}",
        "untyped": "differs for program arrays and rings of users alone, which kernels take with types or aya has not",
        "answers": _ERRNOS,
    },
}

Noticed = dict[str, str]  # a rule's name: where its reversal made a difference


def run(objects: Sequence[Foreign], specs: str, names: Sequence[str], console: Console) -> bool:
    """Reverse each rule of each loader; print who noticed, and return whether all were noticed."""
    made = [one for one in adapter.prepare(adapter.parse(",".join(names)), console.print) if one is not None]
    noticed: dict[str, Noticed] = {one.name: {} for one in made}
    with Machines() as machines, ThreadPoolExecutor(slots.cores()) as pool:
        for found in kernels.resolve(specs):
            kernel = found.fetch()
            machine = machine_for(kernel)
            machines.prepare(kernel, machine)
            for loader in made:
                for batch in _batches(objects, slots.cores()):
                    left = [r for r in reversals(named(loader.name)) if r != AS_IT_IS and r not in noticed[loader.name]]
                    if not set(left) - set(UNSEEN.get(loader.name, ())):
                        break
                    jobs = [pool.submit(_batch, machines, kernel, machine, loader, part, left) for part in batch]
                    for job in jobs:
                        noticed[loader.name].update(job.result())
                    console.print(f"{loader.name} on {found.spec}: {len(left)} rules to notice")
    return _report(noticed, console)


def _batches(objects: Sequence[Foreign], cores: int) -> Iterator[list[Sequence[Foreign]]]:
    parts = [objects[at : at + _AT_ONCE] for at in range(0, len(objects), _AT_ONCE)]
    for at in range(0, len(parts), cores):
        yield parts[at : at + cores]


def _batch(
    machines: Machines,
    kernel: Kernel,
    machine: MachineSpec,
    loader: Adapter,
    objects: Sequence[Foreign],
    wanted: Sequence[str],
) -> Noticed:
    """Return which of the reversals make a difference on some objects."""
    if not wanted:
        return {}
    noticed: Noticed = {}
    ours = _ours(machines, kernel, machine, loader.name, objects, wanted)
    for obj in objects:
        with slots.slot(), machines.start(kernel, machine) as guest:
            said = drive.ask(guest, loader, obj.name, obj.data, timeout=_PATIENCE)
        if said.broken:
            raise LoaderBroke(f"{obj.name}: {said.broken}")
        theirs = loaders.their_answer(said)
        answers = ours[obj.name]
        before = _differs(obj, answers[AS_IT_IS], theirs, loader.name)
        for name in wanted:
            new = sorted(_differs(obj, answers[name], theirs, loader.name) - before)
            if new:
                noticed.setdefault(name, f"{obj.name}: {new[0]} on {kernel.spec}")
    return noticed


def _differs(obj: Foreign, ours: Answer, theirs: Answer, loader: str) -> set[str]:
    tally = Tally(loader, "")
    loaders.compare(obj, ours, theirs, tally, loader)
    return {f"{difference.program}: ours {short(difference.ours)}" for difference in tally.differences}


def _ours(
    machines: Machines,
    kernel: Kernel,
    machine: MachineSpec,
    loader: str,
    objects: Sequence[Foreign],
    wanted: Sequence[str],
) -> Mapping[str, Mapping[str, Answer]]:
    """Return our verdicts on objects by each reversal: object → reversal → answer."""
    known = reversals(named(loader))
    files = {f"{number:04}.o": obj for number, obj in enumerate(objects)}
    with slots.slot(), machines.start(kernel, machine) as guest:
        guest.push(f"{_FOLDER}/agent.zip", images.agent_compiled())
        guest.push(f"{_FOLDER}/reversals.py", Path(__file__).with_name("reversals.py").read_bytes())
        for name, obj in files.items():
            guest.push(f"{_FOLDER}/objects/{name}", obj.data)
        command = ["python3", f"{_FOLDER}/reversals.py", loader, f"{_FOLDER}/objects", *wanted]
        ran = guest.run(command, env={"PYTHONPATH": f"{_FOLDER}/agent.zip"}, timeout=_PATIENCE)
    if ran.code:
        raise GuestError(f"reversals.py ended with {ran.code}: {ran.stderr.decode()[-300:]}")
    found: dict[str, dict[str, Answer]] = {}
    for line in ran.stdout.splitlines():
        name, rule, relocate, load = json.loads(line)
        obj = files[name]
        loaded = wire.Loaded(0, relocate, load, [])
        found.setdefault(obj.name, {})[rule] = our_answer(obj, loaded, known[rule].reading)
    return found


def _report(noticed: Mapping[str, Noticed], console: Console) -> bool:
    well = True
    for loader, found in noticed.items():
        for rule in reversals(named(loader)):
            if rule == AS_IT_IS:
                continue
            where, excuse = found.get(rule), UNSEEN.get(loader, {}).get(rule)
            well &= bool(where) != bool(excuse)
            told = f"noticed by {where}" if where else f"unseen: {excuse}" if excuse else "NOT NOTICED by any object"
            console.print(f"{loader}: {rule}: {told}{', which UNSEEN denies' if where and excuse else ''}")
        console.print(f"{loader}: {len(found)} of {len(reversals(named(loader))) - 1} rules are noticed when reversed")
    return well
