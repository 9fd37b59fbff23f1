"""The gate for what an adapter says: every event has its shape, what was said before it broke is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everykernel.loaders import contract, stages
from everykernel.loaders.contract import Answer

LOADER = {"event": "loader", "name": "libbpf", "version": "1.7.0", "detail": {"compiler": "clang"}}
OBJECT = {"event": "object", "status": "passed", "errno": None, "message": ""}
MAP = {
    "event": "map", "name": "m", "type": "hash", "key_size": 4, "value_size": 8, "max_entries": 1, "status": "failed",
    "errno": "EINVAL", "message": "no",
}  # fmt: skip
PROGRAM = {
    "event": "program", "name": "p", "section": "?kprobe/x", "type": "kprobe", "status": "failed", "errno": "EACCES",
    "message": "it says no", "by": "kernel", "log": "R0 !read_ok", "verified_insns": None,
}  # fmt: skip
RELOCATION = {
    "event": "relocation", "program": "p", "insn": 1, "kind": "byte_off", "local": 4, "target": 8, "outcome": "patched",
    "message": "",
}  # fmt: skip
WHOLE = {"event": "whole", "status": "failed", "errno": None, "message": "no"}
END = {"event": "end"}
ALL = (LOADER, OBJECT, MAP, RELOCATION, PROGRAM, WHOLE, END)


def said(*events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def test_a_whole_answer_is_taken_in() -> None:
    """Each event is where it belongs, and nothing is broken."""
    answer = contract.parse(said(*ALL))
    assert answer.broken == ""
    assert answer == Answer(LOADER, OBJECT, [MAP], [PROGRAM], [RELOCATION], WHOLE)  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([OBJECT], "line 1 of its answer (object): nobody said yet which loader this is"),
        ([LOADER, LOADER], "line 2 of its answer (loader): is said twice"),
        ([LOADER, OBJECT, OBJECT], "line 3 of its answer (object): is said twice"),
        ([LOADER, END], "line 2 of its answer (end): nothing was said of the object"),
        ([LOADER, OBJECT, END, WHOLE], "line 4 of its answer follows the end"),
        ([LOADER, {"event": "guess"}], "line 2 of its answer is no event: 'guess'"),
        ([LOADER, ["object"]], "line 2 of its answer is no event: null"),
        ([LOADER, {**OBJECT, "more": 1}], "line 2 of its answer (object): has a key 'more', which it should not have"),
        ([LOADER, {**OBJECT, "status": "fine"}], "line 2 of its answer (object): status is 'fine', not passed, "),
        ([LOADER, {**OBJECT, "errno": 22}], "line 2 of its answer (object): errno is 22, not the name of an errno"),
        ([LOADER, {**PROGRAM, "by": "me"}], "line 2 of its answer (program): by is 'me', not , loader, map or kernel"),
        ([LOADER, {**PROGRAM, "verified_insns": -1}], "line 2 of its answer (program): verified_insns is -1"),
        ([LOADER, {**MAP, "key_size": 1 << 64}], "line 2 of its answer (map): key_size is"),
        ([LOADER, {k: v for k, v in MAP.items() if k != "type"}], "line 2 of its answer (map): has no type"),
    ],
)
def test_what_does_not_keep_to_the_contract_is_told_with_its_line(events: list[Any], why: str) -> None:
    """One line says where, which event, which key, and what is wrong with it."""
    assert contract.parse(said(*events)).broken.startswith(why)


def test_what_was_said_before_it_broke_is_kept() -> None:
    """A crash, a foreign line, an exit code: the programs that were told of before are there."""
    for stdout, code, stderr, why in (
        (said(LOADER, OBJECT, PROGRAM) + b"{'event'", 0, b"", "line 4 of its answer is no JSON: '{'event''"),
        (said(LOADER, OBJECT, PROGRAM) + b"panic: oh\n", 2, b"", "line 4 of its answer is no JSON: 'panic: oh'"),
        (said(LOADER, OBJECT, PROGRAM), 0, b"out of cheese\n", "it ended before its answer did: out of cheese"),
        (said(LOADER, OBJECT, PROGRAM, END), 101, b"", "it ended with exit code 101"),
        (said(LOADER, OBJECT, PROGRAM) + b"\xff\n", 0, b"", "line 4 of its answer is no JSON: '�'"),
    ):
        answer = contract.parse(stdout, code, stderr)
        assert (answer.broken, answer.programs) == (why, [PROGRAM])
    assert contract.parse(b"", 2, b"adapter: it names no object\n").broken == (
        "it does not understand its request: adapter: it names no object"
    )


def test_an_answer_without_end_is_not_followed_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many lines, and no more; a line may not hold more than a frame's text."""
    monkeypatch.setattr(contract, "EVENTS_LIMIT", 5)
    assert contract.parse(said(LOADER, OBJECT, *[PROGRAM] * 9)).broken == "line 6 of its answer is one of more than 5"
    deep = contract.parse(said(LOADER) + b"[" * 100_000)
    assert deep.broken.startswith("line 2 of its answer is no JSON")


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(ALL), st.data())
def test_no_answer_raises(event: dict[str, Any], data: st.DataObject) -> None:
    """Whatever stands in the place of a value is taken in, or told as broken; records are made of what is left."""
    key = data.draw(st.sampled_from(sorted(event)))
    changed = {**event, key: data.draw(_plain)}
    answer = contract.parse(said(*(changed if one is event else one for one in ALL)))
    stages.load(answer, "libbpf")
    stages.relocate(answer, "libbpf")


