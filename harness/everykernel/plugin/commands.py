"""What a test gets of a command that it ran on a kernel."""

from __future__ import annotations

import signal
from typing import Any

from everykernel import wire
from everykernel.errors import CaseError
from everykernel.matrix import commanding
from everykernel.matrix.records import CommandRecord


class CommandFailed(CaseError):
    """A command that did not end as wanted; ``code`` is the reason code, ``ran`` what it did."""

    def __init__(self, message: str, *, code: str, where: str, ran: CommandRun) -> None:
        super().__init__(message, where=where)
        self.code = code
        self.ran = ran


class CommandRun:
    """How a command ended, and what it did.

    Attributes:
        code: its exit code, negative for a signal.
        stdout, stderr: what it wrote; of more than two MiB the first and the last, with a line for what is left out.
        record: all that the results keep of it: its bpf(2) calls, the programs and maps that appeared, …
    """

    def __init__(self, told: wire.Commanded, record: CommandRecord) -> None:
        self._told = told
        self.code = -told.code if told.end == wire.SIGNAL else told.code
        self.stdout = _bytes(told.stdout)
        self.stderr = _bytes(told.stderr)
        self.record = record

    @property
    def signal(self) -> str:
        """The signal that ended it, ``SIGSEGV``, "" for none."""
        return signal.Signals(-self.code).name if self.code < 0 else ""

    @property
    def calls(self) -> list[wire.BpfCall]:
        """Its bpf(2) calls that make, load or attach something, in order."""
        return self.record["calls"]

    @property
    def programs(self) -> list[wire.Appeared]:
        """The programs that appeared while it ran, with their verifier's statistics and runs."""
        return self.record["programs"]

    @property
    def maps(self) -> list[wire.Appeared]:
        """The maps that appeared while it ran."""
        return self.record["maps"]

    def __repr__(self) -> str:
        return f"<command {' '.join(self.record['argv'])!r}: {self.signal or f'exit code {self.code}'}>"


def _bytes(written: dict[str, Any]) -> bytes:
    if not written["left_out"]:
        return bytes(written["first"] + written["last"])
    return bytes(written["first"] + b"\n(%d bytes left out)\n" % written["left_out"] + written["last"])


def failure(told: wire.Commanded, code: str, message: str) -> tuple[str, str]:
    """Return reason code and message of a command that failed: those of a refused call, where one explains it."""
    if code != "command-failed" or told.blamed is None:
        return code, message
    call = told.calls[told.blamed]
    return call.get("code") or code, f"{message}; {commanding.call_text(call)}"
