"""The table of deliberate differences (differences.toml): which rule of ours or of a reference is behind each.

An entry fits a pair by reference, object, program, kernel and both verdicts. A difference that no entry fits fails the
session, and so does an entry that fits none: a rule that is reversed in our code is noticed by either.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.verdicts import Verdict, Whole

TABLE = Path(__file__).with_name("differences.toml")
ALLOWED = 0.01  # of all pairs on a kernel may be in the table
RELOCATIONS = ("relocated", "refused")  # verdicts of entries about relocated instructions
WHOLE = "(whole)"  # in the place of a program's name: the object as a whole


def title(reference: str) -> str:
    """Return what a reference is called: a version alone is one of libbpf's, a loader has its name."""
    return f"libbpf {reference}" if reference[:1].isdigit() else reference


@dataclass(frozen=True)
class Relocated:
    """What one relocator made of one program: the record that it was refused for, or "", and what differs."""

    refused: str
    words: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (f"refused for {self.refused}" if self.refused else "", self.words) if part)


@dataclass(frozen=True)
class Difference:
    """A pair on which we and a reference (``1.8``) differ."""

    reference: str
    object: str
    program: str
    kernel: str
    ours: Verdict | Whole | Relocated
    theirs: Verdict | Whole | Relocated

    @property
    def spec(self) -> str:
        """The kernel's spec alone (``6.1`` of ``6.1 and 1121 modules``)."""
        return self.kernel.split(" ")[0]

    def __str__(self) -> str:
        where = f"{self.object}: {self.program} on {self.kernel}"
        return f"{where}: ours {self.ours}, {title(self.reference)}'s {self.theirs}"


@dataclass(frozen=True)
class Entry:
    """One row of differences.toml: ``object`` and ``program`` may hold ``*``, ``kernels`` are specs as given."""

    rule: str
    references: tuple[str, ...]
    object: str
    program: str
    kernels: tuple[str, ...]
    ours: str
    theirs: str
    decides: str
    why: str

    @property
    def of_relocations(self) -> bool:
        """Whether it is about relocated instructions, which the session compares on the host."""
        return self.ours in RELOCATIONS

    def fits(self, difference: Difference) -> bool:
        """Whether it explains a difference: the pair, and both verdicts with their errnos."""
        return (
            difference.reference in self.references
            and fnmatch.fnmatchcase(difference.object, self.object)
            and fnmatch.fnmatchcase(difference.program, self.program)
            and difference.spec in self.kernels
            and (short(difference.ours), short(difference.theirs)) == (self.ours, self.theirs)
        )


def short(verdict: Verdict | Whole | Relocated) -> str:
    """Return a verdict as the table has it: ``loaded``, ``kernel EINVAL``, ``loader``, an errno of the whole."""
    if isinstance(verdict, Relocated):
        return "refused" if verdict.refused else "relocated"
    if isinstance(verdict, Whole):
        return verdict.errno or "loaded"
    return f"{verdict.who} {verdict.errno}".rstrip()


def table(path: Path = TABLE) -> list[Entry]:
    """Return the checked-in differences."""
    with path.open("rb") as file:
        rows = tomllib.load(file).get("difference", [])
    return [
        Entry(
            rule=row["rule"],
            references=tuple(row["references"]),
            object=row["object"],
            program=row["program"],
            kernels=tuple(row["kernels"]),
            ours=row["ours"],
            theirs=row["theirs"] if "theirs" in row else row["libbpf"],
            decides=row["decides"],
            why=row["why"],
        )
        for row in rows
    ]


def unexplained(differences: Iterable[Difference], entries: Sequence[Entry]) -> list[Difference]:
    """Return the differences that no entry fits."""
    return [d for d in differences if not any(entry.fits(d) for entry in entries)]


def stale(
    differences: Sequence[Difference],
    entries: Sequence[Entry],
    objects: Collection[str],
    compared: Collection[tuple[str, str]],
) -> Iterator[str]:
    """Yield the entries that fit no difference though their object was compared, with a reference on a kernel."""
    for entry in entries:
        if not any(fnmatch.fnmatchcase(name, entry.object) for name in objects):
            continue
        for reference in entry.references:
            for kernel in entry.kernels:
                here = [d for d in differences if (d.reference, d.spec) == (reference, kernel)]
                if (reference, kernel) in compared and not any(entry.fits(d) for d in here):
                    text = f"{entry.rule}: {entry.object}: {entry.program} on {kernel}"
                    yield f"{text}: ours {entry.ours}, {title(reference)}'s {entry.theirs}"
