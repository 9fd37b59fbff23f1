"""What a guest that was taken over may answer: real replies, changed where a reader may believe them.

A frame's text is JSON, so most changes are made in its values: another type, a status that does not exist, a code that
is the host's to give, numbers without an end, text that a terminal, Markdown or XML obeys, lists of thousands, depth.
Some are made in its bytes, and some replies answer another question.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

from tests.fuzz.recording import Reply

ODD: tuple[Any, ...] = (
    # of another type, or a number that no field has
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 10**400, 0.5, 1e308, float("nan"), float("inf"),
    # words: those of statuses, codes and BTF, and others
    "", "passed", "failed", "skipped", "not-reached", "banana", "harness-error", "kernel-panic", "guest-lost",
    "boot-failed", "timeout", "verifier-rejected", "kernel", "module:x", "supplied:\x1b",
    # what terminals, Markdown, XML and rich obey
    "\x1b]0;title\x07", "\x1b[2J\x1b[31m", "a\nb\rc", "\u202eabc\u2066", "\u2028\u2029\x85", "\ud800", "\x00",
    "```\n# heading", "| a | `b` | <script>", "[/red][blink]", "]]>&lt;", "x" * 70_000, "../" * 40 + "etc/passwd",
    # shapes
    [], {}, [[]], [None], {"": None}, {"$bytes": [0, 1 << 40]}, {"$bytes": [-5, 5]}, {"$bytes": "x"},
    {"$bytes": [0, 0]}, {"status": "passed"}, {"kind": "done"}, ["a"] * 3000, list(range(2000)),
)  # fmt: skip
DEEP = 3000
LARGEST = 8 << 20  # characters of a list that was made longer: what is larger than a frame never comes so far
RAW = (
    b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b"1e999", b"-Infinity", b"NaN", b"9" * 6000,
    b'"\\ud800"', b'{"$bytes":[0]}', b'{"$bytes":{}}',
)  # fmt: skip
KEYS = (
    "status", "code", "message", "name", "log", "relocations", "programs", "maps", "seconds", "btf", "expected",
    "$bytes",
)  # fmt: skip
_MARK = "a value that is replaced"


def twist(reply: Reply, others: Sequence[Reply], dice: random.Random) -> tuple[bytes, bytes]:
    """Return text and blob of a changed frame; one in twenty is left as it is."""
    way = dice.randrange(20)
    if way == 0:
        return reply.parts
    if way == 1:
        return dice.choice(others).parts
    text, blob = reply.parts
    if way in (2, 3):
        return _bytes(text, dice), _bytes(blob, dice)
    body = json.loads(text)
    if way == 4:
        return _raw(body, dice), blob
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        _change(body, dice)
    return json.dumps(body).encode("utf-8", "surrogatepass"), blob


def _bytes(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 2, 8))):
        if changed:
            changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed[: dice.choice((len(changed), len(changed), dice.randrange(len(changed) + 1)))])


def _raw(body: Any, dice: random.Random) -> bytes:
    """Return a text that json.dumps would not write: depth, and numbers that JSON does not have."""
    place = dice.choice([c for c in _containers(body) if c])
    key = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
    place[key] = _MARK
    return json.dumps(body).encode().replace(json.dumps(_MARK).encode(), dice.choice(RAW), 1)


def _change(body: Any, dice: random.Random) -> None:
    """Change one place in a JSON value, chosen among all containers in it."""
    places = [c for c in _containers(body) if c]
    if not places:
        return
    place = dice.choice(places)
    if isinstance(place, dict):
        key = dice.choice(list(place))
        way = dice.randrange(8)
        if way == 0:
            del place[key]
        elif way == 1:
            place[dice.choice(KEYS)] = _odd(dice)
        elif way == 2:
            place[str(_odd(dice))] = place.pop(key)
        elif isinstance(place[key], list) and place[key] and way == 3:
            times = dice.choice((2, 50, 400))
            if len(json.dumps(place[key])) * times <= LARGEST:
                place[key] = place[key] * times
        else:
            place[key] = _odd(dice)
        return
    at = dice.randrange(len(place))
    place[at] = dice.choice((_odd(dice), place[dice.randrange(len(place))]))


def _containers(value: Any) -> list[Any]:
    found = [value] if isinstance(value, (dict, list)) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, (dict, list)):
            found += _containers(inner)
    return found


def _odd(dice: random.Random) -> Any:
    return copy.deepcopy(dice.choice(ODD))
