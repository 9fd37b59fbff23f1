"""Requests done once for nothing, before the warm snapshot: what they import, compile and cache is then in it.

An object is read, relocated and loaded as a cell's is, through the same messages, and unloaded again: a class gets its
methods and the interpreter specialises its bytecode at the first uses, and memory is there that has been used once.
Nothing is attached, so that nothing in the kernel has run it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable
from typing import Any

from everykernel import wire

TIMES = 3  # Python 3.11 specialises what ran eight times; an object has several programs
_PATH = "/tmp/everykernel-rehearsal"


def rehearse(answer: Callable[[wire.Request[Any]], wire.Message]) -> None:
    """Have each cheap request answered, and an object loaded; what the kernel refuses of it is no matter here."""

    def ask(request: wire.Request[Any]) -> Any:
        number, message = wire.decode(*_split(wire.encode(1, request)))
        return wire.decode(*_split(wire.encode(number, answer(message))))[1]

    ask(wire.Push(_PATH, b""))
    ask(wire.Pull(_PATH))
    ask(wire.Place([{"path": _PATH, "mode": 0o644, "data": b""}]))
    ask(wire.Room())
    ask(wire.Run(["/bin/true"]))
    ask(wire.Command(["/bin/true"], 10.0))
    ask(wire.Run(["/bin/rm", _PATH]))
    end = "el" if sys.byteorder == "little" else "eb"
    data = pkgutil.get_data("everykernel.guest", f"first/first.bpf{end}") or b""
    for _ in range(TIMES):
        loaded = ask(wire.Load("first.bpf.o", data))
        if isinstance(loaded, wire.Loaded):
            ask(wire.Globals(loaded.handle))
            ask(wire.Unload(loaded.handle))


def _split(frame: bytes) -> tuple[bytes, bytes]:
    text, _ = wire.lengths(frame[: wire.HEADER.size])
    body = frame[wire.HEADER.size :]
    return body[:text], body[text:]
