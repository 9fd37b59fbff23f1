"""A baseline: text in the repository, a line for each thing that is known not to be green (docs/gates.md).

    tested kernel 5.10
    tested object opensnoop.bpf.o
    # loops that the verifier bounds came with 5.3
    opensnoop.bpf.o load on_exit 4.19..5.2 verifier-rejected "no bounded loops" https://… until=2027-01-01

The five words of a line are object (or case), stage, program, kernels and reason code; a reason in quotes, a link, and
``until=``, ``btf=``, ``loader=``, ``rules=``, ``target=`` may follow. A comment belongs to the line below it.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath

from everykernel.errors import UsageError
from everykernel.gates import words
from everykernel.gates.findings import EVERY_STAGE, GUEST, LISTABLE, TARGET, Finding, Survey, Thing, row_of
from everykernel.gates.where import KernelSeen, Where
from everykernel.loaders.names import OWN, REAL, USUAL_RULES
from everykernel.matrix.ranges import KernelRange
from everykernel.reasons import REASONS

FILENAME = "everykernel.baseline"
_KEYS = ("until", "btf", "loader", "rules", "target")
_BTF = ("kernel", "supplied", "none")
_LARGEST = 8 << 20  # bytes of a file
_SHAPE = 'OBJECT STAGE PROGRAM KERNELS CODE ["REASON"] [LINK] [KEY=VALUE...]'
_LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Until:
    """When a line ends to hold: after a day (UTC), or as soon as the run has a kernel of a release or a newer one."""

    text: str
    day: datetime.date | None = None
    kernel: KernelRange | None = None

    @classmethod
    def parse(cls, text: str, where: str) -> Until:
        """Return what ``2027-01-01`` or ``7.4`` means; raise UsageError for anything else."""
        remedy = "write a date, 2027-01-01, or a kernel, 7.4"
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
                return cls(text, day=datetime.date.fromisoformat(text))
            if re.fullmatch(r"\d{1,4}(\.\d{1,4}){1,2}", text):
                return cls(text, kernel=KernelRange.parse(f">={text}"))
        except ValueError as e:
            raise UsageError(f"until={text}: {e}", where=where, remedy=remedy) from e
        raise UsageError(f"until={text} is neither a date nor a kernel", where=where, remedy=remedy)

    def over(self, today: datetime.date, kernels: Iterable[KernelSeen]) -> bool:
        """Return whether it has come, on a day, for a run on these kernels."""
        if self.day is not None:
            return today > self.day
        return any(k.release and self.kernel is not None and self.kernel.holds(k.release) for k in kernels)


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        thing: what is not green.
        where: on which kernels.
        btf: with which BTF in use: ``kernel``, ``supplied`` or ``none``; "" for any.
        reason, link: why, for people.
        until: how long; None for ever.
        line: its number in the file, 0 for one that stands in none.
        note: the comment at its end.
    """

    thing: Thing
    where: Where
    btf: str = ""
    reason: str = ""
    link: str = ""
    until: Until | None = None
    line: int = 0
    note: str = ""

    def holds(self, finding: Finding) -> bool:
        """Return whether it is about a finding, however long it holds."""
        return self.thing == finding.thing and self.covers(finding.kernel, finding.btf)

    def covers(self, kernel: KernelSeen, btf: str) -> bool:
        """Return whether it is about a cell with this kernel and BTF, as far as these go."""
        return self.where.holds(kernel) and self.btf in ("", btf)

    def text(self) -> str:
        """Return the line."""
        thing = self.thing
        found = [words.word(thing.row), thing.stage, words.word(thing.program) if thing.program else words.NONE]
        found += [words.word(self.where.text), thing.code]
        found += [words.quoted(self.reason)] if self.reason else []
        found += [self.link] if self.link else []
        pairs = {
            "btf": self.btf,
            "loader": thing.loader if thing.loader != OWN else "",
            "rules": thing.rules if thing.rules != USUAL_RULES else "",
            "target": thing.target if thing.target != TARGET else "",
            "until": self.until.text if self.until is not None else "",
        }
        found += [f"{key}={value}" for key, value in pairs.items() if value]
        return " ".join([*found, self.note] if self.note else found)