@given(st.binary())
def test_no_bytes_raise(stdout: bytes) -> None:
    """Bytes that are no answer are a broken adapter."""
    assert contract.parse(stdout).broken


def test_the_records_are_those_that_our_own_loader_fills() -> None:
    """Errno, code by who refused, log; a ``?`` section decides nothing; the whole names its loader."""
    answer = contract.parse(said(*ALL))
    stage = stages.load(answer, "libbpf")
    [program], [made] = stage["programs"], stage["maps"]
    assert (program["section"], program["decides"], program["code"]) == ("kprobe/x", False, "verifier-rejected")
    assert (program["errno"], program["message"], program["log"]) == ("EACCES", "EACCES: it says no", "R0 !read_ok")
    assert (made["code"], made["errno"], made["status"]) == ("map-create-failed", "EINVAL", "failed")
    assert (stage["whole"]["loader"], stage["whole"]["status"]) == ("libbpf", "failed")
    assert (stage["status"], stage["code"]) == ("failed", "loader-refused")
    assert stages.relocate(answer, "libbpf")["status"] == "passed"


def test_a_refusal_that_decides_fails_the_stage_with_the_code_of_who_refused() -> None:
    """The library before it asked, the kernel about a map, about the program without a log; an object not opened."""
    for change, code in (
        ({"by": "loader"}, "loader-refused"),
        ({"by": "map"}, "map-create-failed"),
        ({"log": ""}, "load-failed"),
        ({"log": "", "errno": "EPERM"}, "permission-denied"),
        ({"log": "", "errno": "E2BIG"}, "limit-exceeded"),
        ({}, "verifier-rejected"),
    ):
        answer = contract.parse(said(LOADER, OBJECT, {**PROGRAM, "section": "xdp", **change}, END))
        stage = stages.load(answer, "libbpf")
        assert (stage["status"], stage["code"]) == ("failed", code)
        assert stages.load(answer, "libbpf", ["p"])["status"] == "passed"
    unopened = contract.parse(said(LOADER, {**OBJECT, "status": "failed", "message": "no section"}, END))
    assert stages.load(unopened, "aya")["message"] == "aya does not open it: no section"


def test_the_request_has_the_keys_of_the_contract() -> None:
    """Version, object, programs, types, sizes; pins are off."""
    asked = json.loads(contract.request("/o", programs=["p"], btf="/b", maps={"m": {"max_entries": 5}}))
    assert asked == {
        "contract": 1,
        "object": "/o",
        "programs": ["p"],
        "btf": "/b",
        "maps": {"m": {"max_entries": 5}},
        "pins": False,
        "log_size": 16 << 20,
    }
    assert json.loads(contract.request("/o"))["programs"] is None
