"""The benchmark's figures as text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from everykernel.bench.measure import Matrix, Speed
from everykernel.kernels.model import Kernel

_LABEL = 58  # columns of a line's label


@dataclass(frozen=True)
class Column:
    """One kernel's figures.

    Attributes:
        kernel: the kernel.
        own: ours.
        peer: the peer's seconds to run ``true``, None where it cannot.
        unable: why it cannot.
    """

    kernel: Kernel
    own: Speed
    peer: float | None
    unable: str


def text(columns: Sequence[Column], whole: Matrix, *, kernels: str, case: str, accelerator: str, peer: str) -> str:
    """Return the figures as lines of text."""
    lines = [f"accelerator: {accelerator}; processors: {len(os.sched_getaffinity(0))}; medians, in seconds", ""]
    for column in columns:
        lines += [*_column(column, case, peer), ""]
    rate = whole.cells / whole.seconds
    lines += [
        f"matrix: {whole.cells} cells on {kernels}, a fresh kernel for each",
        _line("all cells", f"{whole.seconds:8.2f}"),
        _line("cells per second", f"{rate:8.2f}"),
        _line("processor seconds a cell", f"{whole.cpu / whole.cells:8.2f}"),
        _line("cells that did not end as their case expects", f"{whole.unexpected:8d}"),
    ]
    return "\n".join(lines)


def _column(column: Column, case: str, peer: str) -> list[str]:
    own = column.own
    lines = [
        f"{column.kernel.spec} ({column.kernel.release})",
        _line("cold boot to the agent's first answer", f"{own.cold:8.2f}"),
        _line("restore of the warm snapshot to the first answer", f"{own.restore:8.2f}"),
        _line("", f"{own.cold / own.restore:8.1f} restores in the time of a cold boot"),
        _line(f"whole case {case}, fresh kernel included", f"{own.case:8.2f}"),
    ]
    if column.peer is None:
        return [*lines, _line(f"{peer}: boot and run true", f"       - {column.unable}")]
    return [
        *lines,
        _line(f"{peer}: boot and run true", f"{column.peer:8.2f}"),
        _line("", f"{column.peer / own.cold:8.1f} times our cold boot"),
        _line("", f"{column.peer / own.restore:8.1f} times a restore"),
        _line("", f"{column.peer / own.case:8.1f} times a whole case"),
    ]


def _line(label: str, value: str) -> str:
    return f"  {label:{_LABEL}}{value}"
