"""What a guest says passes the gate only in the shape that its request declares; nothing but GuestLost leaves it."""

from __future__ import annotations

import dataclasses
import json
import random
import time
import tracemalloc
from typing import Any

import pytest

from everykernel import wire
from everykernel.errors import GuestLost
from everykernel.machine import gate
from everykernel.reasons import REASONS

RELOCATION = {
    "section": "kprobe/x", "program": "p", "index": 3, "insn": 7, "kind": "byte_off", "access": "task_struct.pid",
    "local": 4, "target": None, "outcome": "poisoned", "old": 4, "new": -1, "candidates": ["struct task_struct"],
    "message": "no such field",
}  # fmt: skip
PROGRAM = {
    "name": "p", "section": "kprobe/x", "type": "kprobe", "attach": "x", "status": "failed", "errno": "EACCES",
    "code": "verifier-rejected", "message": "R0 !read_ok", "log": "0: exit\n" * 100, "source": "p.bpf.c:1",
    "insns": 2, "verified_insns": None, "decides": True, "variant": "a: b",
}  # fmt: skip
STAGE = {"status": "failed", "code": "verifier-rejected", "message": "R0 !read_ok", "seconds": 0.5, "notes": ["a note"]}
MAP = {"name": "m", "type": "hash", "key_size": 4, "status": "passed", "code": "", "errno": None, "note": "1"}
USE = {"name": "p", "attached": True, "test_runs": 0, "runs": None}
FACTS = wire.Facts("6.1.0-56-cloud-amd64", "#1 SMP", "x86_64", 2, True, [], True, ["bpf"], "none", "2", True, "3.11.2")

WRITTEN = {"first": b"out", "last": b"", "left_out": 0}
CALL = {
    "at": 0.1,
    "pid": 7,
    "command": "PROG_LOAD",
    "errno": "EACCES",
    "name": "p",
    "type": "xdp",
    "attach": "",
    "id": None,
    "insns": 2,
    "log": "0: exit\n" * 100,
    "probe": False,
    "code": "verifier-rejected",
    "message": "EACCES: no",
}
APPEARED = {"id": 7, "name": "p", "type": "xdp", "verified_insns": None, "runs": 3, "left": False}
COMMANDED = wire.Commanded(
    "exit", 1, "", 0.5, WRITTEN, WRITTEN, 3, 0, [CALL], 0, 0, [APPEARED], [APPEARED], ["it left a process behind"]
)

# An answer that is fine to each kind of request.
FINE: list[tuple[wire.Request[Any], Any]] = [
    (wire.Hello(0, b""), FACTS),
    (wire.Ping(), wire.Done()),
    (wire.Run(["true"]), wire.Ran(-9, b"out", b"\0")),
    (wire.Start(["true"]), wire.Value(1)),
    (wire.Follow(1), wire.Output(b"", b"x", None)),
    (wire.Push("/x", b""), wire.Done()),
    (wire.Place([]), wire.Done()),
    (wire.Room(), wire.Value(1 << 30)),
    (wire.Command(["true"], 1.0), COMMANDED),
    (wire.Pull("/x"), wire.Value(bytes(100))),
    (
        wire.Load("x", b""),
        wire.Loaded(
            1,
            {**STAGE, "btf": "kernel", "relocations": [RELOCATION]},
            {**STAGE, "maps": [MAP], "programs": [PROGRAM], "uses": [USE], "evidence": {"a": [1.5, {"b": b"c"}]}},
        ),
    ),
    (wire.Attach(1), wire.Attached([PROGRAM])),
    (wire.Detach(1), wire.Done()),
    (wire.TestRun(1, "p"), wire.TestRan(0, b"", b"", 7)),
    (wire.Read(1, "p"), wire.Value("text" * 100_000)),
    (wire.MapOp(1, "m", "lookup"), wire.Value({"a": [1, None, True, "x", 1 << 127, b"y"]})),
    (wire.MapOp(1, "m", "items"), wire.Value([[1, 2], ["a", {"b": 3}]])),
    (wire.MapOp(1, "m", "send"), wire.Value(3)),
    (wire.Globals(1), wire.Value({"x": -1, "name\udc80": {"y": b"z"}})),
    (wire.Events(1, "m"), wire.Value({"samples": [b"a", b"b"], "lost": 0})),
    (wire.Check(1, "", ""), wire.Checked(False, "no", "x:1", {"a": []}, [USE], [PROGRAM])),
    (wire.Finish(), wire.Value(["1 map stayed that was not there before: number 7"])),
    (wire.Unload(1), wire.Done()),
    (wire.Load("x", b""), wire.Failed("permission-denied", "lockdown", "x", "")),
    (wire.Load("x", b""), wire.Broke("KeyError: 'x'", "Traceback")),
]


