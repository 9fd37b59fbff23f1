"""The benchmark's text: every figure, and ratios of figures of one run."""

from __future__ import annotations

from pathlib import Path

from everykernel.architectures import DEFAULT
from everykernel.bench.measure import Matrix, Speed
from everykernel.bench.report import Column, Host, text
from everykernel.kernels.model import Kernel

KERNEL = Kernel(
    "6.1", DEFAULT, "6.1.0-56-cloud-amd64", Path("vmlinuz"), None, None, sha256="", source="debian:x", signed="gpgv"
)


def lines(peer: float | None, unable: str = "", load: float = 0.1) -> list[str]:
    column = Column(KERNEL, Speed(cold=6.0, restore=0.2, case=0.5), peer, unable)
    whole = Matrix(cells=96, unexpected=1, seconds=48.0, cpu=72.0)
    host = Host("tcg (no /dev/kvm)", 2, load)
    made = text(host, [column], whole, kernels="5.10,6.1", case="exec_event", peer="virtme-ng 1.42")
    return [" ".join(line.split()) for line in made.splitlines()]


def test_figures_and_ratios() -> None:
    """Own figures, the peer's, and the peer's in terms of ours."""
    found = lines(15.0)
    assert "6.1 (6.1.0-56-cloud-amd64)" in found
    assert "cold boot to the agent's first answer 6.00" in found
    assert "restore of the warm snapshot to the first answer 0.20" in found
    assert "30.0 restores in the time of a cold boot" in found
    assert "whole case exec_event, fresh kernel included 0.50" in found
    assert "virtme-ng 1.42: boot and run true 15.00" in found
    assert "2.5 times our cold boot" in found
    assert "75.0 times a restore" in found
    assert "30.0 times a whole case" in found


def test_matrix_figures() -> None:
    """Cells a second, processor time a cell, and cells that did not end as expected."""
    found = lines(15.0)
    assert "matrix: 96 cells on 5.10,6.1, a fresh kernel for each" in found
    assert "cells per second 2.00" in found
    assert "processor seconds a cell 0.75" in found
    assert "cells that did not end as their case expects 1" in found


def test_a_peer_that_cannot_is_told() -> None:
    """Where the peer cannot run a kernel, the reason stands in the place of its figure, and no ratio."""
    found = lines(None, "6.1: the kernel has no 9p")
    assert "virtme-ng 1.42: boot and run true - 6.1: the kernel has no 9p" in found
    assert not any("times" in line for line in found)


def test_a_busy_host_is_told() -> None:
    """Figures from a machine with other work say so."""
    busy = "other work disturbed these figures: measure again on an idle machine"
    assert busy in lines(15.0, load=1.5)
    assert busy not in lines(15.0, load=0.5)
    assert "accelerator: tcg (no /dev/kvm)" in lines(15.0)
    assert "processors: 2, load at the start 0.5; medians, in seconds" in lines(15.0, load=0.5)
