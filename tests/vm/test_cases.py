"""The project's own cases on its four kernels, a fresh kernel for every cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.missing_btf import relocated
from tests.test_cases import NEEDS_NO_BTF, NEWER

from everykernel import folders
from everykernel.compile import compile_all, jobs
from everykernel.machine import Machines, slots
from everykernel.matrix import plan
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.records import CaseResult

pytestmark = pytest.mark.vm

CASES = folders.data("cases")
PASSED = ("passed",) * 3


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    compile_all(jobs())
    columns = plan.columns(["5.10", "6.1", "6.12", "6.1/i386"])
    with closing(Campaign(columns, Machines("tcg"), width=slots.cores(), slot=slots.slot)) as campaign:
        yield campaign


def results(campaign: Campaign, spec: str) -> dict[str, CaseResult]:
    """Run every case on one kernel; return the results by case."""
    cells = {case.name: campaign.run(spec, case) for case in plan.cases([str(CASES)])}
    return {name: cell.result()["result"] for name, cell in cells.items()}


def marks(result: CaseResult) -> tuple[str, ...]:
    return tuple(result["stages"][name]["status"] for name in ("relocate", "load", "run"))


def refused(result: CaseResult) -> dict[str, str]:
    programs = result["stages"]["load"].get("programs", [])
    return {program["name"]: program["code"] for program in programs if program["status"] == "failed"}


@pytest.mark.parametrize("spec", ["5.10", "6.1", "6.12"])
def test_with_btf_every_case_passes_every_stage(campaign: Campaign, spec: str) -> None:
    """Where there is BTF, nothing is refused but what the kernel is too old for and programs whose point that is."""
    found = results(campaign, spec)
    assert {name: r["message"] for name, r in found.items() if r["outcome"] != "passed"} == {}
    assert {name for name, r in found.items() if marks(r) != PASSED} <= NEWER
    assert {r["btf"] for r in found.values()} == {"kernel"}
    unresolved = "relocation-unresolved"
    expected = {
        "unresolved": {"missing_field": unresolved, "missing_type": unresolved, "missing_enumerator": unresolved}
    }
    if spec == "5.10":
        expected["helper_guarded"] = {"unguarded": "helper-unsupported"}
    refusals = {name: codes for name, r in found.items() if (codes := refused(r))}
    assert {name: codes for name, codes in refusals.items() if name not in NEWER} == expected


def test_without_btf_core_ends_in_btf_missing_and_all_else_runs(campaign: Campaign) -> None:
    """On the kernel without BTF, cases without relocations pass what 6.1 passes, the others end in btf-missing."""
    found = results(campaign, "6.1/i386")
    assert {name: r["message"] for name, r in found.items() if r["outcome"] != "passed"} == {}
    passed = {name for name, r in found.items() if marks(r) == PASSED}
    assert {"xdp_test_run", "kprobe_registers"} <= passed
    assert passed <= NEEDS_NO_BTF
    assert NEEDS_NO_BTF - passed <= NEWER
    others = {name: r for name, r in found.items() if name not in NEEDS_NO_BTF}
    assert {r["stages"]["relocate"]["code"] for r in others.values()} == {"btf-missing"}
    assert {name for name, r in found.items() if r["stages"]["relocate"]["code"] == "btf-missing"} == relocated()
    assert {r["stages"]["run"]["status"] for r in others.values()} == {"not-reached"}
    assert {r["btf"] for r in found.values()} == {"none"}
