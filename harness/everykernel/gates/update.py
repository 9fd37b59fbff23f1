"""A baseline brought up to date: what holds stays as it stands, with its reason, link, date and comment."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from everykernel.errors import HarnessError
from everykernel.gates import words
from everykernel.gates.baseline import Baseline, Entry
from everykernel.gates.findings import EVERY_STAGE, GUEST, Cell, Survey, Thing, clear
from everykernel.gates.fold import fold
from everykernel.gates.where import Where

_HEAD = (
    "# What is known not to be green: a line a thing, sorted; a comment belongs to the line below it.",
    '# OBJECT STAGE PROGRAM KERNELS CODE ["REASON"] [LINK] [until=DATE or KERNEL]; --update-baseline writes it.',
)


@dataclass(frozen=True)
class Updated:
    """A baseline as it is to be written.

    Attributes:
        text: the whole file.
        added, removed, kept: how many lines about things.
    """

    text: str
    added: int
    removed: int
    kept: int


def update(baseline: Baseline, survey: Survey, *, partial: bool = False) -> Updated:
    """Return the baseline that the results of a run call for.

    A line that holds for every kernel that the run tells of stays; one that holds for some is narrowed, with what
    people wrote in it; one that holds for none goes, with the comment above it. What nothing could be told of stays:
    the guest broke, the stage was not reached, in a partial run what was not run. What is not listed gets a line.

    Args:
        baseline: as it is; an empty one where there was none.
        survey: the run.
        partial: whether the run is not of everything.
    """
    kept: set[Entry] = set()
    new: list[_New] = []
    covered: set[tuple[Thing, str]] = set()
    for entry in baseline.entries:
        stays, narrowed, cells = _entry(entry, survey, partial)
        covered |= {(entry.thing, spec) for spec in cells}
        if stays:
            kept.add(entry)
        new += [_New(one, entry.line if not at else 0) for at, one in enumerate(narrowed)]
    new += [_New(entry) for entry in _unlisted(survey, covered)]
    lines = _lines(baseline, survey, kept, new, partial)
    return Updated("\n".join(lines) + "\n", len(new), len(baseline.entries) - len(kept), len(kept))


class _New(NamedTuple):
    """A line that is added, and the number of the one whose comments it takes over, 0 for none."""

    entry: Entry
    instead: int = 0


def _entry(entry: Entry, survey: Survey, partial: bool) -> tuple[bool, list[Entry], dict[str, str]]:
    """Return whether a line stays, what stands in its place, and the kernels, with their BTF, that it covers."""
    cells = [
        cell
        for cell in survey.rows.get(entry.thing.row, [])
        if cell.has(entry.thing) and entry.covers(cell.kernel, cell.btf)
    ]
    still = {cell.kernel.spec: cell.btf for cell in cells if not clear(cell, entry.thing) and not _other(cell, entry)}
    gone = {cell.kernel.spec for cell in cells} - set(still)
    if not gone:
        return bool(still) or partial, [], still
    if not still:
        return False, [], {}
    folded = _fold(still, entry.thing, survey)
    return False, [replace(entry, where=Where.parse(text), btf=btf, line=0) for text, btf in folded], still


def _other(cell: Cell, entry: Entry) -> bool:
    """Return whether a cell fails otherwise than a line says, in the same place: then that is what is to be listed."""
    thing = entry.thing
    return thing not in cell.findings and any(
        (found.stage, found.program) == (thing.stage, thing.program) for found in cell.findings
    )


def _fold(failing: dict[str, str], thing: Thing, survey: Survey) -> list[tuple[str, str]]:
    btf_of = {cell.kernel.spec: cell.btf for cell in survey.rows.get(thing.row, []) if cell.has(thing)}
    return fold(failing, survey.ran, btf_of)


def _unlisted(survey: Survey, covered: set[tuple[Thing, str]]) -> list[Entry]:
    """Return lines for what is not listed; a broken guest's are for people to write."""
    found: dict[Thing, dict[str, str]] = {}
    for cell in survey.cells:
        for thing in cell.findings:
            if thing.stage != GUEST and (thing, cell.kernel.spec) not in covered:
                found.setdefault(thing, {})[cell.kernel.spec] = cell.btf
    return [
        Entry(thing, Where.parse(text), btf)
        for thing, failing in found.items()
        for text, btf in _fold(failing, thing, survey)
    ]


# --- the lines of the file


