"""Each kind of change goes red or green as it should, and only changes decide."""

from __future__ import annotations

import datetime

import pytest
from tests.gates.made import LINE, REFUSED, cell, run

from everykernel.gates.baseline import Baseline
from everykernel.gates.changes import Kind
from everykernel.gates.gate import Verdict, judge
from everykernel.gates.policy import Policy, of_project
from everykernel.gates.where import Where
from everykernel.matrix.records import CaseResult
from everykernel.matrix.results import Results
from everykernel.report import gate as telling

TODAY = datetime.date(2026, 11, 29)


def weigh(results: Results, text: str | None = "", policy: Policy | None = None) -> Verdict:
    baseline = Baseline.parse(text) if text is not None else None
    return judge(results, policy or Policy(), baseline, today=TODAY)


def told(verdict: Verdict) -> list[tuple[Kind, str]]:
    return [(change.kind, change.what) for change in verdict.changes]


OLD, NEW = cell("x.o", "5.10", REFUSED), cell("x.o", "6.1")
TESTED = "tested kernel 5.10\ntested kernel 6.1\ntested object x.o\n"
THING = "x.o load p: verifier-rejected"


def test_what_is_known_is_green() -> None:
    """A run that fails as the baseline says, and nowhere else, is green, and still counted as failing."""
    verdict = weigh(run(OLD, NEW), TESTED + LINE)
    assert (verdict.changes, verdict.exit_code) == ((), 0)
    assert telling.headline(verdict) == "gate: green; 2 cells: 1 passed, 1 still failing"


def test_without_a_baseline_all_that_failed_decides() -> None:
    """Where nothing says what is known, what is not green is a failure."""
    verdict = weigh(run(OLD, NEW), None)
    assert told(verdict) == [(Kind.FAILED, THING)]
    assert verdict.exit_code == 1
    assert telling.lines(verdict, ["5.10", "6.1"]) == [
        "gate: red: 1 failed; 2 cells: 1 passed, 1 failing",
        f"  failed: {THING} on 5.10: program 'p': verifier-rejected there",
    ]


def test_regressed() -> None:
    """What was tested and not listed, and fails now, has regressed: one line, with all kernels that have it."""
    verdict = weigh(run(OLD, cell("x.o", "6.1", REFUSED)), TESTED)
    assert told(verdict) == [(Kind.REGRESSED, THING)]
    assert verdict.changes[0].kernels == ("5.10", "6.1")
    assert verdict.exit_code == 1
    assert "regressed: x.o load p: verifier-rejected on 5.10..6.1: " in telling.lines(verdict, ["5.10", "6.1"])[1]


def test_regressed_on_one_more_kernel() -> None:
    """A line speaks for its kernels only."""
    verdict = weigh(run(OLD, cell("x.o", "6.1", REFUSED)), TESTED + LINE)
    assert [(c.kind, c.kernels) for c in verdict.changes] == [(Kind.REGRESSED, ("6.1",))]
    assert verdict.counts.still_failing == 1


@pytest.mark.parametrize(
    "added",
    [cell("y.o", "5.10", REFUSED), cell("x.o", "6.12", REFUSED)],
    ids=["object", "kernel"],
)
def test_new(added: CaseResult) -> None:
    """What is not green on an object or a kernel that was not tested before is new, and decides; green is no change."""
    verdict = weigh(run(OLD, NEW, added), TESTED + LINE)
    assert [change.kind for change in verdict.changes] == [Kind.NEW]
    assert verdict.exit_code == 1
    green = cell(str(added["object"]), added["kernel"])
    assert weigh(run(OLD, NEW, green), TESTED + LINE).exit_code == 0


def test_fixed_and_still_listed() -> None:
    """A line about what passes now has to go; one about a range says for which of its kernels it is no longer so."""
    verdict = weigh(run(cell("x.o", "5.10"), NEW), TESTED + LINE)
    assert told(verdict) == [(Kind.FIXED, THING)]
    assert (verdict.changes[0].line, verdict.exit_code) == (4, 1)
    verdict = weigh(run(OLD, NEW), TESTED + LINE.replace("5.10", "5.10..6.1"))
    assert [(c.kind, c.kernels) for c in verdict.changes] == [(Kind.FIXED, ("6.1",))]
    assert verdict.changes[0].detail.endswith("; the line says 5.10..6.1")


def test_another_reason_is_no_fix() -> None:
    """What fails in the same place for another reason has regressed, and says what is listed."""
    verdict = weigh(run(cell("x.o", "5.10", ("load", "p", "limit-exceeded")), NEW), TESTED + LINE)
    assert told(verdict) == [(Kind.REGRESSED, "x.o load p: limit-exceeded")]
    assert verdict.changes[0].detail.startswith("listed as verifier-rejected; ")
    assert verdict.changes[0].line == 4


