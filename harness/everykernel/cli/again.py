"""Cells of an older report as this run's: each as it was asked for, by the command that its result names.

A report tells what to run, on whose behalf and with which files: one that was changed by a stranger is a script of his.
Nothing but ``everykernel run`` is understood in it, without a shell, and nothing that says where results go.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from everykernel import settings
from everykernel.cli import commands
from everykernel.errors import UsageError
from everykernel.loaders import adapter
from everykernel.loaders.adapter import Wanted
from everykernel.loaders.names import OWN, REAL
from everykernel.matrix.case import Case
from everykernel.matrix.records import CaseResult
from everykernel.matrix.selected import Selected

_START = ["everykernel", "run"]
_TAKEN = ("objects", "btf", "until", "memory", "machine", "strict_reads", "rules", "loaders", *commands.OPTIONS)
_NEVER = ("json_file", "json_stream", "folder", "from_report", "failed", "shard")
_SHARED = ("accel", "timeout", "ceiling")  # of a run as a whole


class Asked(NamedTuple):
    """One cell, as it was asked for.

    Attributes:
        case: what it runs, without its loader.
        spec: its kernel.
        loader: who loads it.
        options: the options of its command, by the names of their parameters.
    """

    case: Case
    spec: str
    loader: Wanted
    options: dict[str, Any]
    again: str


def cells(path: Path, selected: Selected) -> list[Asked]:
    """Return the cells that a report has to run again; raise UsageError where one of them says no usable command."""
    return [_asked(result, f"{path}: results[{number}].again") for number, result in selected.cells]


def shared(asked: list[Asked], given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that hold for the whole run: what is given now, else what all cells were asked for with.

    Raises UsageError where they were asked for with different ones.
    """
    found = {}
    for name in _SHARED:
        told = {one.options[name] for one in asked}
        if name in given:
            found[name] = given[name]
        elif len(told) == 1:
            found[name] = told.pop()
        else:
            option = {"ceiling": "memory-ceiling"}.get(name, name)
            texts = ", ".join(sorted(map(str, told)))
            raise UsageError(
                f"its cells were run with different ones: {texts}", where=f"--{option}", remedy="say which"
            )
    found["btf"] = tuple(dict.fromkeys(text for one in asked for text in one.options["btf"]))
    return found


def check(context: click.Context) -> None:
    """Raise UsageError for what the command line says beside ``--from-report`` that the report says itself."""
    line = click.core.ParameterSource.COMMANDLINE
    odd = [name for name in _TAKEN if context.get_parameter_source(name) is line]
    if odd:
        option = next(p for p in context.command.params if p.name == odd[0])
        shown = "OBJ" if isinstance(option, click.Argument) else option.opts[-1]
        raise UsageError(
            f"{shown} is as the report says", where="--from-report", remedy="leave it out, or leave the report out"
        )


def given(context: click.Context) -> dict[str, Any]:
    """Return the options of the whole run that the command line gives."""
    line = click.core.ParameterSource.COMMANDLINE
    return {name: context.params[name] for name in _SHARED if context.get_parameter_source(name) is line}


def _asked(result: CaseResult, where: str) -> Asked:
    try:
        words = shlex.split(result.get("again", ""))
    except ValueError as e:
        raise UsageError(f"cannot be read: {str(e).lower()}", where=where) from e
    if words[:2] != _START:
        raise UsageError("is no command of everykernel run", where=where, remedy="run its object anew")
    options = _parse(words[2:], where)
    found = commands.cases(options["objects"], **{name: options[name] for name in commands.OPTIONS})
    if len(found) != 1:
        raise UsageError(f"means {len(found)} cells, and not one", where=where, remedy="the file has changed")
    rules, memory = result["rules"], result["machine"].get("memory")
    if result["loader"] == OWN and rules not in REAL:
        raise UsageError(f"there are no rules of {rules!r}", where=where, remedy=f"known: {', '.join(REAL)}")
    if memory is not None and memory not in settings.MEMORY:
        raise UsageError(f"no guest has {memory} MiB", where=where)
    strict = options["strict_reads"] or found[0].strict_reads
    case = replace(found[0], until=options["until"], strict_reads=strict)
    case = case.with_memory(memory).with_rules(rules if result["loader"] == OWN else "")
    loader = _loader(result["loader"], options["loaders"], where)
    return Asked(case, result["kernel"], loader, options, result["again"])


def _loader(name: str, listed: str | None, where: str) -> Wanted:
    """Return who loads a cell; a loader of the user's own is where its command says."""
    wanted = {one.name: one for one in adapter.parse(listed, where)} if listed else {}
    if name in ("command", OWN):
        return Wanted(OWN)
    return wanted.get(name) or adapter.parse(name, where)[0]


def _parse(words: list[str], where: str) -> dict[str, Any]:
    """Return the options of a command of ours; raise UsageError for what it does not know, or must not say."""
    command = click.get_current_context().command
    if not {"-h", "--help"}.isdisjoint(words):  # which click would answer at once
        raise UsageError("asks for no run", where=where)
    try:
        context = command.make_context("run", words)
    except click.ClickException as e:
        raise UsageError(e.format_message(), where=where) from e
    if odd := [name for name in _NEVER if context.params.get(name)]:
        raise UsageError(f"says {odd[0].replace('_', '-')}, which no result does", where=where)
    return dict(context.params)
