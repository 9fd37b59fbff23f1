"""Messages as bytes.

A frame is eight bytes, two little-endian 32-bit lengths (of the text, of the blob), then the text, then the blob. The
text is one JSON object with the message's ``kind``; wherever the message holds bytes, the text holds
``{"$bytes": [offset, length]}`` into the blob. Each request carries a number, and its one reply carries it back.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any, Union, get_origin

from everykernel.errors import GuestLost
from everykernel.wire.replies import (
    Attached,
    Broke,
    Checked,
    Commanded,
    Done,
    Facts,
    Failed,
    Loaded,
    Output,
    Ran,
    TestRan,
    Value,
)
from everykernel.wire.requests import (
    LIMIT,
    Attach,
    Check,
    Command,
    Detach,
    Events,
    Finish,
    Follow,
    Globals,
    Hello,
    Load,
    MapOp,
    Ping,
    Place,
    Pull,
    Push,
    Read,
    Room,
    Run,
    Start,
    TestRun,
    Unload,
)

HEADER = struct.Struct("<II")
# A reply's text: 20,000 programs of an object take 7 MiB, the longest log of a verifier that we ask for 16 MiB.
TEXT_LIMIT = 32 << 20
# Commas, colons, and opening brackets in a reply's text: each value of it costs one at least, and some 60 bytes of the
# host's memory. 20,000 programs take 600,000.
VALUES_LIMIT = 4 << 20
DEPTH_LIMIT = 64  # brackets around a value in a reply; BTF types nest 32 deep at most (kernel/bpf/btf.c)

Message = Union[
    Hello, Ping, Run, Start, Follow, Push, Place, Room, Command, Pull, Load, Attach, Detach, TestRun, Read, MapOp,
    Globals, Events, Check, Finish, Unload, Facts, Done, Value[Any], Ran, Output, Commanded, Loaded, Attached, TestRan,
    Checked, Failed, Broke,
]  # fmt: skip
_KINDS: dict[str, Any] = {m.kind: get_origin(m) or m for m in Message.__args__}  # type: ignore[attr-defined]


def encode(number: int, message: Any) -> bytes:
    """Return the frame of one message, a `Request` or a reply."""
    blob = bytearray()

    def plain(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            start = len(blob)
            blob.extend(value)
            return {"$bytes": [start, len(blob) - start]}
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        return value

    body = {name: plain(getattr(message, name)) for name in message.__match_args__}
    text = json.dumps({"n": number, "kind": message.kind, "body": body}, separators=(",", ":")).encode()
    return HEADER.pack(len(text), len(blob)) + text + bytes(blob)


def lengths(header: Union[bytes, bytearray], text_limit: int = LIMIT, blob_limit: int = LIMIT) -> tuple[int, int]:
    """Return the lengths of text and blob from a frame's eight header bytes; raise GuestLost for a broken stream."""
    text, blob = HEADER.unpack(header)
    if text > text_limit or blob > blob_limit:
        raise GuestLost(f"the channel's stream is broken: a frame of {text} + {blob} bytes")
    return text, blob


# A string (or what begins like one at the end: so that no character is looked at twice), or signs outside of strings.
_SIGNS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|([,:\[{]+)', re.DOTALL)


def crowded(text: bytes) -> bool:
    """Return whether a reply's text holds more values than `VALUES_LIMIT`."""
    if len(text) <= VALUES_LIMIT or sum(map(text.count, (b",", b":", b"[", b"{"))) <= VALUES_LIMIT:
        return False
    signs = 0
    for found in _SIGNS.finditer(text):  # a log has many, all within its string
        signs += len(found[1] or b"")
        if signs > VALUES_LIMIT:
            return True
    return False


def decode(text: bytes, blob: bytes) -> tuple[int, Any]:
    """Return number and message from a frame's text and blob; raise GuestLost if they are none.

    For a frame of the host's: one of a guest's goes through machine/gate.py.
    """

    def hook(value: dict[str, Any]) -> Any:
        if len(value) == 1 and "$bytes" in value:
            start, length = value["$bytes"]
            return blob[start : start + length]
        return value

    try:
        outer = json.loads(text, object_hook=hook)
        return outer["n"], _KINDS[outer["kind"]](**outer["body"])
    except (ValueError, KeyError, TypeError) as e:
        raise GuestLost(f"the channel's stream is broken: {text[:60]!r}") from e
