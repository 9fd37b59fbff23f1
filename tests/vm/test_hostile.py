"""Damaged objects end in a verdict, soon, whatever in them is damaged; agent and host go on."""

from __future__ import annotations

import pytest
from tests.asking import descriptors
from tests.fuzz.hostile import own_objects, trials

from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

pytestmark = pytest.mark.vm

COUNT = 60  # on each of two kernels; `nox -s hostile` tries more, on foreign objects too


@pytest.mark.parametrize("series", ["5.10", "6.12"])
def test_damaged_objects(machines: Machines, columns: dict[str, Kernel], series: str) -> None:
    """One agent serves them all, and has as many descriptors after as before."""
    with machines.start(columns[series]) as guest:
        before = descriptors(guest)
        found = list(trials(lambda: guest, own_objects(), range(COUNT), seed=ord(series[0])))
        assert [str(trial) for trial in found if trial.trouble] == []
        told = " ".join(trial.verdict for trial in found)
        assert all(verdict in told for verdict in ("object-malformed", "verifier-rejected", "load passed"))
        assert descriptors(guest) == before
