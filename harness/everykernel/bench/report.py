"""The benchmark's figures as text."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Host:
    """Where it was measured.

    Attributes:
        accelerator: in use, with its reason.
        processors: that this process may use.
        load: others' work at the start, in processors (load average of the last minute).
    """

    accelerator: str
    processors: int
    load: float


def text(
    host: Host,
    columns: Sequence[Column],
    whole: Matrix,
    *,
    kernels: str,
    case: str,
    peer: str,
) -> str:
    """Return the figures as lines of text."""
    lines = [
        f"accelerator: {host.accelerator}",
        f"processors: {host.processors}, load at the start {host.load:.1f}; medians, in seconds",
    ]
    if host.load > host.processors / 2:
        lines.append("other work disturbed these figures: measure again on an idle machine")
    lines.append("")
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