def split(frame: bytes) -> tuple[bytes, bytes]:
    """Return text and blob of a frame."""
    text, _ = wire.lengths(frame[: wire.HEADER.size])
    body = frame[wire.HEADER.size :]
    return body[:text], body[text:]


def admit(request: wire.Request[Any], answer: Any) -> Any:
    return gate.admit(*split(wire.encode(5, answer)), {5: request})[1]


def lost(request: wire.Request[Any], answer: Any) -> str:
    """Return why the gate does not let an answer pass."""
    with pytest.raises(GuestLost) as caught:
        admit(request, answer)
    assert "\n" not in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize(("request_", "answer"), FINE, ids=lambda m: m.kind)
def test_what_is_declared_passes(request_: wire.Request[Any], answer: Any) -> None:
    """An answer of the declared shape comes out as it went in."""
    assert admit(request_, answer) == answer


def test_every_request_has_a_fine_answer_above() -> None:
    """No kind of request is left out."""
    assert {type(request) for request, _ in FINE} == set(wire.Request.__subclasses__())


@pytest.mark.parametrize(("request_", "_"), FINE, ids=lambda m: m.kind)
def test_no_other_kind_passes(request_: wire.Request[Any], _: Any) -> None:
    """An answer to something else, a request, or a kind that nobody knows is no answer."""
    declared = {type(answer).kind for request, answer in FINE if type(request) is type(request_)} | {"failed", "broke"}
    for _other, answer in FINE:
        if type(answer).kind not in declared:
            assert f"answer to {request_.kind}: is '{type(answer).kind}', not " in lost(request_, answer)
    assert "is 'run', not" in lost(wire.Ping(), wire.Run(["x"]))
    body = {"n": 5, "kind": "ba\nnana", "body": {}}
    with pytest.raises(GuestLost, match=r"answer to ping: is 'ba\\nnana', not done, broke, failed"):
        gate.admit(json.dumps(body).encode(), b"", {5: wire.Ping()})


STATUSES = "passed, failed, skipped or not-reached"
OUTCOMES = "patched, poisoned or failed"


