"""An object of which nothing was loaded has not passed."""

from __future__ import annotations

from typing import Any

import pytest
from tests import faking

from everykernel.matrix import substance

REFUSED: Any = {**faking.REFUSED, "decides": False}
MAP: Any = {"name": "m", "status": "passed"}


def judge(load: dict[str, Any], **contract: Any) -> tuple[str, str] | None:
    stage: Any = {"status": "passed", **load}
    found = substance.judge(stage, contract)
    return (found.code, found.message) if found is not None else None


@pytest.mark.parametrize(
    "load",
    [
        {"programs": [faking.PROGRAM]},
        {"programs": [REFUSED, faking.PROGRAM]},  # one is enough
        {"programs": [], "maps": [MAP]},  # an object that has only maps
        {"programs": [{**REFUSED, "expected": {"status": "failed"}}]},  # the case says so
        {"programs": [{**REFUSED, "status": "not-reached"}]},  # relocate refused it, as the case expects
        {"programs": [], "expected": {"status": "passed"}},
    ],
)
def test_something_was_loaded(load: Any) -> None:
    """A program that loads, maps where there are no programs, or the case's own word."""
    assert judge(load) is None


def test_all_optional_and_all_refused() -> None:
    """A refusal of every program fails the stage though none of them decides."""
    assert judge({"programs": [REFUSED], "maps": [MAP]}) == (
        "verifier-rejected",
        "its one program was not loaded, optional or not: program 'p': R0 !read_ok",
    )
    _, message = judge({"programs": [REFUSED, REFUSED]}) or ("", "")
    assert message == "none of its 2 programs was loaded, optional or not: program 'p': R0 !read_ok"


def test_all_skipped() -> None:
    """An object whose programs are all skipped has not passed."""
    assert judge({"programs": [{"name": "p", "status": "skipped"}]}) == (
        "assertion-failed",
        "none of its programs was loaded: all 1 are skipped",
    )


def test_an_empty_object() -> None:
    """Neither program nor map: not green, but for a contract that loads none."""
    wrong = ("object-unsupported", "nothing was loaded: the object has no program and no map")
    assert judge({"programs": [], "maps": []}) == wrong
    assert judge({"programs": []}, globals={"x": 1}) == wrong
    assert judge({"programs": []}, skip=["p"]) is None
    assert judge({"programs": []}, variants={"start": [{"programs": []}]}) is None
