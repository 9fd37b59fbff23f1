"""Programs that run on while the host asks, again and again, what they wrote.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
from functools import partial
from typing import IO

from everykernel import wire
from everykernel.errors import UsageError
from everykernel.guest.commands import missing, view
from everykernel.guest.system import ODD, may_be_killed, refused
from everykernel.namedtuple import NamedTuple

_PATIENCE = 1.0  # seconds that an answer waits for output, or for the end
_CHUNK = 1 << 16


class _Program(NamedTuple):
    process: subprocess.Popen[bytes]
    pipes: dict[int, IO[bytes]]  # not at their end yet, by descriptor


class Programs:
    """The programs that were started and have not ended, by number."""

    def __init__(self) -> None:
        self._programs: dict[int, _Program] = {}
        self._last = 0

    def start(self, message: wire.Start) -> wire.Message:
        """Start a program and return its number."""
        with tempfile.TemporaryFile() as given:
            given.write(message.stdin)
            given.seek(0)
            try:
                process = subprocess.Popen(
                    message.argv,
                    bufsize=0,
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **message.env},
                    cwd=message.cwd or None,
                    preexec_fn=partial(view.bind, message.binds) if message.binds else None,
                )
            except subprocess.SubprocessError as e:
                return refused(e, "its view of files")
            except OSError as e:
                return wire.Failed("command-not-started", missing.explain(e, message.argv[0], message.cwd))
            except ODD as e:
                return refused(e, "".join(map(str, message.argv[:1])) or "start")
        may_be_killed(process.pid)
        self._last += 1
        pipes = {pipe.fileno(): pipe for pipe in (process.stdout, process.stderr) if pipe is not None}
        self._programs[self._last] = _Program(process, pipes)
        return wire.Value(self._last)

    def follow(self, message: wire.Follow) -> wire.Message:
        """Wait a while for output, and return what there is; with the program's end once both pipes are at theirs.

        A program that closes both and runs on is waited for too.
        """
        found = self._programs.get(message.number)
        if found is None:
            raise UsageError(f"there is no started program {message.number}")
        process, pipes = found
        assert process.stdout is not None
        assert process.stderr is not None
        written = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
        poll = select.poll()
        for descriptor in pipes:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(_PATIENCE * 1000) if pipes else ():
            data = os.read(descriptor, _CHUNK)
            written[descriptor] = data
            if not data:
                del pipes[descriptor]
        code = None
        if not pipes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(_PATIENCE)
        if code is not None:
            process.stdout.close()
            process.stderr.close()
            del self._programs[message.number]
        out, err = written.values()
        return wire.Output(out, err, code)