def test_what_was_not_reached_is_not_fixed() -> None:
    """A stage that an earlier failure, or the user, left out says nothing of what is listed in it."""
    listed = TESTED + "x.o run - 5.10 assertion-failed\n"
    verdict = weigh(run(OLD, NEW), listed + LINE)
    assert verdict.changes == ()
    until_load = cell("x.o", "5.10")
    until_load["stages"]["run"]["status"] = "skipped"
    assert weigh(run(until_load, NEW), listed).changes == ()


def test_expired() -> None:
    """A line whose date is past, or whose kernel the run has, no longer excuses; it says until when it held."""
    for until, exit_code in (("2026-11-29", 0), ("2026-11-28", 1), ("6.2", 0), ("6.1", 1)):
        verdict = weigh(run(OLD, NEW), f'{TESTED}{LINE} "why" until={until}')
        assert verdict.exit_code == exit_code
        if exit_code:
            [change] = verdict.changes
            assert (change.kind, change.detail, change.line) == (Kind.EXPIRED, f"listed until {until}: why", 4)


def test_kernel_gone() -> None:
    """A kernel that was tested and is not in the run decides, with the reason where the run knows one."""
    results = run(NEW)
    verdict = weigh(results, TESTED + LINE)
    assert told(verdict) == [(Kind.KERNEL_GONE, "5.10")]
    assert verdict.changes[0].detail == "no cell of this run is on it, and 1 line about it"
    assert verdict.exit_code == 1
    results["kernels"].append({"spec": "5.10", "missing": "no source has it any more"})
    [change] = weigh(results, TESTED + LINE).changes
    assert change.detail.startswith("no source has it any more, and")
    [change] = weigh(run(NEW), "x.o load p 5.10/i386 verifier-rejected").changes
    assert (change.kind, change.what, change.line) == (Kind.KERNEL_GONE, "5.10/i386", 1)


def test_object_gone() -> None:
    """An object that was tested and is not in the run decides, listed or green."""
    verdict = weigh(run(OLD, NEW), TESTED + LINE + "\ntested object y.o\nz.o load p 5.10 load-failed")
    assert told(verdict) == [(Kind.OBJECT_GONE, "y.o"), (Kind.OBJECT_GONE, "z.o")]
    assert verdict.exit_code == 1


def test_a_part_of_a_run() -> None:
    """In a partial run, what was not run is not gone; what was run is judged as ever."""
    policy = Policy(partial=True)
    text = TESTED + LINE + "\ntested object y.o"
    assert weigh(run(NEW), text, policy).exit_code == 0
    assert weigh(run(cell("x.o", "6.1", REFUSED)), text, policy).exit_code == 1


@pytest.mark.parametrize(("code", "exit_code"), [("guest-lost", 3), ("kernel-panic", 3), ("harness-error", 4)])
def test_what_broke_is_no_regression(code: str, exit_code: int) -> None:
    """A guest or harness that broke is neither regressed nor fixed, is counted, and has an exit code of its own."""
    verdict = weigh(run(cell("x.o", "5.10", broke=code), NEW), TESTED + LINE)
    assert (verdict.changes, verdict.exit_code) == ((), exit_code)
    assert verdict.counts.indeterminate == 1
    head, broken = telling.lines(verdict, ["5.10", "6.1"])
    assert head.startswith("gate: indeterminate; 2 cells: 1 passed, 1 indeterminate (1 ")
    assert broken == f"  indeterminate: x.o on 5.10: {code}: {code} on 5.10"
    worse = weigh(run(cell("x.o", "5.10", broke=code), cell("x.o", "6.1", REFUSED)), TESTED + LINE)
    assert worse.exit_code == exit_code
    assert told(worse) == [(Kind.REGRESSED, THING)]


def test_a_panic_that_is_listed() -> None:
    """People may list what an object does to a kernel; it is fixed once there is a verdict."""
    line = TESTED + 'x.o guest - 5.10 kernel-panic "a bug of 5.10"'
    verdict = weigh(run(cell("x.o", "5.10", broke="kernel-panic"), NEW), line)
    assert (verdict.exit_code, verdict.counts.still_failing) == (0, 1)
    assert weigh(run(cell("x.o", "5.10", broke="guest-lost"), NEW), line).exit_code == 3
    assert told(weigh(run(cell("x.o", "5.10"), NEW), line)) == [(Kind.FIXED, "x.o guest: kernel-panic")]


def test_advisory_kernels() -> None:
    """What is not green on an advisory kernel is told and does not decide, broken guests included."""
    policy = Policy(advisory=(Where.parse("5.10"),))
    verdict = weigh(run(OLD, NEW), TESTED, policy)
    assert (verdict.exit_code, verdict.counts.advisory) == (0, 1)
    assert telling.lines(verdict, ["5.10", "6.1"])[1].endswith(" (advisory: does not decide)")
    assert weigh(run(cell("x.o", "5.10", broke="boot-failed"), NEW), TESTED, policy).exit_code == 0
    assert weigh(run(NEW), TESTED, policy).exit_code == 0
    both = cell("x.o", "6.1", REFUSED)
    assert weigh(run(OLD, both), TESTED, policy).exit_code == 1


