"""Real guests killed on purpose: their cells are run again, and no cell gets a verdict from a guest that broke."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import Any

import pytest

from everykernel import folders
from everykernel.compile import compile_all, jobs
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines
from everykernel.machine.spec import MachineSpec
from everykernel.matrix import plan, records
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.records import CaseResult

pytestmark = pytest.mark.vm

CASE = folders.data("cases") / "exec_event"


class Killing:
    """Machines of which the first guests are killed as soon as they are there."""

    def __init__(self, machines: Machines, deaths: int) -> None:
        self._machines = machines
        self.deaths = deaths

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        guest: Any = self._machines.start(kernel, spec, ahead=ahead)
        if self.deaths:
            self.deaths -= 1
            os.kill(guest.qemu.pid, signal.SIGKILL)
        return guest  # type: ignore[no-any-return]

    def close(self) -> None:
        """Leave the machines to the tests after this one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machines, name)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs(["exec_event"]))


def run(machines: Machines, deaths: int, retries: int = 1) -> CaseResult:
    killing: Any = Killing(machines, deaths)
    with closing(Campaign(plan.columns(["6.1"]), killing, width=1, retries=retries)) as campaign:
        return campaign.run("6.1", plan.cases([str(CASE)])[0]).result(300)["result"]


def test_a_cell_whose_guest_was_killed_passes_and_is_flaky(machines: Machines) -> None:
    """The second guest lives: the case passes in it, and the death of the first is kept."""
    result = run(machines, 1)
    assert (result["outcome"], records.flaky(result)) == ("passed", True)
    [first] = result["attempts"]
    assert (first["outcome"], first["code"]) == ("error", "guest-lost")
    assert "killed by signal 9" in first["message"]


def test_a_cell_whose_guests_are_all_killed_has_no_verdict(machines: Machines) -> None:
    """What stays broken after the retries is an error of the guest, whatever the case is."""
    result = run(machines, 3, retries=2)
    assert (result["outcome"], records.broke(result), len(result["attempts"])) == ("error", "guest", 2)
