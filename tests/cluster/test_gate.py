"""What comes from a worker is compared with the schema, bounded, and with what was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everykernel.cluster import gate
from everykernel.errors import HarnessError
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult

MACHINE: dict[str, Any] = {
    "cpus": 2,
    "memory": None,
    "cmdline": "",
    "modules": [],
    "sysctls": {},
    "flavour": "cloud-amd64",
}
WORKER = {"name": "w1", "accelerator": "tcg", "cpus": 2, "qemu": "7.2"}


def asked() -> CaseResult:
    return records.empty(None, "a.bpf.o", "6.1", dict(MACHINE))


def sound() -> dict[str, Any]:
    """Return an answer that passes."""
    result = {**asked(), "outcome": "passed"}
    report = {"result": result, "kernel": {"spec": "6.1"}, "console": "", "starved": ""}
    return {"address": "tcp://w", "worker": dict(WORKER), "report": report, "made": {"6.1 m": True}, "notes": ["a"]}


def test_a_sound_answer_passes() -> None:
    """A report comes through as it is, with who made it and what the kernel took."""
    told = sound()
    answer = gate.read(json.dumps(told).encode(), asked())
    assert (answer.report, answer.worker) == (told["report"], WORKER)
    assert (answer.made, answer.notes, answer.missing) == ({"6.1 m": True}, ("a",), ())


def test_missing_digests_pass() -> None:
    """A worker that lacks something says what."""
    answer = gate.read(json.dumps({"address": "tcp://w", "missing": ["d1"]}).encode(), asked())
    assert (answer.address, answer.missing) == ("tcp://w", ("d1",))


def _set(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        place: Any = told
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("report", "result", "outcome", to="fine"), "results[0].outcome must be one of"),
        (_set("report", "result", "object", to="b.bpf.o"), "it is on another cell"),
        (_set("report", "result", "kernel", to="6.12"), "it is on another cell"),
        (_set("report", "kernel", "spec", to="6.12"), "it is on another cell"),
        (_set("report", "earlier", to=[{"result": {}, "kernel": {"spec": "6.1"}}]), "results[1] must contain"),
        (_set("report", "earlier", to=["no"]), "it holds no report"),
        (_set("report", "console", to=7), "it holds no report"),
        (_set("report", to=None), "it holds no report"),
        (_set("worker", "qemu", to=7), "run.workers[0].qemu must be string"),
        (_set("made", to={"a": "yes"}), "it does not say what its kernel took"),
        (_set("notes", to=["a"] * 2000), "it is no list of texts"),
        (_set("address", to=None), "it names no worker"),
        (_set("missing", to="d1"), "it is no list of texts"),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_harness(change: Callable[[dict[str, Any]], None], said: str) -> None:
    """Each part is looked at; the error says which is wrong, and is no verdict."""
    told = sound()
    change(told)
    with pytest.raises(HarnessError) as caught:
        gate.read(json.dumps(told).encode(), asked())
    assert f"a worker's answer is none: {said}" in str(caught.value)


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", "text", None, b"[" * 100_000, b" " * (gate.LIMIT + 1)])
def test_what_is_no_json_of_a_bounded_size_is_refused(data: object) -> None:
    """Whatever arrives, the gate says in a line that it is no answer."""
    with pytest.raises(HarnessError, match="a worker's answer is none"):
        gate.read(data, asked())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)
PLACES = [
    ("report",),
    ("worker",),
    ("report", "result"),
    ("report", "kernel"),
    ("report", "earlier"),
    ("made",),
    ("notes",),
]


@given(st.sampled_from(PLACES), JSON)
def test_anything_in_any_place_is_an_answer_or_an_error(place: tuple[str, ...], value: object) -> None:
    """No value in any place makes the gate raise anything but its own error."""
    told = sound()
    _set(*place, to=value)(told)
    try:
        answer = gate.read(json.dumps(told).encode(), asked())
    except HarnessError:
        return
    assert place == ("missing",) or answer.report["result"]["object"] == "a.bpf.o"
