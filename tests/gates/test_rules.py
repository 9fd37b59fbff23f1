"""Rules: their grammar, what keeps and what breaks them, and that what was not run shows nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gates.made import REFUSED, cell, run

from everykernel.errors import UsageError
from everykernel.gates.changes import Kind
from everykernel.gates.gate import Verdict, judge
from everykernel.gates.policy import of_project
from everykernel.gates.rules import Rule
from everykernel.kernels import catalogue
from everykernel.matrix.records import CaseResult


def weigh(rule: str, *cells: CaseResult, **project: object) -> Verdict:
    return judge(run(*cells), of_project({"require": [rule], **project}, partial=bool(project.pop("partial", False))))


def broken(rule: str, *cells: CaseResult, **project: object) -> list[tuple[str, tuple[str, ...], str]]:
    changes = weigh(rule, *cells, **project).changes
    return [(change.what, change.kernels, change.detail) for change in changes if change.kind == Kind.RULE]


WRONG = [
    ("", "'' is no rule [write 'loads on >=5.10', 'runs on lts for tools/*', or 'no misread']"),
    ("loads", "'loads' is no rule"),
    ("loads on", "'loads on' names no kernels"),
    ("load on 5.10", "'load on 5.10' is no rule"),
    ("no warning", "'no warning' is no rule"),
    ("loads on >=five", "'>=five' is not a range of kernels"),
    ("loads on lts/vax", "'vax' is no architecture [one of x86_64, i386"),
    ("loads on 5.10 for", "nothing is known about 'for'"),
    ("loads on 5.10 or later", "nothing is known about 'or'"),
    ("no misread for a b", "nothing is known about 'b'"),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_what_is_no_rule(text: str, told: str) -> None:
    """The error says what is not understood, and what could be written."""
    with pytest.raises(UsageError) as caught:
        Rule.parse(text)
    assert told in str(caught.value)
    assert str(caught.value).startswith("require")


def test_loads() -> None:
    """A rule holds where the stage, and those before it, passed, and is broken where one did not."""
    cells = (cell("x.o", "5.10"), cell("x.o", "5.15", ("run", "", "assertion-failed")), cell("x.o", "6.1", REFUSED))
    assert broken("loads on <6", *cells) == []
    assert broken("loads on 5.10..6.1", *cells) == [
        ("loads on 5.10..6.1: x.o", ("6.1",), "load failed with verifier-rejected")
    ]
    assert broken("relocates on *", *cells) == []
    [(_, kernels, _), (_, others, _)] = broken("runs on >=5.10", *cells)
    assert (kernels, others) == (("5.15",), ("6.1",))
    assert weigh("loads on 6.1", *cells).exit_code == 1


def test_a_rule_stands_above_what_is_expected_or_known() -> None:
    """That the case expects a refusal, or the baseline lists it, does not keep a promise."""
    expected = cell("x.o", "5.10")
    refused: Any = {"status": "failed", "code": "helper-unsupported", "message": "no helper", "expected": {}}
    expected["stages"]["load"].update(refused)
    [(_, _, detail)] = broken("loads on 5.10", expected)
    assert detail == "load failed with helper-unsupported, as its case expects: no helper"


def test_for_some_objects() -> None:
    """A glob says of which objects; what loads nothing, and stages that were not asked for, are not spoken of."""
    cells = (cell("a.o", "5.10", REFUSED), cell("b.o", "5.10"))
    assert broken("loads on 5.10 for b*", *cells) == []
    assert broken("loads on 5.10 for [a]*", *cells) != []
    until_load = cell("c.o", "5.10")
    until_load["stages"]["run"]["status"] = "skipped"
    assert broken("runs on 5.10", cells[1], until_load) == []


def test_no_misread() -> None:
    """A misread breaks it, with the access and what it is taken for."""
    misread = {"program": "p", "insn": 1, "access": "task_struct.on_cpu", "taken": "int", "kernel": "u8"}
    wrong = cell("x.o", "7.3", misreads=[misread, misread])
    told = "p: task_struct.on_cpu is taken for int; the kernel has u8 (and 1 more)"
    assert broken("no misread", wrong, cell("x.o", "6.1")) == [("no misread: x.o", ("7.3",), told)]
    assert broken("no misread on <7", wrong, cell("x.o", "6.1")) == []
    assert broken("no misread for y*", wrong, cell("y.o", "7.3")) == []


def test_what_was_not_run_shows_nothing() -> None:
    """A rule of which no cell can tell is broken, in a whole run; each kernel that it names has to be there."""
    here = cell("x.o", "6.1")
    assert broken("loads on >=7", here) == [("loads on >=7", (), "no cell of this run is one that it speaks of")]
    assert broken("loads on 5.10", here) == [
        ("loads on 5.10", (), "no cell of this run is on 5.10, so nothing shows that it holds")
    ]
    assert broken("loads on 5.10", here, partial=True) == []
    assert [what for what, _, _ in broken("no misread for y*", here)] == ["no misread for y*"]


def test_lts_is_each_of_them() -> None:
    """``lts`` means every series that the catalogue says is alive for years."""
    series = [one.name for one in catalogue.load().series.values() if one.lts]
    assert len(series) > 2
    every = [cell("x.o", one) for one in series]
    assert broken("runs on lts", *every) == []
    assert broken("runs on lts", *every[1:])[0][2].startswith(f"no cell of this run is on {series[0]}")
    assert broken("runs on lts/i386", cell("x.o", f"{series[0]}/i386"))[0][2].startswith(
        f"no cell of this run is on {series[1]}/i386"
    )


def test_what_broke_breaks_no_rule() -> None:
    """Where the guest broke, nothing says whether a rule holds: the run is indeterminate, not red."""
    verdict = weigh("loads on 5.10", cell("x.o", "5.10", broke="guest-lost"))
    assert (verdict.changes, verdict.exit_code) == ((), 3)


def test_advisory_kernels_break_no_rule() -> None:
    """A rule is told, and does not decide, on an advisory kernel."""
    verdict = weigh("loads on *", cell("x.o", "7.3", REFUSED), cell("x.o", "6.1"), advisory=["7.3"])
    assert [change.decides for change in verdict.changes if change.kind == Kind.RULE] == [False]
    assert verdict.exit_code == 0


def test_a_kernel_that_is_both() -> None:
    """No kernel is required and advisory."""
    with pytest.raises(UsageError, match=r"advisory: '6.1' is required and advisory \[name it in one of them\]"):
        of_project({"required": ["6.1"], "advisory": ["6.1"]})


def test_a_pattern_that_is_none() -> None:
    """What should be a regular expression and is none is a usage error."""
    with pytest.raises(UsageError, match=r"allow-splats: '\(' is no regular expression: "):
        of_project({"splats": "fail", "allow-splats": ["("]})