@dataclass(frozen=True)
class Baseline:
    """All of a file.

    Attributes:
        entries: its lines about things.
        tested: what was tested when it was written, by the number of the line that says so: ``kernel`` or ``object``,
            and its name.
        lines: the file's lines as they stand.
        listed: whether it is a file that people keep, and not the results of an older run.
        told: of an older run, the rows and kernels that had a verdict; None of a file.
    """

    entries: tuple[Entry, ...] = ()
    tested: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    listed: bool = True
    told: frozenset[tuple[str, str]] | None = None

    @cached_property
    def kernels(self) -> frozenset[str]:
        """The kernels that were tested; none where it does not say."""
        return frozenset(name for kind, name in self.tested.values() if kind == "kernel")

    @cached_property
    def rows(self) -> frozenset[str]:
        """The rows that were tested; none where it does not say."""
        return frozenset(name for kind, name in self.tested.values() if kind == "object")

    @cached_property
    def of_thing(self) -> Mapping[Thing, list[Entry]]:
        """The entries by their things."""
        found: dict[Thing, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.thing, []).append(entry)
        return found

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Return the baseline in a file; raise UsageError, with file and line, for what is none."""
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST + 1)
            text = data.decode("utf-8")
        except FileNotFoundError as e:
            raise UsageError("there is no such baseline", where=str(path), remedy="--update-baseline writes it") from e
        except OSError as e:
            raise UsageError(f"cannot be read: {e.strerror}", where=str(path)) from e
        except UnicodeDecodeError as e:
            raise UsageError(f"is not UTF-8: {e.reason} at byte {e.start}", where=str(path)) from e
        if len(data) > _LARGEST:
            raise UsageError(f"is larger than {_LARGEST >> 20} MiB, and no baseline", where=str(path))
        return cls.parse(text, str(path), root_of(path))

    @classmethod
    def parse(cls, text: str, where: str = FILENAME, root: PurePath | None = None) -> Baseline:
        """Return the baseline that a text is; raise UsageError, with ``where`` and the line's number."""
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        found = _Lines(where, root)
        for number, line in enumerate(lines, 1):
            found.add(line, number)
        return cls(tuple(found.entries), found.tested, tuple(lines))

    @classmethod
    def of(cls, survey: Survey) -> Baseline:
        """Return what the results of an older run say was known then."""
        entries = [
            Entry(finding.thing, Where(finding.kernel.spec))
            for cell in survey.cells
            for finding in cell.findings.values()
            if finding.thing.stage != GUEST
        ]
        tested = [*(("kernel", kernel.spec) for kernel in survey.ran), *(("object", row) for row in survey.rows)]
        told = frozenset((cell.row, cell.kernel.spec) for cell in survey.cells if not cell.broke)
        return cls(tuple(dict.fromkeys(entries)), dict(enumerate(tested)), listed=False, told=told)

    def knew(self, finding: Finding) -> bool:
        """Return whether the object and the kernel of a finding had been tested, as far as this says."""
        if self.told is not None:
            return (finding.thing.row, finding.kernel.spec) in self.told
        row, kernel = finding.thing.row in self.rows, finding.kernel.spec in self.kernels
        return (row or not self.rows) and (kernel or not self.kernels)


def root_of(path: Path) -> Path:
    """Return the folder from which a baseline tells the paths of objects: its own."""
    return path.absolute().parent