def loaded(*, program: Any = None, relocation: Any = None, stage: Any = None) -> wire.Loaded:
    relocate = {**STAGE, "relocations": [{**RELOCATION, **(relocation or {})}]}
    return wire.Loaded(
        1, relocate, {**STAGE, "programs": [PROGRAM] * 3 + [{**PROGRAM, **(program or {})}], **(stage or {})}
    )


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (loaded(program={"status": "banana"}), "load.programs[3].status is 'banana', not " + STATUSES),
        (loaded(program={"status": None}), "load.programs[3].status is null, not " + STATUSES),
        (loaded(program={"code": "fine"}), "load.programs[3].code is 'fine', not a reason code that a guest may give"),
        (loaded(program={"log": 3}), "load.programs[3].log is 3, not text"),
        (loaded(program={"decides": 1}), "load.programs[3].decides is 1, not true or false"),
        (loaded(program={"x\x1b[31m": 1}), r"load.programs[3] has a key 'x\x1b[31m', which it should not have"),
        (loaded(program={"insns": 1 << 64}), "load.programs[3].insns is 18446744073709551616, not a number of 64 bits"),
        (loaded(program={"insns": True}), "load.programs[3].insns is true, not a number of 64 bits"),
        (loaded(program={"insns": 1.0}), "load.programs[3].insns is 1.0, not a number of 64 bits"),
        (loaded(program={"insns": 10**4000}), "load.programs[3].insns is a huge number, not a number of 64 bits"),
        (loaded(program={"name": "x" * 70000}), "load.programs[3].name has 70000 characters, more than 65536"),
        (loaded(program={"name": b"x"}), "load.programs[3].name is bytes, not text"),
        (loaded(relocation={"outcome": "fine"}), "relocate.relocations[0].outcome is 'fine', not " + OUTCOMES),
        (loaded(relocation={"candidates": "x"}), "relocate.relocations[0].candidates is 'x', not a list"),
        (loaded(relocation={"candidates": [1]}), "relocate.relocations[0].candidates[0] is 1, not text"),
        (loaded(stage={"seconds": -1}), "load.seconds is -1, not a number of seconds"),
        (loaded(stage={"seconds": float("1e300")}), "load.seconds is 1e+300, not a number of seconds"),
        (loaded(stage={"programs": {}}), "load.programs is an object, not a list"),
        (loaded(stage={"uses": [{"name": "p"}]}), "load.uses[0] has no attached"),
        (loaded(stage={"uses": [{**USE, "runs": -1}]}), "load.uses[0].runs is -1, not a number of 64 bits"),
        (wire.Loaded(1, [], STAGE), "relocate is a list, not an object"),  # type: ignore[arg-type]
        (wire.Loaded(1, STAGE, {**STAGE, "maps": [{"name": "m"}]}), "load.maps[0] has no status"),
        (wire.Loaded(1, STAGE, {"status": "passed"}), "load has no code"),
        (wire.Loaded("x", STAGE, STAGE), "handle is 'x', not a number of 64 bits"),  # type: ignore[arg-type]
        (wire.Loaded(-1, STAGE, STAGE), "handle is -1, not a number of 64 bits"),
    ],
)  # fmt: skip
def test_a_record_of_odd_shape(odd: wire.Loaded, message: str) -> None:
    """What does not fit is named, and what would, with its place in the answer."""
    assert lost(wire.Load("x", b""), odd) == f"answer to load: {message}"


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"end": "well"}, "end is 'well', not exit, signal, deadline, processes or not-started"),
        ({"code": -9}, "code is -9, not a number of 64 bits"),
        ({"stdout": {"first": b""}}, "stdout has no last"),
        ({"stdout": {**WRITTEN, "left_out": -1}}, "stdout.left_out is -1, not a number of 64 bits"),
        (
            {"calls": [{**CALL, "code": "timeout"}]},
            "calls[0].code is 'timeout', not a reason code that a guest may give",
        ),
        ({"calls": [{"at": 0.1}]}, "calls[0] has no command"),
        ({"calls": [{**CALL, "name": "x" * 70000}]}, "calls[0].name has 70000 characters, more than 65536"),
        ({"blamed": "0"}, "blamed is '0', not a number of 64 bits"),
        ({"programs": [{**APPEARED, "left": 1}]}, "programs[0].left is 1, not true or false"),
    ],
)
def test_an_odd_record_of_a_command(odd: dict[str, Any], message: str) -> None:
    """What a guest says of a command is compared with what can be said of one."""
    told = dataclasses.replace(COMMANDED, **odd)
    assert lost(wire.Command(["true"], 1.0), told) == f"answer to command: {message}"


def test_codes_that_are_the_hosts_to_give() -> None:
    """A guest cannot say how a guest or the harness broke, in no place that has a code."""
    codes = {code for code, reason in REASONS.items() if reason.stage == "guest"} | {"timeout", "kernel-warning"}
    assert {"harness-error", "kernel-panic", "kernel-oops", "kernel-hung", "guest-lost", "boot-failed"} <= codes
    for code in codes:
        assert "code is" in lost(wire.Ping(), wire.Failed(code, "I did it"))
        assert "code is" in lost(wire.Load("x", b""), loaded(stage={"code": code}))
        assert "code is" in lost(wire.Attach(1), wire.Attached([{**PROGRAM, "code": code}]))
        assert "code is" in lost(
            wire.Check(1, "", ""), wire.Checked(True, "", "", None, [], [{**PROGRAM, "code": code}])
        )
    for code in REASONS.keys() - codes:
        assert admit(wire.Ping(), wire.Failed(code, "I did it")).code == code


