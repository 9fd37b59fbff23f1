"""The sentence on a row says what was measured, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from everykernel.matrix.records import CaseResult
from everykernel.report.runview import words

PASSED = {"status": "passed", "code": ""}
NOT_REACHED = {"status": "not-reached", "code": ""}


def a_row(*cells: str) -> list[words.Tested]:
    """Columns ``name=what``: + (loads and runs), a reason code, ``part``, ``broke``, ``run:code``, ``~`` (misreads)."""
    found = []
    for text in cells:
        name, _, what = text.partition("=")
        family = name.partition(":")[0] if ":" in name else name.partition("/")[2]
        series = {"el8": "4.18", "el9": "5.14"}.get(name, "")
        family = "el" if name.startswith("el") else family
        found.append(words.Tested(name, family, series, [result(what)]))
    return found


def result(what: str) -> CaseResult:
    stages: dict[str, Any] = {"relocate": PASSED, "load": PASSED, "run": PASSED}
    made: dict[str, Any] = {"outcome": "passed", "stages": stages}
    if what == "broke":
        made.update({"outcome": "error", "code": "kernel-panic"})
    elif what == "part":
        refused = {"status": "failed", "code": "helper-unsupported", "decides": True}
        stages["load"] = {**PASSED, "programs": [refused, {**refused, "decides": False}]}
    elif what.startswith("run:"):
        stages["run"] = {"status": "failed", "code": what[4:]}
    elif what == "btf-missing":
        stages.update({"relocate": {"status": "failed", "code": what}, "load": NOT_REACHED, "run": NOT_REACHED})
    elif what == "~":
        made["misreads"] = [{}]
    elif what == "loads":
        stages["run"] = NOT_REACHED
    elif what.startswith("command"):
        stages.update({"relocate": NOT_REACHED, "load": NOT_REACHED})
        if what != "command":
            stages["run"] = {"status": "failed", "code": what.partition(":")[2]}
    elif what == "nothing":
        stages.update({"relocate": NOT_REACHED, "load": NOT_REACHED, "run": NOT_REACHED})
    elif what != "+":
        stages.update({"load": {"status": "failed", "code": what}, "run": NOT_REACHED})
    return made  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["6.1=+"], "loads and runs on 6.1"),
        (["5.10=+", "6.1=+", "6.12=+"], "loads and runs on 5.10..6.12"),
        (["5.10=+", "6.1=loads"], "loads on 5.10..6.1"),
        (["5.10=verifier-rejected", "6.1=+", "6.12=+"], "loads and runs from 6.1, not on 5.10 (verifier-rejected)"),
        (["5.10=+", "6.1=+", "7.3=kfunc-missing"], "loads and runs up to 6.1, not on 7.3 (kfunc-missing)"),
        (["5.10=+", "6.1=a", "6.12=+"], "loads and runs on 5.10, 6.12, not on 6.1 (a)"),
        (["5.10=a", "6.1=a", "6.12=b"], "loads nowhere: not on 5.10..6.1 (a), not on 6.12 (b)"),
        (["6.1=a"], "loads nowhere: not on 6.1 (a)"),
        (
            ["5.10=a", "5.15=+", "6.1=+", "6.1/i386=btf-missing"],
            "loads and runs from 5.15, not on 5.10 (a), not on 6.1/i386 (btf-missing)",
        ),
        (["5.10=a", "6.1=+", "6.1/i386=+"], "loads and runs from 6.1, also on 6.1/i386, not on 5.10 (a)"),
        (
            ["5.10=a", "5.15=+", "6.1=+", "el8=a", "el9=+"],
            "loads and runs from 5.15, also on el9 (5.14), not on 5.10, el8 (4.18) (a)",
        ),
        (["5.10=part", "6.1=+"], "loads and runs from 6.1, in part on 5.10 (helper-unsupported)"),
        (["5.10=part", "6.1=a"], "loads in part on 5.10 (helper-unsupported), not on 6.1 (a)"),
        (["5.10=+", "6.1=~", "7.3=~"], "loads and runs on 5.10..7.3; misreads on 6.1..7.3"),
        (["5.10=run:trigger-failed", "6.1=+"], "loads on 5.10..6.1; does not run on 5.10 (trigger-failed)"),
        (["5.10=+", "6.1=broke"], "loads and runs on 5.10; nothing known on 6.1: the guest or the harness broke"),
        (["5.10=broke"], "nothing known on 5.10: the guest or the harness broke"),
        (["5.10=command", "6.1=command:a"], "runs on 5.10, fails on 6.1 (a)"),
        (["5.10=nothing"], ""),
        ([], ""),
        ([f"{n}:6.1=+" for n in "abcdef"], "loads and runs on all 6 kernels"),
        ([*(f"{n}:6.1=+" for n in "abcde"), "f:6.1=x"], "loads and runs on 5 of 6 kernels, not on f:6.1 (x)"),
    ],
)
def test_sentences(cells: list[str], sentence: str) -> None:
    """Ranges are of what was tested; exceptions are named with their reasons; broken guests say nothing."""
    assert words.line(a_row(*cells)) == sentence


def test_the_worst_of_several_machines_counts() -> None:
    """Where one kernel met an object on several machines, the sentence speaks of all of them."""
    one = words.Tested("6.1", "", "6.1", [result("+"), result("map-create-failed")])
    assert words.line([one]) == "loads nowhere: not on 6.1 (map-create-failed)"
