"""What a kernel has in the place of what an object lost there, from the BTF of both kernels."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from everykernel import core
from everykernel.cli.modules import with_modules
from everykernel.cli.sources import Source, read_objects, sources
from everykernel.comparing.changes import Change
from everykernel.comparing.difference import Cell, Difference
from everykernel.core.explain import explain
from everykernel.errors import EverykernelError, UsageError
from everykernel.matrix import inside
from everykernel.object import ObjectSpec

_KNOWN = "the object reads it"  # as its author knows


def told(found: Difference) -> tuple[Difference, list[str]]:
    """Return a difference in which lost accesses name their counterparts, and why some do not.

    The objects are those at their paths, where their bytes are those that ran.
    """
    kernels: dict[str, Source] = {}
    notes: dict[str, None] = {}
    rows = []
    for row in found.rows:
        cells = []
        for cell in row.cells:
            if any(map(_lost, cell.changes)):
                try:
                    cell = replace(cell, changes=_explained(cell, kernels))
                except (EverykernelError, OSError) as e:
                    notes[f"{row.name}: not explained: {e}"] = None
            cells.append(cell)
        rows.append(replace(row, cells=cells))
    return replace(found, rows=rows), list(notes)


def _lost(change: Change) -> bool:
    return change.what == "relocation" and change.after in (core.POISONED, core.FAILED)


def _explained(cell: Cell, kernels: dict[str, Source]) -> list[Change]:
    result = cell.pair.new
    assert result is not None
    spec = _object(Path(result.get("object") or ""), result.get("sha256") or "")
    for name in cell.pair.kernels:
        if name not in kernels:
            kernels[name] = next(iter(sources([name])))
    before, now = (kernels[name] for name in cell.pair.kernels)
    near = _near(spec, now, before)
    return [
        change._replace(why=f"{change.why}; {near[access]}")
        if _lost(change) and (access := change.subject.partition(", ")[0]) in near
        else change
        for change in cell.changes
    ]


def _object(path: Path, digest: str) -> ObjectSpec:
    holder, part = inside.split(str(path))
    data = inside.content(holder, part) if part else holder.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise UsageError("is not the object that ran", where=str(path), remedy="build that one again")
    return read_objects(path)[0]


def _near(spec: ObjectSpec, now: Source, before: Source) -> dict[str, str]:
    """Return what a kernel has instead, by the access as changes name it."""
    if spec.btf is None:
        return {}
    target, others = with_modules(spec, now), [with_modules(spec, before)]
    session = core.Session(spec.btf, target)
    found: dict[str, str] = {}
    for program in spec.programs:
        for applied in core.relocate_program(spec, program, session).applied:
            fixup = applied.fixup
            access = fixup.access.partition(" ")[2] or fixup.access
            if fixup.outcome == core.PATCHED or access in found:
                continue
            for near in explain(fixup, spec.btf, target, others).nearest[:1]:
                if not near.why.startswith(_KNOWN):
                    found[access] = f"{now.label} has {near.text} ({near.declared}): {near.why}"
    return found
