"""QEMU's control protocol, used from any thread: pause, save, restore, resume."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Mapping
from typing import Any

from qemu.qmp import QMPClient, QMPError

from everykernel.errors import GuestLost
from everykernel.machine.background import background

_PATIENCE = 20.0  # seconds for any one command: QEMU answers in milliseconds, unless the host is drowning

# The library reports each lost connection as an error of its own; a QEMU that ended is reported by us, once.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Control:
    """A QMP session over our end of a connected socket, which it closes in the end."""

    def __init__(self, end: socket.socket, where: str) -> None:
        self._where = where
        self._client = QMPClient(where)
        end.setblocking(False)
        self._end = end

    def connect(self) -> None:
        """Wait for QEMU's greeting; raise GuestLost if it does not come."""
        self._run(self._client.connect(self._end), "greeting")

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """Execute one command and return its result; raise GuestLost if it cannot be done."""
        return self._run(self._client.execute(command, dict(arguments or {})), command)

    def _run(self, work: Any, what: str) -> Any:
        try:
            return background().run(work, _PATIENCE)
        except (QMPError, OSError, EOFError, TimeoutError) as e:
            cause = str(e) or type(e).__name__
            raise GuestLost(f"QEMU's control channel failed ({what}): {cause}", where=self._where) from e

    def save(self) -> bytes:
        """Pause the guest and return its state; its memory, in a shared file, is not in it."""
        self.execute("stop")
        self._leave_memory_out()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._client.send_fd_scm(theirs.fileno())
                self.execute("getfd", {"fdname": "state"})
            self.execute("migrate", {"uri": "fd:state"})
            ours.settimeout(_PATIENCE)
            try:
                state = b"".join(iter(lambda: ours.recv(1 << 20), b""))
            except OSError as e:
                raise GuestLost(f"QEMU did not hand out its state: {e}", where=self._where) from e
        self._wait("query-migrate", done=("completed",), failed=("failed", "cancelled"))
        return state

    def restore(self, state: bytes, channel: socket.socket, descriptor: int) -> None:
        """Load a state through ``channel``, whose other end QEMU has as ``descriptor``; the guest stays paused."""
        self._leave_memory_out()
        self.execute("migrate-incoming", {"uri": f"fd:{descriptor}"})
        channel.settimeout(_PATIENCE)
        try:
            with channel:
                channel.sendall(state)
        except OSError as e:
            raise GuestLost(f"QEMU did not take the saved state: {e}", where=self._where) from e
        self._wait("query-status", done=("paused", "running"), failed=("internal-error", "shutdown"))

    def resume(self) -> None:
        """Let the guest run."""
        self.execute("cont")

    def _leave_memory_out(self) -> None:
        capability = {"capability": "x-ignore-shared", "state": True}
        self.execute("migrate-set-capabilities", {"capabilities": [capability]})

    def _wait(self, query: str, done: tuple[str, ...], failed: tuple[str, ...]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while (status := self.execute(query).get("status")) not in done:
            if status in failed or time.monotonic() > deadline:
                raise GuestLost(f"QEMU's {query} ended as {status}", where=self._where)
            time.sleep(0.0005)

    def close(self) -> None:
        """End the session; QEMU may be gone already."""
        gone = (QMPError, OSError, EOFError, TimeoutError, RuntimeError)  # RuntimeError: our process is ending too
        with contextlib.suppress(*gone):
            background().run(self._client.disconnect(), 2.0)
        self._end.close()
