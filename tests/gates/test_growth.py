"""Growth of verified instructions: past a share and a floor, of programs that both runs loaded on that kernel."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gates.made import cell, run

from everykernel.errors import UsageError
from everykernel.gates.changes import Kind
from everykernel.gates.gate import judge
from everykernel.gates.growth import Growth
from everykernel.gates.policy import Policy, of_project
from everykernel.matrix.records import CaseResult


def of(insns: int | None, spec: str = "6.1", **more: Any) -> CaseResult:
    made = cell("x.o", spec, **more)
    made["stages"]["load"]["programs"][0]["verified_insns"] = insns
    return made


def grown(old: CaseResult, new: CaseResult, share: str = "20%", floor: int = 0) -> list[str]:
    verdict = judge(run(new), Policy(growth=Growth.parse(share, floor)), None, run(old))
    return [change.detail for change in verdict.changes if change.kind == Kind.GROWN]


@pytest.mark.parametrize(
    ("old", "new", "floor", "told"),
    [
        (1000, 1200, 0, []),
        (1000, 1201, 0, ["1000 -> 1201 verified instructions (+20%)"]),
        (1000, 1201, 201, []),
        (1000, 900, 0, []),
        (0, 7, 0, ["0 -> 7 verified instructions (+from nothing)"]),
        (None, 7, 0, []),
        (1000, None, 0, []),
    ],
)
def test_past_share_and_floor(old: int | None, new: int | None, floor: int, told: list[str]) -> None:
    """Both have to be passed; what the kernel does not tell is not compared."""
    assert grown(of(old), of(new), floor=floor) == told


def test_the_same_program_on_the_same_kernel() -> None:
    """Another kernel, loader or machine is another program; another release of the kernel is said."""
    assert grown(of(10), of(1000, "6.12")) == []
    assert grown(of(10), of(1000, loader="aya", rules="aya")) == []
    assert grown(of(10), of(1000, machine={"cpus": 4})) == []
    verdict = judge(
        run(of(1000)),
        Policy(growth=Growth(0.1, 0)),
        None,
        run(of(10), kernels=[{"spec": "6.1", "release": "6.1.100"}]),
    )
    assert verdict.changes[0].detail == "10 -> 1000 verified instructions (+9900%); its kernel was 6.1.100"
    assert verdict.exit_code == 1


def test_advisory() -> None:
    """On an advisory kernel, growth is told and does not decide."""
    policy = of_project({"advisory": ["6.1"], "max-insns-growth": "1%", "insns-floor": 0})
    verdict = judge(run(of(1000), of(10, "6.12")), policy, None, run(of(10)))
    assert [(c.kind, c.decides) for c in verdict.changes] == [(Kind.GROWN, False)]


def test_what_is_no_share() -> None:
    """Only a number with a percent sign is one."""
    for text in ("20", "", "-1%", "1e9%", "%"):
        with pytest.raises(UsageError, match=r"is no share \[write 20%\]"):
            Growth.parse(text)
