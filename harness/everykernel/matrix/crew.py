"""The loaders of a run: which of them each case meets, and what the results say of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from everykernel.architectures import DEFAULT
from everykernel.errors import ToolMissing
from everykernel.loaders import adapter
from everykernel.loaders.adapter import Adapter, Wanted
from everykernel.loaders.names import OWN
from everykernel.matrix.case import Case
from everykernel.matrix.plan import Column
from everykernel.matrix.records import LoaderRecord


def wanted(cases: Sequence[Case], asked: str | None, option: str = "--loader") -> list[Wanted]:
    """Return the loaders that a run needs: those of its command line, else those of its cases, else our own.

    Raises UsageError for what is no loader, and says that ``option`` named it.
    """
    if asked is not None:
        return adapter.parse(asked, option)
    names = dict.fromkeys(name for case in cases for name in case.loaders or (OWN,))
    return adapter.parse(",".join(names) or OWN, option)


@dataclass(frozen=True)
class Crew:
    """The loaders of a run, ready, an adapter for each architecture of its kernels; None among them is our own."""

    members: tuple[Adapter | None, ...] = (None,)

    @classmethod
    def of(
        cls, loaders: Sequence[Wanted], columns: Sequence[Column], tell: Callable[[str], None] = lambda line: None
    ) -> Crew:
        """Return the crew of these loaders for these kernels, built where need be.

        Args:
            loaders: what is wanted.
            columns: the kernels.
            tell: hears in a line what takes long, and what is skipped.

        Raises:
            ToolMissing: all of them are skipped.
            DownloadError, CacheError, HarnessError: one cannot be built for another reason than its toolchain.
        """
        made = adapter.prepare(loaders, tell, list(dict.fromkeys(arch_of(column) for column in columns)))
        skipped = [one for one in made if one is not None and one.skipped]
        for one in skipped:
            tell(f"skipped: {one.skipped}")
        if len(skipped) == len(made):
            raise ToolMissing(f"none of the loaders is to be had: {skipped[0].skipped}")
        return cls(tuple(made))

    @property
    def records(self) -> list[LoaderRecord]:
        """What a run's record says of its real loaders."""
        found: list[LoaderRecord] = []
        for one in dict.fromkeys(self.members):
            if one is None:
                continue
            record: LoaderRecord = {
                "name": one.name,
                "arch": one.arch,
                "version": one.version,
                "toolchain": one.toolchain,
                "sha256": one.sha256,
            }
            found.append({**record, "skipped": one.skipped} if one.skipped else record)
        return found

    def spread(self, cases: Sequence[Case], asked: str | None) -> list[Case]:
        """Return each case once for each loader that it meets and that could be had."""
        return [replace(case, adapter=one) for case in cases for one in self.of_case(case, asked)]

    def of_case(self, case: Case, asked: str | None) -> list[Adapter | None]:
        """Return the loaders that a case meets: the command line's, else its own choice; a command is its own."""
        if case.command is not None:
            return [None]
        names = None if asked is not None else (case.loaders or (OWN,))
        here = [one for one in self.members if one is None or not one.skipped]
        return [one for one in here if names is None or (one.name if one is not None else OWN) in names]

    def loaded_by(self, case: Case, loader: Wanted) -> list[Case]:
        """Return a case loaded by one loader; nothing where that could not be had."""
        here = [one for one in self.members if one is None or not one.skipped]
        return [replace(case, adapter=one) for one in here if (one.name if one is not None else OWN) == loader.name]


def fits(case: Case, column: Column) -> bool:
    """Return whether a case's loader runs on a kernel, as far as that is known: an adapter is for one architecture."""
    if case.adapter is None or column.resolved is None:
        return True
    return column.runs_programs and case.adapter.arch == column.resolved.arch.name


def arch_of(column: Column) -> str:
    """Return the architecture of a kernel; the default one's where the kernel is missing."""
    return column.resolved.arch.name if column.resolved is not None else DEFAULT.name


def again(case: Case, option: str = "--loader") -> str:
    """Return the option that has one loader load a case again, "" for our own where the case says nothing else."""
    if case.adapter is None:
        return f" {option} {OWN}" if case.loaders else ""
    return f" {option} {shlex.quote(case.adapter.again)}"
