"""Whatever JSON a guest sends, the gate admits what its request declares, or loses the guest."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz import lies, recording
from tests.fuzz.targets import REQUESTS, clean

from everykernel import wire
from everykernel.errors import GuestLost
from everykernel.machine import gate
from everykernel.matrix import records

REPLIES = [reply for cell in recording.read() for reply in cell.replies]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(lies.KEYS), inner),
)


def passes(request: wire.Request[Any], text: bytes, blob: bytes = b"") -> None:
    """Have an answer pass the gate; raise AssertionError where what it admits, or its refusal, is not as promised."""
    try:
        _, answer = gate.admit(text, blob, {0: request})
    except GuestLost as lost:
        clean(str(lost))
    else:
        json.dumps(records.plain(vars(answer)), allow_nan=False).encode()


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(REQUESTS), st.text() | st.sampled_from(["value", "loaded", "ran", "failed", "broke"]), ANYTHING)
def test_any_json(request: wire.Request[Any], kind: str, body: Any) -> None:
    """Any JSON as the answer to any request."""
    passes(request, json.dumps({"n": 0, "kind": kind, "body": body}).encode("utf-8", "surrogatepass"))


@settings(deadline=None, max_examples=300)
@given(st.binary(), st.binary())
def test_any_bytes(text: bytes, blob: bytes) -> None:
    """Any bytes as a frame."""
    passes(wire.Pull(""), text, blob)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(REPLIES), st.integers(0, 2**32))
def test_any_lie(reply: recording.Reply, seed: int) -> None:
    """A recorded answer, changed."""
    request = next(r for r in REQUESTS if r.kind == reply.request)
    passes(request, *lies.twist(reply, REPLIES, random.Random(seed)))