def test_required_kernels() -> None:
    """Where some are required, the others are advisory, and those have to be in the run."""
    policy = of_project({"required": ["6.1"]})
    assert weigh(run(OLD, NEW), None, policy).exit_code == 0
    [change] = [c for c in weigh(run(OLD), None, policy).changes if c.decides and c.kind != Kind.EMPTY]
    assert (change.kind, change.what) == (Kind.KERNEL_GONE, "6.1")


@pytest.mark.parametrize("text", [None, TESTED])
def test_no_cell_is_an_error(text: str | None) -> None:
    """A run in which nothing ran, or nothing on a kernel that decides, is not green."""
    assert weigh(run(), text, Policy(partial=True)).exit_code == 4
    policy = Policy(advisory=(Where.parse("*"),), partial=True)
    verdict = weigh(run(OLD), text, policy)
    assert verdict.exit_code == 4
    assert verdict.changes[0].kind == Kind.EMPTY


def test_an_older_run_is_what_is_known() -> None:
    """Against results, what failed then too is known, and what is no longer so does not decide."""
    verdict = judge(run(OLD, cell("x.o", "6.1", REFUSED)), Policy(), None, run(OLD, NEW), TODAY)
    assert [(c.kind, c.kernels) for c in verdict.changes] == [(Kind.REGRESSED, ("6.1",))]
    assert judge(run(cell("x.o", "5.10")), Policy(), None, run(OLD, NEW), TODAY).exit_code == 0
    added = judge(run(OLD, cell("y.o", "5.10", REFUSED)), Policy(), None, run(OLD), TODAY)
    assert told(added) == [(Kind.NEW, "y.o load p: verifier-rejected")]
    broke_then = judge(run(OLD), Policy(), None, run(cell("x.o", "5.10", broke="guest-lost")), TODAY)
    assert told(broke_then) == [(Kind.NEW, THING)]


def test_each_loader_and_target_by_itself() -> None:
    """Cells of other loaders, rules and targets are other things."""
    theirs = cell("x.o", "5.10", REFUSED, loader="aya", rules="aya")
    assert told(weigh(run(theirs), LINE)) == [
        (Kind.REGRESSED, "x.o load p by aya: verifier-rejected"),
        (Kind.KERNEL_GONE, "5.10"),
    ]
    assert weigh(run(theirs), LINE + " loader=aya").exit_code == 0
    ruled = cell("x.o", "5.10", REFUSED, rules="aya", target="board")
    assert weigh(run(ruled), LINE + " rules=aya target=board").exit_code == 0
    assert weigh(run(ruled), LINE).exit_code == 1


def test_btf_in_use() -> None:
    """A line may be about cells with one kind of BTF only."""
    without = cell("x.o", "5.10", REFUSED, btf="none")
    assert weigh(run(without), LINE + " btf=none").exit_code == 0
    supplied = cell("x.o", "5.10", REFUSED, btf="supplied:a.btf")
    [regressed, gone] = weigh(run(supplied), LINE + " btf=none").changes
    assert (regressed.kind, gone.kind) == (Kind.REGRESSED, Kind.KERNEL_GONE)
    assert gone.detail == "no cell of x.o is there with btf=none"


def test_warnings_decide_where_they_should() -> None:
    """A splat is told nowhere, or is as good as a failure, but for those that are allowed."""
    splat = "WARNING: CPU: 1 PID: 4 at kernel/bpf/core.c:1\ntrace"
    results = run(cell("x.o", "5.10", warnings=[splat]))
    assert weigh(results, None, of_project({"splats": "warn"})).exit_code == 0
    strict = of_project({"splats": "fail"})
    assert told(weigh(results, None, strict)) == [(Kind.FAILED, "x.o run: kernel-warning")]
    assert weigh(results, "x.o run - 5.10 kernel-warning", strict).exit_code == 0
    allowing = of_project({"splats": "fail", "allow-splats": [r"at kernel/bpf/core\.c"]})
    assert weigh(results, None, allowing).exit_code == 0


def test_what_passed_when_it_was_run_again() -> None:
    """A verdict that came after a broken guest counts as any, and is counted as flaky besides."""
    again = cell("x.o", "6.1", attempts=[cell("x.o", "6.1", broke="guest-lost")])
    verdict = weigh(run(OLD, again), TESTED + LINE)
    assert verdict.exit_code == 0
    assert telling.counts(verdict) == "2 cells: 1 passed, 1 still failing, 1 of them flaky"
