"""What does not fit, in words: the explanations of many kernels, those that say the same put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rich.text import Text

from everykernel import core
from everykernel.core.explain import Explanation
from everykernel.report.columns import ranges
from everykernel.report.screen import text


@dataclass
class Subject:
    """One thing that an object asks for, and what each kernel has.

    Attributes:
        title: the question: kind and access.
        programs: the functions that ask.
        fits: kernel → value in words, where nothing is amiss.
        amiss: explanation → kernels.
        guarded: whether the object also asks whether it exists.
    """

    title: str
    programs: list[str] = field(default_factory=list)
    fits: dict[str, str] = field(default_factory=dict)
    amiss: dict[Explanation, list[str]] = field(default_factory=dict)
    guarded: bool = False

    @property
    def changes(self) -> bool:
        """Whether the kernels differ."""
        return len(set(self.fits.values())) > 1


def explained(subjects: Mapping[str, Subject], kernels: list[str]) -> Iterator[Text]:
    """Yield the text: what a kernel lacks at length, what only moves in a line each, what never changes counted.

    Args:
        subjects: by what is asked.
        kernels: all that were looked at, in order.
    """
    amiss = [s for s in subjects.values() if s.amiss]
    moved = [s for s in subjects.values() if not s.amiss and s.changes]
    still = len(subjects) - len(amiss) - len(moved)
    for subject in amiss:
        yield from _at_length(subject, kernels)
    if moved:
        yield text("These differ between the kernels, and CO-RE takes care of it:", "bold")
        for subject in moved:
            yield text(f"  {subject.title}: {_runs(subject.fits, kernels)}")
        yield Text()
    if still:
        yield text(f"{still} more {'is' if still == 1 else 'are'} the same in every kernel.")


def _at_length(subject: Subject, kernels: list[str]) -> Iterator[Text]:
    yield text(subject.title, "bold")
    yield text(f"  asked by {', '.join(dict.fromkeys(subject.programs))}")
    first = next(iter(subject.amiss))
    yield text(f"  the object expects {first.expects}")
    if subject.fits:
        yield text(f"  there: {_runs(subject.fits, kernels)}")
    idioms: dict[str, None] = {}
    for explanation, where in subject.amiss.items():
        yield text(f"  {', '.join(ranges(where, kernels))}: {explanation.has}", "yellow")
        for near in explanation.nearest:
            yield text(f"      near: {near.text} ({near.declared}): {near.why}")
        if explanation.idiom:
            idioms.setdefault(explanation.idiom)
    if subject.guarded:
        yield text("  the object asks first whether it exists: fine, as long as that guards this access", "green")
    elif idioms:
        yield text("  handles both:")
        for line in "\n".join(idioms).splitlines():
            yield text(f"      {line}")
    yield Text()


def _runs(fits: dict[str, str], kernels: list[str]) -> str:
    """Return values with the kernels that have them: ``160 (5.10), 104 (6.12..6.18)``."""
    by_value: dict[str, list[str]] = {}
    for label, value in fits.items():
        by_value.setdefault(value, []).append(label)
    return ", ".join(f"{value} ({', '.join(ranges(where, kernels))})" for value, where in by_value.items())


def note(subject: Subject, label: str, fixup: core.Fixup, explanation: Explanation, words: str) -> None:
    """Add what one kernel has to a subject; ``words`` is its value."""
    if fixup.outcome == core.PATCHED:
        subject.fits.setdefault(label, words)
    elif label not in subject.amiss.setdefault(explanation, []):
        subject.amiss[explanation].append(label)
