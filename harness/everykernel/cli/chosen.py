"""The cells of a run, before anything boots: those of its objects and kernels, or of an older report; or a shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from everykernel import machine, settings
from everykernel.cli import again, choices, commands
from everykernel.cli.again import Asked
from everykernel.errors import UnknownKernel, UsageError
from everykernel.kernels.progress import Progress
from everykernel.loaders.adapter import Wanted
from everykernel.loaders.names import OWN
from everykernel.machine import MachineSource, assemble, process, reach
from everykernel.matrix import crew, plan, selected, shard
from everykernel.matrix.case import Case
from everykernel.matrix.crew import Crew
from everykernel.matrix.plan import Column
from everykernel.matrix.shard import Shard

if TYPE_CHECKING:
    from everykernel.machine.ssh import Targets

Say = Callable[[str], None]


@dataclass(frozen=True)
class Chosen:
    """What is run.

    Attributes:
        cells: cases with their loaders, each with the kernel it is run on.
        columns: the kernels.
        crew: the loaders.
        total: how many cells there are in all shards.
        again: the commands that run cells of an older report again, by what identifies a cell (`plan.identity`).
    """

    cells: list[tuple[Case, str]]
    columns: list[Column]
    crew: Crew
    total: int
    again: dict[str, str] = field(default_factory=dict)

    def part(self, wanted: Shard) -> Chosen:
        """Return the part of it that is a shard's; a kernel that no shard has a cell of stays a column of each."""
        by_spec = {column.spec: column for column in self.columns}
        units = [shard.Unit(spec, plan.identity(case, by_spec[spec])) for case, spec in self.cells]
        own = wanted.of(units)
        cells = [cell for cell, unit in zip(self.cells, units) if unit in own]
        others = {spec for _, spec in self.cells} - {spec for _, spec in cells}
        return replace(self, cells=cells, columns=[c for c in self.columns if c.spec not in others])


def from_report(path: Path, *, failed: bool, say: Say) -> list[Asked]:
    """Return the cells that a report has to run again; empty, and said, where there are none.

    Raises UsageError where they are all pytest's, or the command line says what the report says.
    """
    context = click.get_current_context()
    again.check(context)
    found = selected.select(path, failed=failed)
    if not found.cells and not found.tests:
        say(selected.nothing(path, found))
        return []
    how = f"pytest {'--kernel-failed ' if failed else ''}--kernel-from-report"
    if line := selected.check_tests(path, found, found.cells, how):
        say(line)
    return again.cells(path, found)


def targets(listed: str, options: Any, progress: Progress) -> Targets | None:
    """Return what knows the targets of a run; None where it has none."""
    named = settings.read(Path.cwd()).get("targets", {})
    may_load, accept_new, timeout = (options[name] for name in ("may_load", "accept_new", "timeout"))
    return reach(choices.specs(listed), named, progress, may_load=may_load, accept_new=accept_new, timeout=timeout)


def on_machines(listed: str, kind: str) -> str:
    """Return the kernels of a list, those that do not say what their guests are as ``--machine`` has it."""
    return ",".join(settings.on_machines(choices.specs(listed), kind))


def machines(options: Any, targets: Targets | None, progress: Progress) -> MachineSource:
    """Return what starts the machines of a run."""
    guests = machine.Machines(options["accel"], options["timeout"], progress)
    return assemble(guests, targets, progress)


def kernels(
    listed: str, *, skip_missing: bool, progress: Progress, targets: Targets | None = None, qemu: bool = True
) -> list[Column]:
    """Return the columns of a run; raise UnknownKernel where none of them is to be had, ToolMissing without QEMU.

    ``qemu`` says whether guests are started here.
    """
    columns = plan.columns(choices.specs(listed), skip_missing=skip_missing, progress=progress, targets=targets)
    if all(column.missing for column in columns):
        raise UnknownKernel("none of these kernels is to be had", spec=listed, where="--kernels")
    for column in columns:
        if qemu and column.resolved is not None and not column.is_target:
            process.find(column.resolved.arch.qemu)
    return columns


def of_objects(objects: Sequence[str], columns: list[Column], loaders: str | None, options: Any, say: Say) -> Chosen:
    """Return every cell of objects and kernels.

    Args:
        objects: as the command line names them.
        columns: the kernels.
        loaders: who loads, where the user says so.
        options: of the command, by the names of their parameters.
        say: hears of what takes long, and of what is skipped.
    """
    strict, rules = options["strict_reads"], options["rules"]
    cases = [
        replace(case, until=options["until"], strict_reads=strict or case.strict_reads)
        .with_memory(options["memory"])
        .with_rules(rules)
        for case in commands.cases(objects, **{name: options[name] for name in commands.OPTIONS})
    ]
    _check(cases, columns)
    wanted = crew.wanted(cases, loaders)
    if loaders is not None:
        _check_loaders(columns, wanted)
    found = Crew.of(wanted, columns, say)
    cells = [(case, column.spec) for case in found.spread(cases, loaders) for column in columns]
    return _there(cells, columns, found)


def _check_loaders(columns: Sequence[Column], wanted: Sequence[Wanted]) -> None:
    """Raise UsageError where a kernel's guests run no programs, and none but real loaders were asked for."""
    bare = next((column.spec for column in columns if not column.runs_programs and not column.is_target), "")
    if bare and OWN not in [one.name for one in wanted]:
        text = f"no loader but {OWN} loads there: the others are programs of the guest"
        raise UsageError(text, where=bare, remedy="leave --loader out")


def of_report(asked: Sequence[Asked], columns: list[Column], say: Say) -> Chosen:
    """Return the cells of a report that are of these kernels, each loaded by who loaded it then."""
    specs = {column.spec for column in columns}
    here = [one for one in asked if one.spec in specs]
    if not here:
        raise UsageError(
            f"the report has no such cell on {', '.join(sorted(specs))}", where="--kernels", remedy="leave it out"
        )
    _check([one.case for one in here], columns)
    found = Crew.of(list(dict.fromkeys(one.loader for one in here)), columns, say)
    by_spec = {column.spec: column for column in columns}
    told = [(case, one) for one in here for case in found.loaded_by(one.case, one.loader)]
    commands_ = {plan.identity(case, by_spec[one.spec]): one.again for case, one in told}
    return replace(_there([(case, one.spec) for case, one in told], columns, found), again=commands_)


def _check(cases: Sequence[Case], columns: Sequence[Column]) -> None:
    for column in columns:
        if column.resolved is not None:
            commands.check(cases, column.resolved.arch)
        if not column.runs_programs and any(case.command is not None for case in cases):
            where = ("guests only", "target") if column.is_target else ("guests with programs only", "kernel")
            raise UsageError(f"a command runs in {where[0]}", where=column.spec, remedy=f"leave the {where[1]} out")


def _there(cells: Sequence[tuple[Case, str]], columns: list[Column], found: Crew) -> Chosen:
    """Return the cells whose kernels are to be had, and run their loaders."""
    by_spec = {column.spec: column for column in columns}
    run = [(c, spec) for c, spec in cells if not by_spec[spec].missing and crew.fits(c, by_spec[spec])]
    return Chosen(run, columns, found, len(run))
