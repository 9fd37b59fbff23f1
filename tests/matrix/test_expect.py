"""Expectations: the first that matches speaks, and both directions count."""

from __future__ import annotations

import time
from typing import Any

import pytest

from everykernel.matrix.expect import Conditions, Expectation, find, judge
from everykernel.matrix.ranges import KernelRange

NOT_REACHED: Any = {"status": "not-reached", "code": "", "message": ""}
HERE = Conditions((6, 1, 192), "x86_64", "kernel")


def failed(code: str = "verifier-rejected", **more: Any) -> Any:
    return {"status": "failed", "code": code, "message": "why", **more}


def passed(**more: Any) -> Any:
    return {"status": "passed", "code": "", "message": "", **more}


@pytest.mark.parametrize(
    ("filters", "speaks"),
    [
        ({}, True),
        ({"kernels": KernelRange.parse("6.1")}, True),
        ({"kernels": KernelRange.parse("<6.1")}, False),
        ({"arch": "x86_64"}, True),
        ({"arch": "i386"}, False),
        ({"btf": "kernel"}, True),
        ({"btf": "none"}, False),
        ({"program": "p"}, False),
    ],
)
def test_filters(filters: dict[str, Any], speaks: bool) -> None:
    """A filter that does not match silences an expectation; one for a program does not speak for its stage."""
    entry = Expectation("load", "failed", **filters)
    assert (find([entry], HERE, "load") is entry) is speaks
    assert find([entry], HERE, "run") is None


def test_btf_of_any_file_is_supplied() -> None:
    """``btf = "supplied"`` matches whichever file was supplied."""
    entry = Expectation("load", "failed", btf=("kernel", "supplied"))
    assert find([entry], Conditions((6, 1), "x86_64", "supplied:vmlinux.btf"), "load") is entry


def test_first_match_speaks() -> None:
    """Order is what the author wrote."""
    entries = [Expectation("load", "passed", btf=("kernel",)), Expectation("load", "failed")]
    assert find(entries, HERE, "load") is entries[0]


def test_without_expectations_stages_are_to_pass() -> None:
    """A failed stage is a problem with the stage's own code and words."""
    [problem] = judge("load", failed(), [], HERE)
    assert (problem.stage, problem.code, problem.message) == ("load", "verifier-rejected", "why")
    assert judge("load", passed(), [], HERE) == []


def test_failure_as_expected() -> None:
    """A stage that fails with the expected code is right, and its record says what was expected."""
    stage: Any = failed()
    assert judge("load", stage, [Expectation("load", "failed", "verifier-rejected", reason="r")], HERE) == []
    assert stage["status"] == "failed"
    assert stage["expected"] == {"status": "failed", "code": "verifier-rejected", "reason": "r"}


def test_other_failure_than_expected() -> None:
    """Another code is wrong, and keeps the code that came."""
    [problem] = judge("load", failed("limit-exceeded"), [Expectation("load", "failed", "verifier-rejected")], HERE)
    assert problem.code == "limit-exceeded"
    assert problem.message == (
        "load is expected to be failed with verifier-rejected, and is failed with limit-exceeded: why"
    )


def test_pass_against_expectation() -> None:
    """An expected failure that passes is wrong."""
    [problem] = judge("load", passed(), [Expectation("load", "failed", "verifier-rejected", reason="r")], HERE)
    assert problem.code == "assertion-failed"
    assert problem.message == "load is expected to be failed with verifier-rejected (r), and is passed"


def test_refused_programs_as_expected_pass_the_stage() -> None:
    """A stage that failed only in programs that are expected to fail passes, with a note."""
    stage: Any = failed(programs=[{"name": "p", **failed()}, {"name": "q", **passed()}])
    assert judge("load", stage, [Expectation("load", "failed", "verifier-rejected", program="p")], HERE) == []
    assert stage["status"] == "passed"
    assert stage["notes"] == ["refused, as the case expects: p (verifier-rejected)"]
    assert stage["programs"][0]["expected"]["status"] == "failed"


def test_a_check_that_failed_is_not_excused() -> None:
    """A run that failed in its check fails, though a program was not attached, as expected."""
    stage: Any = failed("assertion-failed", programs=[{"name": "p", **failed("attach-type-unsupported")}])
    [problem] = judge("run", stage, [Expectation("run", "failed", "attach-type-unsupported", program="p")], HERE)
    assert (problem.code, stage["status"]) == ("assertion-failed", "failed")


def test_map_that_failed_is_not_excused() -> None:
    """A map that could not be made fails the stage even where its programs fail as expected."""
    stage: Any = failed("map-create-failed", programs=[{"name": "p", **failed()}], maps=[{"name": "m", **failed()}])
    [problem] = judge("load", stage, [Expectation("load", "failed", program="p")], HERE)
    assert problem.code == "map-create-failed"


