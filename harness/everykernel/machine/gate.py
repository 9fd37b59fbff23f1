"""The gate for what a guest says: an answer has the shape that its request declares, or the guest is lost.

An object may own its guest's kernel, and with it the agent: whatever comes over the channel may be hostile. So each
answer is compared with the types in `wire` (see `shapes`) before anything else of the host sees it. `admit` is pure,
takes time and memory in proportion to what it is given, and raises GuestLost alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict, get_args, get_origin

from everykernel import wire
from everykernel.errors import GuestLost
from everykernel.machine import shapes
from everykernel.machine.shapes import Odd, shown

# By kind of request: the type of message that answers it.
ANSWERS: dict[type, Any] = {kind: get_args(kind.__orig_bases__[0])[0] for kind in wire.Request.__subclasses__()}  # type: ignore[attr-defined]
# What the answer to a `wire.MapOp` holds; plain data for all others.
_OF_MAPS: dict[str, Any] = {
    "items": list[tuple[Any, Any]],
    "lookup_batch": list[tuple[Any, Any]],
    "lookup_and_delete_batch": list[tuple[Any, Any]],
    "send": wire.Count,
}


class Stage0(TypedDict):
    """What the stage-0 agent says of itself."""

    kind: str
    python: str
    problems: list[str]


def admit(text: bytes, blob: bytes, asked: Mapping[int, wire.Request[Any]]) -> tuple[int, Any]:
    """Return number and message of an answer to one of the requests ``asked``, by number; else raise GuestLost."""
    outer = _parse(text, blob)
    number = outer.get("n") if isinstance(outer, dict) else None
    if type(number) is not int or number not in asked:
        raise GuestLost("the guest answers what it was not asked")
    request = asked[number]
    try:
        return number, _message(outer.get("kind"), outer.get("body"), request)
    except Odd as e:
        raise GuestLost(f"answer to {request.kind}: {e}") from None


def stage0(text: bytes) -> Stage0:
    """Return what the stage-0 agent says of itself; raise GuestLost for anything else."""
    about: Stage0 = _parse(text, b"")
    try:
        shapes.of(Stage0)(about)
    except Odd as e:
        raise GuestLost(f"stage 0: {e}") from None
    return about


def _parse(text: bytes, blob: bytes) -> Any:
    """Return the JSON of a frame with its bytes in place."""
    if len(text) > wire.TEXT_LIMIT or wire.crowded(text):
        raise GuestLost(f"the channel's stream is broken: a text of {len(text)} bytes holds too much")
    left = len(blob)

    def hook(value: dict[str, Any]) -> Any:
        nonlocal left
        if len(value) != 1 or "$bytes" not in value:
            return value
        start, length = value["$bytes"]
        if type(start) is not int or type(length) is not int or not 0 <= length <= left:
            raise ValueError(value)
        left -= length  # each byte is said once: a few words could else stand for gigabytes
        if not 0 <= start <= len(blob) - length:
            raise ValueError(value)
        return blob[start : start + length]

    def refuse(word: str) -> Any:
        raise ValueError(word)

    try:
        return json.loads(str(text, "utf-8"), object_hook=hook, parse_constant=refuse)
    except (ValueError, TypeError, RecursionError) as e:
        raise GuestLost(f"the channel's stream is broken: {text[:60]!r}") from e


def _message(kind: Any, body: Any, request: wire.Request[Any]) -> Any:
    """Return the message in a frame: the one that ``request`` declares, or that it could not be done."""
    declared = ANSWERS[type(request)]
    if isinstance(request, wire.MapOp):
        declared = wire.Value[_OF_MAPS.get(request.op, Any)]  # type: ignore[misc]
    allowed = {"failed": wire.Failed, "broke": wire.Broke, declared.kind: declared}
    if not isinstance(kind, str) or kind not in allowed:
        raise Odd(f"is {shown(kind)}, not {', '.join(reversed(allowed))}")
    shape = allowed[kind]
    shapes.of(shape)(body)
    return (get_origin(shape) or shape)(**body)
