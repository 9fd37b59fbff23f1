"""What does not fit, in words: the explanations of many kernels, those that say the same put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
        reached: kernel → the programs in which a path leads to a record that asks.
        modules: module → the kernels of which only that module has the type.
        idiom: C that handles all kernels.
    """

    title: str
    programs: list[str] = field(default_factory=list)
    fits: dict[str, str] = field(default_factory=dict)
    amiss: dict[Explanation, list[str]] = field(default_factory=dict)
    reached: dict[str, dict[str, None]] = field(default_factory=dict)
    modules: dict[str, list[str]] = field(default_factory=dict)
    idiom: str = ""

    @property
    def changes(self) -> bool:
        """Whether the kernels differ."""
        return len({*self.fits.values(), *(e.has for e in self.amiss)}) > 1

    @property
    def harmful(self) -> bool:
        """Whether a kernel lacks it and a program gets there, or lacks it without a module, or libbpf refuses it."""
        return bool(self.modules) or any(
            label in self.reached or e.has.startswith("refused") for e, where in self.amiss.items() for label in where
        )


def explained(subjects: Mapping[str, Subject], kernels: list[str]) -> Iterator[Text]:
    """Yield the text: what a kernel lacks at length, what only moves in a line each, what never changes counted.

    Args:
        subjects: by what is asked.
        kernels: all that were looked at, in order.
    """
    amiss = [s for s in subjects.values() if s.harmful]
    moved = [s for s in subjects.values() if not s.harmful and s.changes]
    still = len(subjects) - len(amiss) - len(moved)
    for subject in amiss:
        yield from _at_length(subject, kernels)
    if moved:
        yield text("These differ between the kernels, and CO-RE finds them, or no path leads to them:", "bold")
        for subject in moved:
            absent = dict.fromkeys((label for where in subject.amiss.values() for label in where), "not there")
            yield text(f"  {subject.title}: {_runs({**subject.fits, **absent}, kernels)}")
        yield Text()
    if still:
        yield text(f"{still} more {'is' if still == 1 else 'are'} in the same place in every kernel.")


def together(found: Mapping[str, list[str]], kernels: list[str]) -> Iterator[Text]:
    """Yield what is amiss only where an object's programs are loaded together; ``found``: in words → kernels."""
    if found:
        yield Text()
        yield text("Loaded as a whole, as libbpf does it, with one memory of candidates for all programs:", "bold")
    for words, where in found.items():
        yield text(f"  {', '.join(ranges(where, kernels))}: {words}", "yellow")


def misread(lines: list[str], idioms: Iterable[str], unknown: Mapping[str, list[str]]) -> Iterator[Text]:
    """Yield what programs would load, read and take for something else, and of which tracepoints that is not known.

    Args:
        lines: the misreads in words.
        idioms: C that reads what is meant on all kernels.
        unknown: kernel → tracepoints whose layout no guest has told yet.
    """
    if lines:
        yield Text()
        yield text("These load, and read something else than the object takes it for (≠):", "bold")
        for line in lines:
            yield text(f"  {line}", "yellow")
        for number, idiom in enumerate(idioms):
            yield text("  handles both:" if not number else "")
            yield from (text(f"      {line}") for line in idiom.splitlines())
    for label, events in unknown.items():
        yield text(f"{label}: {', '.join(events)}: not looked at: the layout of a tracepoint is known once a guest ran")


def _at_length(subject: Subject, kernels: list[str]) -> Iterator[Text]:
    yield text(subject.title, "bold")
    yield text(f"  asked by {', '.join(dict.fromkeys(subject.programs))}")
    if subject.amiss:
        yield text(f"  the object expects {next(iter(subject.amiss)).expects}")
    if subject.fits:
        yield text(f"  there: {_runs(subject.fits, kernels)}")
    for module, where in subject.modules.items():
        words = f"  {', '.join(ranges(where, kernels))}: only where module {module} is loaded"
        if not subject.title.startswith(("has ", "matches ")):  # these ask just that
            words += f'; without, it is module-missing [modules = ["{module}"] in the case\'s machine]'
        yield text(words, "yellow")
    live = False
    for explanation, where in subject.amiss.items():
        yield text(f"  {', '.join(ranges(where, kernels))}: {explanation.has}", "yellow")
        for near in explanation.nearest:
            yield text(f"      near: {near.text} ({near.declared}): {near.why}")
        programs = dict.fromkeys(p for label in where for p in subject.reached.get(label, ()))
        live |= bool(programs) or explanation.has.startswith("refused")
        if programs and len(programs) < len(set(subject.programs)):
            yield text(f"      a path leads there in {', '.join(programs)}; the others are guarded")
        elif not programs:
            yield text("      no path leads there: guarded", "green")
    if live and subject.idiom:
        yield text("  handles both:")
        for line in subject.idiom.splitlines():
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