class _Key(NamedTuple):
    """What lines are sorted by: what was tested comes first, then things."""

    kind: int
    row: str
    stage: int = 0
    program: str = ""
    kernels: tuple[tuple[int, str], ...] = ()
    rest: str = ""


_TESTED = ("kernel", "object")
_ABOUT_THINGS = len(_TESTED)


def _of_entry(entry: Entry) -> _Key:
    thing = entry.thing
    rest = " ".join((thing.loader, thing.rules, thing.target, entry.btf, thing.code))
    return _Key(
        _ABOUT_THINGS, thing.row, EVERY_STAGE.index(thing.stage), thing.program, natural(entry.where.text), rest
    )


def _of_tested(kind: str, name: str) -> _Key:
    at = _TESTED.index(kind)
    return _Key(at, name) if kind == "object" else _Key(at, "", kernels=natural(name))


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Return a text as it sorts with its numbers as numbers: 5.10 behind 5.4."""
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+", text)
    return tuple((int(part), "") if part[0].isascii() and part[0].isdigit() else (-1, part) for part in parts)


@dataclass
class _Block:
    """A line that means something, with the comments right above it; or, without ``key``, what only people read."""

    lines: list[str]
    key: _Key | None = None
    number: int = 0
    stays: bool = True


def _lines(baseline: Baseline, survey: Survey, kept: set[Entry], new: Sequence[_New], partial: bool) -> list[str]:
    """Return the lines of the file, new ones each before the first that sorts behind it."""
    wanted = {("kernel", kernel.spec) for kernel in survey.ran} | {("object", row) for row in survey.rows}
    wanted |= set(baseline.tested.values()) if partial else set()
    blocks = list(_blocks(baseline, kept, wanted)) if baseline.lines else [_Block([*_HEAD])]
    above = {block.number: block.lines[:-1] for block in blocks if block.number and not block.stays}
    made = [
        (_of_tested(kind, name), [f"{words.TESTED} {kind} {words.word(name)}"])
        for kind, name in wanted - set(baseline.tested.values())
    ]
    made += [(_of_entry(one.entry), [*above.get(one.instead, ()), one.entry.text()]) for one in new]
    for key, text in sorted(made):
        keyed = [at for at, block in enumerate(blocks) if block.key is not None]
        behind = next((at for at in keyed if (blocks[at].key or key) > key), None)
        last = keyed[-1] + 1 if keyed else len(blocks)
        blocks.insert(last if behind is None else behind, _Block(text, key))
    return _spaced(blocks)


def _blocks(baseline: Baseline, kept: set[Entry], wanted: set[tuple[str, str]]) -> Iterator[_Block]:
    """Yield the file in blocks: a comment that a blank line parts from what follows stands by itself."""
    entries = {entry.line: entry for entry in baseline.entries}
    waiting: list[str] = []
    for number, line in enumerate(baseline.lines, 1):
        if number in entries:
            entry = entries[number]
            yield _Block([*waiting, line], _of_entry(entry), number, entry in kept)
        elif number in baseline.tested:
            tested = baseline.tested[number]
            yield _Block([*waiting, line], _of_tested(*tested), number, tested in wanted)
        elif line.strip():
            waiting.append(line)
            continue
        else:
            yield from [_Block(waiting)] if waiting else []
            yield _Block([line])
        waiting = []
    if waiting:
        yield _Block(waiting)


def _spaced(blocks: Sequence[_Block]) -> list[str]:
    """Return the lines of what stays, a blank one between what is tested and what is not green."""
    found: list[str] = []
    before: _Block | None = None
    removed = False
    for block in blocks:
        if not block.stays:
            removed = True
            continue
        blank = block.lines == [""]
        if blank and removed and (not found or not found[-1].strip()):
            continue
        if before is not None and block.key is not None and not _together(before, block):
            found.append("")
        found += block.lines
        before, removed = block, False
    return found


def _together(before: _Block, block: _Block) -> bool:
    """Return whether no blank line has to part two blocks."""
    if before.key is None or block.key is None:
        return not before.lines[-1].strip()
    return (before.key.kind == _ABOUT_THINGS) == (block.key.kind == _ABOUT_THINGS)


def write(path: Path, text: str) -> None:
    """Write a file, at once and whole; raise HarnessError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as e:
        raise HarnessError(f"cannot be written: {e.strerror}", where=str(path)) from e