def test_other_program_refused() -> None:
    """A refusal that nobody expected is a problem of that program."""
    stage: Any = failed(programs=[{"name": "p", **failed()}, {"name": "q", **failed("helper-unsupported")}])
    [problem] = judge("load", stage, [Expectation("load", "failed", program="p")], HERE)
    assert (problem.program, problem.code, problem.message) == ("q", "helper-unsupported", "program 'q': why")


def test_program_that_loads_against_expectation() -> None:
    """A program that is expected to be refused and loads is a problem."""
    stage: Any = passed(programs=[{"name": "p", **passed()}])
    [problem] = judge("load", stage, [Expectation("load", "failed", program="p")], HERE)
    assert problem.message == "program 'p': load is expected to be failed, and is passed"


def test_optional_program_decides_nothing() -> None:
    """A ``?`` program that is refused is shown, and no problem."""
    stage: Any = passed(programs=[{"name": "p", "decides": False, **failed()}])
    assert judge("load", stage, [], HERE) == []


def test_program_that_is_not_there() -> None:
    """An expectation of a program that the object does not have is a problem: it may be misspelt."""
    stage: Any = passed(programs=[{"name": "p", **passed()}])
    [problem] = judge("load", stage, [Expectation("load", "failed", program="q")], HERE)
    assert problem.message == "expected program 'q' to be failed, and the object has none"
    assert judge("load", NOT_REACHED, [Expectation("load", "failed", program="q")], HERE, excused=True) == []


@pytest.mark.parametrize("status", ["banana", None, {}, "", "PASSED", "skipped", "not-reached"])
@pytest.mark.parametrize("name", ["relocate", "load", "run"])
def test_only_passed_is_a_pass(name: str, status: Any) -> None:
    """Without an expectation a stage has to say that it passed; what is no status at all is the guest's fault."""
    [problem] = judge(name, {"status": status, "code": "", "message": ""}, [], HERE)
    known = status in ("skipped", "not-reached")
    assert problem.code == ("assertion-failed" if known else "guest-lost")
    assert judge(name, {}, [], HERE)[0].code == "guest-lost"


def test_a_stage_that_need_not_be_reached() -> None:
    """What an earlier stage stopped, as expected, is right when it was not reached, and only then excused."""
    stage: Any = dict(NOT_REACHED)
    assert judge("load", stage, [], HERE, excused=True) == []
    stage["status"] = "banana"
    [problem] = judge("load", stage, [], HERE, excused=True)
    assert problem.message == "load has status 'banana', which is none"


@pytest.mark.parametrize(
    ("status", "before", "message"),
    [
        ("passed", (), None),
        ("skipped", (), None),  # a variant that was given up; a program that attaches only to what a caller names
        ("not-reached", ("p",), None),
        ("not-reached", (), "program 'p' is not-reached, and nothing says why: hm"),
        ("banana", (), "program 'p' has status 'banana', which is none"),
        (None, ("p",), "program 'p' has status None, which is none"),
    ],
)
def test_statuses_of_programs(status: Any, before: tuple[str, ...], message: str | None) -> None:
    """A program passed, or something says why not; a status that is none is found in optional programs too."""
    for decides in (True, False):
        stage: Any = passed(programs=[{"name": "p", "status": status, "code": "", "message": "hm", "decides": decides}])
        found = judge("load", stage, [], HERE, refused_before=before)
        if message is None or (not decides and status == "not-reached"):
            assert found == []
        else:
            assert [p.message for p in found] == [message]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("passed", None),
        ("skipped", None),
        ("failed", "map-create-failed"),
        ("not-reached", "assertion-failed"),
        ("banana", "guest-lost"),
    ],
)
def test_statuses_of_maps(status: str, code: str | None) -> None:
    """A stage that says that it passed has no map that did not."""
    stage: Any = passed(
        maps=[{"name": "m", "status": status, "code": "map-create-failed" if status == "failed" else ""}]
    )
    assert [p.code for p in judge("load", stage, [], HERE)] == ([code] if code else [])


def test_twenty_thousand_programs() -> None:
    """Judging costs the same for each program, and a note that tells of many counts them."""
    stage: Any = failed(programs=[{"name": f"p{n}", **failed()} for n in range(20_000)])
    began = time.process_time()
    assert len(judge("load", stage, [], HERE)) == 20_000
    entries = [Expectation("load", "failed", program=f"p{n}") for n in range(30)]
    few: Any = failed(programs=[{"name": f"p{n}", **failed()} for n in range(30)])
    assert judge("load", few, entries, HERE) == []
    assert few["notes"][0].endswith("p19 (verifier-rejected) and 10 more")
    assert time.process_time() - began < 2
