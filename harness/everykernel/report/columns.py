"""The head of a matrix column, and the grid that all reports draw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from everykernel.architectures import DEFAULT
from everykernel.escaping import printable
from everykernel.loaders.names import OWN
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, KernelRecord, LoaderRecord
from everykernel.report.labels import cut

_WIDE = 30  # terminal cells of a column's head, at most


class Column(KernelRecord, total=False):
    """One column: a kernel's record, whose ``spec`` has the loader's name behind it where that is not our own."""

    of: str  # the kernel's spec alone
    loader: str  # who loads in it
    skipped: str  # why that loader could not be had


@dataclass(frozen=True)
class Grid:
    """Results in rows and columns.

    Attributes:
        rows: names of cases and objects, in order of appearance.
        kernels: the columns: of each kernel one for each loader.
        cells: by row and the column's name; a row may have several results there (machines).
    """

    rows: tuple[str, ...]
    kernels: tuple[Column, ...]
    cells: dict[tuple[str, str], list[CaseResult]]


def grid(results: Sequence[CaseResult], kernels: Sequence[KernelRecord], loaders: Sequence[LoaderRecord] = ()) -> Grid:
    """Return results by row and column; a kernel that only results name gets a column of its own.

    ``loaders`` are the real loaders of the run: those that were skipped have columns too.
    """
    cells: dict[tuple[str, str], list[CaseResult]] = {}
    for result in results:
        cells.setdefault((records.row(result), records.column(result)), []).append(result)
    known = {k["spec"]: k for k in kernels}
    for result in results:
        spec = result.get("kernel", "?")
        known.setdefault(spec, {"spec": spec})
    names = dict.fromkeys(result.get("loader", OWN) for result in results)
    if not names:
        names[OWN] = None
    ready: dict[str, dict[str, str]] = {}  # loader → architecture → why there is none
    for one in loaders:
        ready.setdefault(one["name"], {})[one.get("arch", DEFAULT.name)] = one.get("skipped", "")
    lacking = [name for name, why in ready.items() if any(why.values())]
    ran = {of for _, of in cells}
    drawn: list[Column] = []
    for spec, kernel in known.items():
        for name in dict.fromkeys((*names, *lacking)):
            made: Column = {**kernel, "spec": records.of_column(spec, name), "of": spec, "loader": name}  # type: ignore[typeddict-item]
            known_for = ready.get(name, {DEFAULT.name: ""})
            if name != OWN and made["spec"] not in ran:
                arch = kernel.get("arch", DEFAULT.name)
                made["skipped"] = known_for.get(arch, f"its adapter is for {', '.join(known_for)} alone")
                if "target" in kernel:
                    made["skipped"] = "adapters run in guests alone"
            drawn.append(made)
    return Grid(tuple(dict.fromkeys(row for row, _ in cells)), tuple(drawn), cells)


def short_release(kernel: KernelRecord) -> str:
    """Return a release without the distribution's flavour: ``6.1.0-56``, ``6.12.57+deb13``."""
    release, flavour = kernel.get("release", ""), kernel.get("flavour", "")
    return release.removesuffix(f"-{flavour}") if flavour else re.sub(r"-[a-z].*$", "", release)


def btf(kernel: KernelRecord) -> str:
    """Return what a column's head says about BTF."""
    if kernel.get("missing"):
        return "missing"
    return {"kernel": "BTF", "none": "no BTF"}.get(kernel.get("btf", ""), "BTF ?")


def heads(kernel: KernelRecord) -> tuple[str, str, str]:
    """Return the three lines of a column's head, printable and no wider than a column may be: spec, release, BTF."""
    return cut(printable(kernel["spec"]), _WIDE), cut(printable(short_release(kernel) or "-"), _WIDE), btf(kernel)


def empty(column: Column) -> str:
    """Return what stands in a cell without a result: why there is none, where that is known."""
    return "missing" if column.get("missing") else "skipped" if column.get("skipped") else ""


def ranges(labels: Sequence[str], kernels: Sequence[str]) -> list[str]:
    """Return columns with neighbours put together: ``6.1..6.18``; ``kernels`` are all of them, in order.

    Neighbours of another architecture or source are no range: ``6.12/arm64`` does not go on from ``6.12``.
    """
    at = {kernel: number for number, kernel in enumerate(kernels)}
    runs: list[list[str]] = []
    for label in sorted(labels, key=lambda label: at.get(label, len(at))):
        if runs and label in at and at[label] == at.get(runs[-1][-1], -2) + 1 and _kin(label) == _kin(runs[-1][-1]):
            runs[-1].append(label)
        else:
            runs.append([label])
    return [run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs]


def _kin(label: str) -> tuple[str, str]:
    """Return the source and the architecture that a column names, with its loader: ``debian:6.1/i386 libbpf``."""
    if label.startswith((".", "/", "~")):
        return "path", ""
    before, _, after = label.rpartition(":")
    return before, after.partition("/")[2] or after.partition(" ")[2]
