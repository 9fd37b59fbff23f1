"""Real guests' replies, kept as the channel carries them: what the fuzzing of the channel changes.

    python -m tests.fuzz.recording     record `CELLS` again, into tests/fuzz/replies.jsonl

A line is one cell: its kernel, its case, the facts and the replies to its requests, in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from everykernel import folders, kernels, wire
from everykernel.errors import RequestFailed
from everykernel.machine import Guest, Machines
from everykernel.machine.fake import FakeGuest
from everykernel.matrix import case
from everykernel.matrix.cell import run_cell

PATH = Path(__file__).with_name("replies.jsonl")
CELLS = (
    ("6.1", "ringbuf_events"), ("6.12", "exec_event"), ("5.10", "helper_guarded"), ("6.1", "unresolved"),
    ("6.12", "percpu_maps"), ("6.1", "struct_ops"), ("6.1/i386", "exec_event"), ("6.12", "subprograms_globals"),
)  # fmt: skip
LARGEST = 100_000  # bytes of a frame that are worth keeping


@dataclass(frozen=True)
class Reply:
    """A frame that answered one request: the request's kind, the frame's text and its blob."""

    request: str
    text: str
    blob: str  # hex

    @property
    def parts(self) -> tuple[bytes, bytes]:
        """The frame's text and blob."""
        return self.text.encode(), bytes.fromhex(self.blob)


@dataclass(frozen=True)
class Recording:
    """One cell: the spec of its kernel, the name of its case, and what its guest said."""

    kernel: str
    case: str
    replies: list[Reply]


def read() -> list[Recording]:
    """Return what was recorded."""
    cells = (json.loads(line) for line in PATH.read_text().splitlines())
    return [Recording(c["kernel"], c["case"], [Reply(**reply) for reply in c["replies"]]) for c in cells]


class Recorder(FakeGuest):
    """A guest that passes requests on to a real one, and keeps the frames of its replies."""

    def __init__(self, guest: Guest, replies: list[Reply]) -> None:
        self.kernel, self.spec, self.start_kind, self.notes = guest.kernel, guest.spec, guest.start_kind, guest.notes
        self._guest = guest
        self._replies = replies
        self._keep("hello", guest.facts)

    @property
    def facts(self) -> wire.Facts:
        """The real guest's."""
        return self._guest.facts

    def request(self, message: wire.Request[wire.Reply], timeout: float | None = None) -> wire.Reply:
        """Have the real guest answer."""
        try:
            reply = self._guest.request(message, timeout)
        except RequestFailed as e:
            self._keep(message.kind, wire.Failed(e.code, e.message, e.where))
            raise
        self._keep(message.kind, reply)
        return reply

    def console(self) -> str:
        """The real guest's."""
        return self._guest.console()

    def warnings(self) -> list[str]:
        """The real guest's."""
        return self._guest.warnings()

    def close(self) -> None:
        """End the real guest."""
        self._guest.close()

    def _keep(self, request: str, reply: Any) -> None:
        frame = wire.encode(0, reply)
        if len(frame) <= LARGEST:
            text, _ = wire.lengths(frame[: wire.HEADER.size])
            body = frame[wire.HEADER.size :]
            self._replies.append(Reply(request, body[:text].decode(), body[text:].hex()))


def record() -> Iterator[Recording]:
    """Run each of `CELLS` in a guest and yield its recording."""
    with Machines("tcg") as machines:
        for spec, name in CELLS:
            (resolved,) = kernels.resolve([spec])
            kernel, what = resolved.fetch(), case.read(folders.data("cases") / name / case.FILENAME)
            machines.prepare(kernel, what.machine)
            replies: list[Reply] = []
            guest = Recorder(machines.start(kernel, what.machine), replies)
            report = run_cell(lambda guest=guest: guest, kernel, what)  # type: ignore[misc]
            assert report["result"]["outcome"] == "passed", report["result"]["message"]
            yield Recording(spec, name, replies)


if __name__ == "__main__":
    PATH.write_text("".join(json.dumps(asdict(cell)) + "\n" for cell in record()))