@pytest.mark.parametrize(
    ("request_", "value"),
    [
        (wire.Start(["x"]), "1"),
        (wire.Pull("/x"), "text"),
        (wire.Read(1, "p"), b"bytes"),
        (wire.Globals(1), [1]),
        (wire.Events(1, "m"), {"samples": [b""]}),
        (wire.Events(1, "m"), {"samples": ["text"], "lost": 0}),
        (wire.Events(1, "m"), {"samples": [], "lost": -1}),
        (wire.MapOp(1, "m", "items"), [[1, 2, 3]]),
        (wire.MapOp(1, "m", "items"), {"a": 1}),
        (wire.MapOp(1, "m", "send"), None),
        (wire.MapOp(1, "m", "lookup"), 1 << 128),
        (wire.MapOp(1, "m", "lookup"), {"a": [float("inf")]}),
    ],
)
def test_a_value_of_odd_shape(request_: wire.Request[Any], value: Any) -> None:
    """Plain data is what its request says that it is."""
    assert lost(request_, wire.Value(value)).startswith(f"answer to {request_.kind}: ") or "stream is broken" in lost(
        request_, wire.Value(value)
    )


@pytest.mark.parametrize("release", ["", "../../etc", "6.1/x", ".hidden", "6.1 x", "6.1\n", "a" * 65, 61])
def test_a_release_is_a_name(release: Any) -> None:
    """A release becomes part of paths."""
    facts = wire.Facts(**{**vars(FACTS), "release": release})
    assert lost(wire.Hello(0, b""), facts).startswith("answer to hello: release is ")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"3",
        b"NaN",
        b'{"n":NaN}',
        b'{"n":1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"n":5,"kind":["done"],"body":{}}',
        b'{"n":5,"kind":{"a":1},"body":{}}',
        b'{"n":5,"kind":"done"}',
        b'{"n":5,"kind":"done","body":[]}',
        b'{"n":5,"kind":"done","body":{"a":1}}',
        b'{"n":true,"kind":"done","body":{}}',
        b'{"n":5.0,"kind":"done","body":{}}',
        b'{"n":"5","kind":"done","body":{}}',
        b'{"n":6,"kind":"done","body":{}}',
        b'{"kind":"done","body":{}}',
        '{"n":5,"kind":"done","body":{}}'.encode("utf-16"),
        b'{"n":5,"kind":"done","body":{"$bytes":[0,0]}}',
    ],
)
def test_text_that_is_no_answer(text: bytes) -> None:
    """Whatever the text is, only GuestLost leaves the gate."""
    with pytest.raises(GuestLost):
        gate.admit(text, b"", {5: wire.Ping(), 1: wire.Ping()})


def test_infinity_in_disguise() -> None:
    """A number that is written out and too large is as little a number as Infinity."""
    for number in (b"1e999", b"-1e999", b"Infinity", b"NaN"):
        with pytest.raises(GuestLost):
            gate.admit(b'{"n":5,"kind":"value","body":{"value":%s}}' % number, b"", {5: wire.MapOp(1, "m", "lookup")})


def test_depth_is_bounded() -> None:
    """What is nested deeper than any type of a kernel's is not taken."""
    value: Any = 1
    for _ in range(wire.DEPTH_LIMIT):
        value = [value]
    request = wire.MapOp(1, "m", "lookup")
    assert admit(request, wire.Value(value)).value == value
    assert lost(request, wire.Value([value])).endswith("is nested more than 64 deep")


@pytest.mark.parametrize(
    "place",
    [[0, 5], [4, 1], [-1, 1], [0, -1], [0], [0, 1, 2], ["0", 1], [0.0, 1], [True, 1], "01", None, {"a": 1, "b": 2}],
)
def test_bytes_that_are_not_there(place: Any) -> None:
    """Bytes are a place in the frame's own blob."""
    text = {"n": 5, "kind": "value", "body": {"value": {"$bytes": place}}}
    with pytest.raises(GuestLost):
        gate.admit(json.dumps(text).encode(), b"1234", {5: wire.Pull("/x")})