@dataclass
class _Lines:
    """Reads a baseline line by line."""

    where: str
    root: PurePath | None
    entries: list[Entry] = field(default_factory=list)
    tested: dict[int, tuple[str, str]] = field(default_factory=dict)
    seen: dict[tuple[Thing, str, str], int] = field(default_factory=dict)

    def add(self, line: str, number: int) -> None:
        """Read a line; raise UsageError for what it does not mean."""
        where = f"{self.where}:{number}"
        try:
            found, note = words.split(line)
        except ValueError as e:
            raise UsageError(str(e), where=where, remedy='write \\" for a quote inside quotes') from e
        if not found:
            return
        if found[0] == (words.TESTED, False):
            self.tested[number] = self._tested([text for text, _ in found[1:]], where)
            return
        entry = replace(_entry(found, where, number, self.root), note=note)
        key = (entry.thing, entry.where.text, entry.btf)
        if key in self.seen:
            remedy = f"leave one of lines {self.seen[key]} and {number}"
            raise UsageError("says the same again", where=where, remedy=remedy)
        self.seen[key] = number
        self.entries.append(entry)

    def _tested(self, found: list[str], where: str) -> tuple[str, str]:
        if len(found) != len(("kind", "name")) or found[0] not in ("kernel", "object"):
            remedy = "'tested kernel 6.1' or 'tested object x.bpf.o'"
            raise UsageError("does not say what was tested", where=where, remedy=remedy)
        return found[0], found[1] if found[0] == "kernel" else row_of(found[1], self.root)


def _entry(found: list[tuple[str, bool]], where: str, number: int, root: PurePath | None) -> Entry:
    if len(found) < len(_FIXED):
        said = f"has {len(found)} word{'' if len(found) == 1 else 's'}, and no {_FIXED[len(found)]}"
        raise UsageError(said, where=where, remedy=_SHAPE)
    (row, _), (stage, _), program, (kernels, _), (code, _) = found[: len(_FIXED)]
    _among("stage", stage, EVERY_STAGE, where)
    _among("reason code", code, REASONS, where)
    if (stage == GUEST) != (REASONS[code].stage == GUEST):
        raise UsageError(f"{code} does not arise in stage {stage}", where=where, remedy=_arises(code))
    if stage == GUEST and code not in LISTABLE:
        remedy = f"only {', '.join(LISTABLE)} can be an object's doing"
        raise UsageError(f"{code} cannot be known beforehand", where=where, remedy=remedy)
    reason, link, pairs = "", "", {}
    for text, in_quotes in found[len(_FIXED) :]:
        key, equals, value = text.partition("=")
        if in_quotes and not reason:
            reason = text
        elif not in_quotes and _LINK.fullmatch(text) and not link:
            link = text
        elif not in_quotes and equals and key not in pairs:
            _among("key", key, _KEYS, where)
            pairs[key] = value
        else:
            shown = words.quoted(text) if in_quotes else text
            raise UsageError(f"{shown} is one word too many", where=where, remedy=_SHAPE)
    if "btf" in pairs:
        _among("BTF", pairs["btf"], _BTF, where)
    if "rules" in pairs:
        _among("rules", pairs["rules"], REAL, where)
    name = "" if program == (words.NONE, False) else program[0]
    loader, rules = pairs.get("loader", OWN), pairs.get("rules", USUAL_RULES)
    thing = Thing(row_of(row, root), stage, name, code, loader, rules, pairs.get("target", TARGET))
    until = Until.parse(pairs["until"], where) if "until" in pairs else None
    return Entry(thing, Where.parse(kernels, where), pairs.get("btf", ""), reason, link, until, number)


_FIXED = ("object", "stage", "program", "kernels", "code")


def _among(what: str, text: str, known: Iterable[str], where: str) -> None:
    if text not in known:
        nearest = difflib.get_close_matches(text, list(known), 1)
        remedy = f"did you mean {nearest[0]!r}?" if nearest else f"one of {', '.join(known)}"
        raise UsageError(f"{text!r} is no {what}", where=where, remedy=remedy)


def _arises(code: str) -> str:
    stage = REASONS[code].stage
    return f"write {GUEST}" if stage == GUEST else f"write {stage}"
