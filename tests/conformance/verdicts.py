"""What two loaders made of one object: of each program by itself, and of the object as a whole."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.conformance.foreign import Foreign

from everykernel import wire
from everykernel.load.programs.link import reached
from everykernel.object import read
from everykernel.object.reading import LIBBPF, Reading
from everykernel.object.spec import DATA, MAP

# Who decided: the kernel about the program, the kernel about a map that it uses, or the loader before it asked.
LOADED, BY_KERNEL, BY_MAP, BY_LOADER = "loaded", "kernel", "map", "loader"

# What two verdicts agree in.
BOTH_LOADED, SAME_ERRNO = "loaded by both", "refused by the kernel with the same errno"
WHOLE_LOADED, WHOLE_REFUSED = "loaded as a whole by both", "refused as a whole with the same errno"

# libbpf's own errors that bpf_object__open and _load give (enum libbpf_errno), the kernel's that no errno.h has, and
# one that has two names (Python takes the other).
_NUMBERS = {
    95: "EOPNOTSUPP",
    524: "ENOTSUPP",
    4000: "LIBBPF_ERRNO__LIBELF",
    4001: "LIBBPF_ERRNO__FORMAT",
    4003: "LIBBPF_ERRNO__ENDIAN",
    4005: "LIBBPF_ERRNO__RELOC",
}

# What libbpf's warnings and our messages name: the last of these is what was given up at.
_CULPRIT = re.compile(r"^(?:prog|program|map) '([^']+)': ")


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
class Whole:
    """What one loader made of an object, all or nothing: ``errno`` is "" where it was loaded.

    ``culprit`` is the program or map that it gave up at, "" where it names none.
    """

    errno: str = ""
    culprit: str = ""
    words: str = ""

    def __str__(self) -> str:
        if not self.errno:
            return LOADED
        return f"{self.errno}{f' at {self.culprit}' if self.culprit else ''} ({self.words})"


@dataclass(frozen=True)
class Answer:
    """What one loader made of an object: a verdict a program by (name, section), or why it was not opened at all.

    ``whole`` is None where the loader cannot tell: it does not read the object.
    """

    programs: Mapping[tuple[str, str], Verdict]
    unopened: str = ""
    whole: Whole | None = None


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


def whole_agreement(ours: Whole, theirs: Whole) -> str:
    """Return in what two verdicts on an object agree, "" if they do not: errno, and what is at fault if libbpf says it.

    libbpf puts the beginning of the object's name before that of a map of global variables.
    """
    data = ours.culprit.startswith(".") and theirs.culprit.endswith(ours.culprit)
    if ours.errno != theirs.errno or (theirs.culprit and ours.culprit != theirs.culprit and not data):
        return ""
    return WHOLE_REFUSED if ours.errno else WHOLE_LOADED


def paired(ours: Answer, theirs: Answer) -> Iterator[tuple[tuple[str, str], Verdict, Verdict]]:
    """Yield each program that either loader knows, by name and section, with both verdicts."""
    for key in {**ours.programs, **theirs.programs}:
        mine = ours.programs.get(key, Verdict(BY_LOADER, "", ours.unopened or "no such program"))
        his = theirs.programs.get(key, Verdict(BY_LOADER, "", theirs.unopened or "no such program"))
        yield key, mine, his


# ------------------------------------------------------------------------------------------------- the two answers


def parse(output: str) -> dict[str, Answer]:
    """Return the answers in the output of loader.c by the objects' paths."""
    found: dict[str, Answer] = {}
    for text in output.split("object\t")[1:]:
        path, _, rest = text.partition("\n")
        found[path] = _answer(rest.splitlines())
    return found


def _answer(lines: Sequence[str]) -> Answer:
    log = [""]
    programs: dict[tuple[str, str], Verdict] = {}
    unopened, whole = "", None
    for line in lines:
        kind, *rest = line.split("\t")
        if kind == "log":
            log.append(rest[0].removeprefix("libbpf: "))
            continue
        if kind == "open":
            unopened = log[-1] or f"errno {rest[0]}"
        elif kind == "crashed":
            unopened = f"libbpf crashed with signal {rest[0]}"
        elif kind == "whole":
            culprits = [m[1] for m in map(_CULPRIT.match, log) if m] if rest[1] != "open" else []
            words = " | ".join(log[-4:]).strip(" |")
            whole = (
                Whole(_name(int(rest[0])), culprits[-1], words) if culprits else Whole(_name(int(rest[0])), "", words)
            )
        elif kind == "program":
            name, section, error, who = rest
            who = BY_LOADER if who == "libbpf" else who
            text = "" if who == LOADED else " | ".join(log[-4:]).strip(" |")
            number = _name(int(error)) if who in (BY_KERNEL, BY_MAP) else ""
            programs[name, section.removeprefix("?")] = Verdict(who, number, text)
        if kind != "map":
            log = [""]
    return Answer(programs, unopened, whole)


def _culprit(lines: Sequence[str]) -> str:
    """Return the last program or map that lines name, "" if they name none."""
    return next((m[1] for m in map(_CULPRIT.match, reversed(lines)) if m), "")


def _name(number: int) -> str:
    return (_NUMBERS.get(number) or errno.errorcode.get(number, str(number))) if number else ""


def our_answer(obj: Foreign, loaded: wire.Loaded, reading: Reading = LIBBPF) -> Answer:
    """Return our loader's verdicts from its stages; ``reading`` is how it read the object."""
    stage = loaded.load
    said = stage.get("whole")
    whole = None
    if said is not None and said["status"] == wire.PASSED:
        whole = Whole()
    elif said is not None:
        whole = Whole(said["errno"] or said["code"], _culprit([said["message"]]), said["message"])
    if stage["status"] == wire.NOT_REACHED and not stage["programs"]:
        return Answer({}, loaded.relocate["message"] or loaded.relocate["code"], whole)
    refused = {m["name"]: m["errno"] for m in stage["maps"] if m["status"] == wire.FAILED and m["errno"]}
    users = programs_with(obj, (MAP, DATA), refused, reading) if refused else {}
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
    return Answer(programs, "", whole)


def programs_with(
    obj: Foreign, kinds: Sequence[str], wanted: Collection[str], reading: Reading = LIBBPF
) -> dict[str, str]:
    """Return the programs that use any of some maps or externs: name → the first of them in its code."""
    spec = read(obj.data, obj.name, reading)
    found = {}
    for program in spec.programs:
        parts = reached(spec.functions[program.function], spec.functions)
        used = [r.name for part in parts for r in part.references if r.kind in kinds]
        used += [s.name for s in spec.struct_ops if program.function in dict(s.programs).values()]
        names = [name for name in used if name in wanted]
        if names:
            found[program.name] = names[0]
    return found
