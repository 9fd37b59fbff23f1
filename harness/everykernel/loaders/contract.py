"""What an adapter is asked, and the gate for what it says: one JSON object a line, each of a shape that is known.

An adapter runs as root in the guest, beside an object that may own its kernel: nothing it says is believed to have any
shape. `parse` is pure, takes time and memory in proportion to the output, and keeps what was said before an adapter
broke. docs/loaders.md has the contract for people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Optional, TypedDict

from everykernel import wire
from everykernel.machine import shapes
from everykernel.machine.shapes import Odd, shown

VERSION = 1
LOG_SIZE = 16 << 20  # bytes of a verifier's log that an adapter asks the kernel for: what ours does
EVENTS_LIMIT = 200_000  # lines: 20,000 programs and what is relocated in them
BAD_REQUEST = 2  # the exit code of an adapter that does not understand its request
_STDERR = 300  # characters of an adapter's last words that an error tells

By = Annotated[str, "by"]
Errno = Annotated[str, "errno"]


class LoaderEvent(TypedDict):
    """Who loads: the library that the adapter stands for."""

    event: str
    name: str
    version: str
    detail: dict[str, str]  # what else decides its verdicts: its toolchain


class ObjectEvent(TypedDict):
    """What came of opening the object."""

    event: str
    status: wire.Status
    errno: Optional[Errno]
    message: wire.Text


class MapEvent(TypedDict):
    """What came of one map."""

    event: str
    name: str
    type: str
    key_size: wire.Count
    value_size: wire.Count
    max_entries: wire.Count
    status: wire.Status
    errno: Optional[Errno]
    message: wire.Text


class ProgramEvent(TypedDict):
    """What came of one program; ``by`` is who refused it: ``loader``, ``map``, ``kernel``, or "" for nobody."""

    event: str
    name: str
    section: str
    type: str
    status: wire.Status
    errno: Optional[Errno]
    message: wire.Text
    by: By
    log: wire.Text
    verified_insns: Optional[wire.Count]


class RelocationEvent(TypedDict):
    """One CO-RE record applied to one program, where the library tells."""

    event: str
    program: str
    insn: wire.Count
    kind: str
    local: Optional[int]
    target: Optional[int]
    outcome: wire.Outcome
    message: wire.Text


class WholeEvent(TypedDict):
    """What came of the object as its loader takes it."""

    event: str
    status: wire.Status
    errno: Optional[Errno]
    message: wire.Text


class EndEvent(TypedDict):
    """Nothing follows."""

    event: str


_SHAPES: dict[str, Any] = {
    "loader": LoaderEvent,
    "object": ObjectEvent,
    "map": MapEvent,
    "program": ProgramEvent,
    "relocation": RelocationEvent,
    "whole": WholeEvent,
    "end": EndEvent,
}
_ONCE = ("loader", "object", "whole", "end")


@dataclass
class Answer:
    """What an adapter said.

    Attributes:
        loader: who it is; None where it did not come to say so, as for the rest.
        opened: of the object.
        maps, programs, relocations: in the order in which they were said.
        whole: of the object as a whole.
        broken: why this is not all that there is to say, "" where it is.
    """

    loader: Optional[LoaderEvent] = None
    opened: Optional[ObjectEvent] = None
    maps: list[MapEvent] = field(default_factory=list)
    programs: list[ProgramEvent] = field(default_factory=list)
    relocations: list[RelocationEvent] = field(default_factory=list)
    whole: Optional[WholeEvent] = None
    broken: str = ""


def request(
    object_path: str,
    *,
    programs: Sequence[str] | None = None,
    btf: str | None = None,
    maps: Mapping[str, Mapping[str, int]] | None = None,
) -> bytes:
    """Return the request to load an object that lies in the guest.

    Args:
        object_path: where it lies.
        programs: which programs to try; None: all.
        btf: where a BTF lies that CO-RE is to be answered by, instead of the kernel's own.
        maps: sizes that the tool would set before it loads: ``max_entries``, ``key_size``, ``value_size``.
    """
    body = {
        "contract": VERSION,
        "object": object_path,
        "programs": None if programs is None else list(programs),
        "btf": btf,
        "maps": {name: dict(sizes) for name, sizes in (maps or {}).items()},
        "pins": False,
        "log_size": LOG_SIZE,
    }
    return json.dumps(body).encode()


def parse(stdout: bytes, code: int = 0, stderr: bytes = b"") -> Answer:
    """Return what an adapter said, as far as it kept to the contract; `Answer.broken` tells where it did not.

    Args:
        stdout: what it wrote.
        code: its exit code, negative for a signal.
        stderr: its evidence, the end of which is told where it broke.
    """
    answer = Answer()
    ended = False
    number = 0
    try:
        for number, line in enumerate(_lines(stdout), 1):
            ended = _take(answer, _event(line, number, ended=ended))
    except Odd as e:
        answer.broken = f"line {number} of its answer {e}"
        return answer
    if code or not ended:
        answer.broken = _death(code, stderr)
    return answer


def _lines(stdout: bytes) -> Iterator[bytes]:
    """Yield each line, the last one too where no newline ends it."""
    start = 0
    while start < len(stdout):
        end = stdout.find(b"\n", start)
        end = len(stdout) if end < 0 else end
        yield stdout[start:end]
        start = end + 1


def _event(line: bytes, number: int, *, ended: bool) -> Any:
    """Return one event, compared with its shape."""
    if ended or number > EVENTS_LIMIT:
        raise Odd("follows the end" if ended else f"is one of more than {EVENTS_LIMIT}")
    if len(line) > wire.TEXT_LIMIT or wire.crowded(line):
        raise Odd(f"has {len(line)} bytes, too many, or too many values")
    try:
        event = json.loads(str(line, "utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Odd(f"is no JSON: {shown(str(line[:60], 'utf-8', 'replace'))}") from None
    kind = event.get("event") if isinstance(event, dict) else None
    if not isinstance(kind, str) or kind not in _SHAPES:
        raise Odd(f"is no event: {shown(kind)}")
    try:
        shapes.of(_SHAPES[kind])(event)
    except Odd as e:
        raise Odd(f"({kind}): {e}") from None
    return event


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _take(answer: Answer, event: Any) -> bool:
    """Put an event where it belongs; return whether it is the last."""
    kind = event["event"]
    if answer.loader is None and kind != "loader":
        raise Odd(f"({kind}): nobody said yet which loader this is")
    if kind in _ONCE[:3] and getattr(answer, "opened" if kind == "object" else kind) is not None:
        raise Odd(f"({kind}): is said twice")
    if kind == "loader":
        answer.loader = event
    elif kind == "object":
        answer.opened = event
    elif kind == "whole":
        answer.whole = event
    elif kind == "end":
        if answer.opened is None:
            raise Odd("(end): nothing was said of the object")
        return True
    else:
        lists: dict[str, list[Any]] = {
            "map": answer.maps,
            "program": answer.programs,
            "relocation": answer.relocations,
        }
        lists[kind].append(event)
    return False


def _death(code: int, stderr: bytes) -> str:
    """Return how an adapter ended that did not come to its end."""
    if code == BAD_REQUEST:
        how = "it does not understand its request"
    elif code < 0:
        how = f"it was ended by signal {-code}"
    elif code:
        how = f"it ended with exit code {code}"
    else:
        how = "it ended before its answer did"
    words = str(stderr, "utf-8", "backslashreplace").strip()
    return f"{how}: {words[-_STDERR:]}" if words else how
