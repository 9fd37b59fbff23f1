"""What a check returns, and what is long, is made fit for an answer in the guest; here outside any guest."""

from __future__ import annotations

from typing import Any, cast

import pytest

from everykernel import wire
from everykernel.guest import requests
from everykernel.load import LoadedObject
from everykernel.machine import gate


def admitted(evidence: str) -> wire.Checked:
    """Run a check that returns this, and return its answer as it comes out of the gate."""
    checked = requests.run_check(cast("LoadedObject", None), f"def check(obj):\n    return {evidence}\n", "case.py")
    frame, start = wire.encode(1, checked), wire.HEADER.size
    end = start + wire.lengths(frame[:start])[0]
    found = gate.admit(frame[start:end], frame[end:], {1: wire.Check(1, "", "")})[1]
    assert isinstance(found, wire.Checked)
    return found


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ("{1: (2.5, None, {'a': b'\\0'})}", {"1": [2.5, None, {"a": b"\0"}]}),
        ("[float('nan'), float('-inf'), 1 << 130, 10 ** 5000 > 0]", ["nan", "-inf", hex(1 << 130), True]),
        ("[-(1 << 127) + 1, object]", [-(1 << 127) + 1, "<class 'object'>"]),
    ],
)
def test_evidence_is_plain_data(evidence: str, told: Any) -> None:
    """What no answer can hold becomes its text."""
    found = admitted(evidence)
    assert found.passed
    assert found.evidence == told


def test_evidence_in_itself() -> None:
    """Data without end, and data that cannot be shown, do not break the agent."""
    found = admitted("(a := [1], a.append(a))[0]")
    assert found.passed
    assert "[1, [...]]" in str(found.evidence)
    found = admitted("type('Odd', (), {'__repr__': lambda self: 1 / 0})()")
    assert (found.passed, found.message, found.where) == (False, "ZeroDivisionError: division by zero", "case.py:2")


def test_long_logs_are_cut_in_their_middle() -> None:
    """The logs of all programs fit one answer; short ones stay, and so do the object's own."""
    long, short = "begin" + "x" * requests.LOGS_LIMIT + "end", "short"
    programs: list[wire.ProgramRecord] = [{"name": "a", "log": long}, {"name": "b", "log": short}, {"name": "c"}]
    stage: wire.Stage = {"status": wire.FAILED, "programs": programs}
    first, second, third = requests._with_logs_cut(stage)["programs"]
    left_out = len(long) - requests.LOGS_LIMIT // 3 // 2 * 2
    assert first["log"].startswith("beginxxx")
    assert first["log"].endswith("xxxend")
    assert f"x\n({left_out} characters left out)\nx" in first["log"]
    assert len(first["log"]) < requests.LOGS_LIMIT // 3 + 100
    assert (second["log"], third) == (short, {"name": "c"})
    assert programs[0]["log"] is long
    programs[0]["log"] = short
    assert requests._with_logs_cut(stage) == stage
