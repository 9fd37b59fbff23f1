"""The benchmark measures what it says, on a real kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from everykernel import folders
from everykernel.bench import measure
from everykernel.compile import compile_all, jobs
from everykernel.errors import HarnessError
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines
from everykernel.matrix import plan

pytestmark = pytest.mark.vm

CASES = folders.data("cases")


@pytest.fixture(autouse=True)
def _compiled() -> None:
    compile_all(jobs())


def test_a_restore_is_faster_than_a_case_is_faster_than_a_boot(machines: Machines, linux: Kernel) -> None:
    """Each figure is of its own thing: restore, restore and case, boot."""
    case = plan.cases([str(CASES / "exec_event")])[0]
    speed = measure.speed(machines, linux, case, repetitions=1, boots=1)
    assert 0 < speed.restore < speed.case < speed.cold


def test_a_case_that_fails_has_no_time(machines: Machines, linux: Kernel) -> None:
    """A case that did not pass is no measurement."""
    case = replace(plan.cases([str(CASES / "helpers_agree")])[0], trigger=("/bin/false",))
    with pytest.raises(HarnessError, match="case helpers_agree failed: trigger /bin/false ended with exit code 1"):
        measure.speed(machines, linux, case, repetitions=1, boots=0)


def test_the_matrix_counts_its_cells() -> None:
    """Every case on every kernel is a cell; those that end as expected are told from the others."""
    cases = plan.cases([str(CASES / "socket_filter"), str(CASES / "unresolved")])
    whole = measure.matrix(Machines("tcg"), plan.columns(["6.1"]), [*cases, replace(cases[1], expect=())])
    assert (whole.cells, whole.unexpected) == (3, 1)
    assert whole.seconds > 0
    assert whole.cpu > 0
