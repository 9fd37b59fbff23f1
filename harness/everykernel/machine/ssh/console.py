"""A target's console, as a command of this host prints it: ``ssh lab cat /dev/ttyUSB0``, ``socat - …``."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import threading

from everykernel.errors import ToolMissing, UsageError
from everykernel.machine import console
from everykernel.machine.background import background
from everykernel.machine.process import ENDS_WITH_US


def _spawn(argv: list[str]) -> subprocess.Popen[bytes]:
    """Start a command that never outlives us, as `machine.process` has QEMU not outlive us."""
    return subprocess.Popen(
        [*ENDS_WITH_US, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


class Console:
    """What a command prints, from now on, its end kept.

    Raises UsageError and ToolMissing for a command that is none.
    """

    def __init__(self, command: str, where: str) -> None:
        try:
            argv = shlex.split(command)
        except ValueError as e:
            raise UsageError(f"console = {command!r} is no command: {e}", where=where) from e
        if not argv or shutil.which(argv[0]) is None:
            raise ToolMissing(f"the console's command is not installed: {command}", where=where)
        self._process = background().call(lambda: _spawn(argv))
        self._kept = bytearray()
        self._dropped = 0
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="everykernel-console", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as printed:
            while data := printed.read1(1 << 16):  # type: ignore[attr-defined]
                self._keep(data)

    def _keep(self, data: bytes) -> None:
        with self._lock:
            self._kept += data
            more = len(self._kept) - 2 * console.END
            if more > 0:
                del self._kept[:more]
                self._dropped += more

    @property
    def now(self) -> int:
        """How many bytes there were so far: a place in the console."""
        with self._lock:
            return self._dropped + len(self._kept)

    def since(self, place: int) -> str:
        """Return what was printed since a place, as far as it is kept."""
        with self._lock:
            return bytes(self._kept[max(0, place - self._dropped) :]).decode(errors="replace")

    def close(self) -> None:
        """End the command."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._reader.join(2)