def test_bytes_are_said_once() -> None:
    """A short text cannot make many copies of a long blob."""
    text = {"n": 5, "kind": "value", "body": {"value": [{"$bytes": [0, 1 << 20]}] * 1000}}
    tracemalloc.start()
    with pytest.raises(GuestLost):
        gate.admit(json.dumps(text).encode(), bytes(1 << 20), {5: wire.MapOp(1, "m", "lookup")})
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"0,", b'{"a":1},', b'"\\"":1,', b'"a" "', b'\\""'])
def test_many_small_values_are_refused_before_they_are_made(unit: bytes) -> None:
    """32 MiB of them cost no more than a look: neither minutes nor gigabytes."""
    text = b'{"n":5,"kind":"value","body":{"value":[' + unit * ((wire.TEXT_LIMIT - 100) // len(unit)) + b"0]}}"
    began = time.process_time()
    with pytest.raises(GuestLost):
        gate.admit(text, b"", {5: wire.MapOp(1, "m", "lookup")})
    assert time.process_time() - began < 5


def test_a_text_that_is_one_long_word() -> None:
    """What looks like structure and is within strings does not count."""
    answer = wire.Value(",[{:" * (6 << 20))
    assert admit(wire.Read(1, "p"), answer) == answer
    text, _ = split(wire.encode(5, answer))
    with pytest.raises(GuestLost, match="holds too much"):
        gate.admit(text + b" " * (wire.TEXT_LIMIT + 1 - len(text)), b"", {5: wire.Read(1, "p")})


def test_a_real_objects_records_pass() -> None:
    """Thousands of programs and relocations are within all limits, by far."""
    stage = {**STAGE, "programs": [{**PROGRAM, "log": ""}] * 20_000, "relocations": [RELOCATION] * 10_000}
    answer = wire.Loaded(1, STAGE, stage)
    text, _ = split(wire.encode(5, answer))
    assert len(text) < wire.TEXT_LIMIT // 2
    assert admit(wire.Load("x", b""), answer) == answer


def test_stage_0() -> None:
    """The first word of a guest passes the gate too."""
    assert gate.stage0(b'{"kind":"stage0","python":"3.11","problems":["x"]}')["problems"] == ["x"]
    for text in (
        b"[]",
        b"{}",
        b'{"kind":"stage0","python":"3","problems":"x"}',
        b'{"kind":"stage0","python":"3","problems":[1]}',
    ):
        with pytest.raises(GuestLost, match="stage 0: "):
            gate.stage0(text)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_answers(seed: int) -> None:
    """Damaged answers are an answer or GuestLost, whatever is damaged; there are many of both."""
    dice = random.Random(seed)
    passed = refused = 0
    for _ in range(1500):
        request, answer = dice.choice(FINE)
        text, blob = split(wire.encode(5, answer))
        if dice.random() < 0.2:
            blob = blob[: dice.randrange(len(blob) + 1)]
        text = shuffled(text, dice) if dice.random() < 0.5 else scribbled(text, dice)
        try:
            gate.admit(text, blob, {5: request})
            passed += 1
        except GuestLost as e:
            shown = e.message
            refused += shown.isprintable()
    assert passed + refused == 1500
    assert passed > 50
    assert refused > 500


def scribbled(text: bytes, dice: random.Random) -> bytes:
    """Return the text with some bytes replaced, added or left out."""
    out = bytearray(text)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(out))
        out[at : at + dice.randrange(3)] = bytes(dice.choices(b'{}[]",:0e.-tn\x00\xff\\', k=dice.randrange(3)))
    return bytes(out)


ODD: list[Any] = [None, True, -1, 1 << 70, 1.5, "", "passed", "harness-error", [], {}, [[]], {"status": {}}, "\ud800"]


def shuffled(text: bytes, dice: random.Random) -> bytes:
    """Return the text with one value, wherever it is, replaced by another."""
    outer = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                collect(value[key])

    collect(outer)
    holder, key = dice.choice(places)
    holder[key] = dice.choice(ODD)
    return json.dumps(outer).encode()
