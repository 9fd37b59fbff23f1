"""A QEMU process: spawned so that it never outlives us, its errors kept."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from everykernel.errors import HarnessError, ToolMissing
from everykernel.machine.background import background

# The kernel kills QEMU when our spawning thread ends, however we end (setpriv sets PR_SET_PDEATHSIG, which survives
# execve(2)). If we ended before that took effect, QEMU has another parent by now, and is not started at all.
# What it writes has an end (POSIX: ulimit -f counts 512 bytes), or a guest could fill the disk by its console.
_SCRIPT = '[ "$PPID" = "$1" ] && ulimit -f "$2" && shift 2 && exec "$@"'
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
_GUARD = [*ENDS_WITH_US, "sh", "-c", _SCRIPT, "sh"]
# Heap in huge pages, where glibc (2.35 on) and the host have them: halves the page faults of QEMU's start (5037 to
# 2727, 5 ms of CPU for each guest). A setting of the user's own stays.
_TUNABLES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
REMEDY = "run `everykernel doctor`"


def find(program: str) -> Path:
    """Return where a program is; raise ToolMissing if it is not installed."""
    found = shutil.which(program)
    if found is None:
        raise ToolMissing("not installed", where=program, remedy=REMEDY)
    return Path(found)


@functools.cache
def version(program: Path) -> str:
    """Return the version that an emulator says it is, "" if it does not start: ``7.2.22``."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"version (\S+)", said)
    return found[1] if found else ""


class Process:
    """A running QEMU, in a session of its own: a terminal's Ctrl-C reaches us first.

    Args:
        program: the emulator (an absolute path).
        arguments: its arguments.
        descriptors: those that it inherits.
        errors: the file for what it says on standard error.
        limit: bytes that a file may have which it writes: at the next one SIGXFSZ ends it.
    """

    def __init__(
        self, program: Path, arguments: Sequence[str], descriptors: Sequence[int], errors: Path, limit: int
    ) -> None:
        find(_GUARD[0])
        command = [*_GUARD, str(os.getpid()), str(limit // 512), str(program), *arguments]
        self._errors = errors

        def spawn() -> subprocess.Popen[bytes]:
            with errors.open("wb") as file:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    pass_fds=descriptors,
                    env={**_TUNABLES, **os.environ},
                    start_new_session=True,
                )

        try:
            self._popen = background().call(spawn)
        except OSError as e:
            raise HarnessError(f"cannot be started: {e.strerror or e}", where=program.name, remedy=REMEDY) from e

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def ended(self, patience: float = 0.0) -> int | None:
        """Return the exit code (negative: the signal), None while it runs; wait for it up to ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while (code := self._popen.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.002)
        return code

    def kill(self) -> None:
        """End it at once, and wait until it has."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.kill()
        self._popen.wait()

    def complaints(self) -> str:
        """Return what it said on standard error."""
        try:
            return self._errors.read_text(errors="replace").strip()
        except OSError:
            return ""
