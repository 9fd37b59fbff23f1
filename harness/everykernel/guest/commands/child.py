"""The child that becomes a command: its streams, its folder, its own view of files, the tracer's filter, then exec.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterable, Mapping
from typing import NoReturn, Optional

from everykernel.guest.commands import filter as filter_
from everykernel.guest.commands import view

_NO_FILTER = "no filter"


class Child:
    """A forked child that waits until it may go on, and tells why where it cannot.

    Args:
        argv, env, cwd: of the command.
        streams: descriptors of its standard input, output and error.
        binds: pairs of paths: what is under the first shall be found under the second.
        code: the seccomp filter.
    """

    def __init__(
        self,
        argv: list[str],
        env: Mapping[str, str],
        cwd: str,
        streams: tuple[int, int, int],
        binds: Iterable[tuple[str, str]],
        code: bytes,
    ) -> None:
        self._waits, self._starts = os.pipe()
        self._told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._starts)
            _become(argv, env, cwd, streams, list(binds), code, self._waits, tell)
        os.close(self._waits)
        os.close(tell)

    def start(self) -> tuple[Optional[OSError], bool]:
        """Let it go on; return why it could not become the command, and whether the filter holds."""
        os.write(self._starts, b"1")
        os.close(self._starts)
        said = b""
        while True:
            data = os.read(self._told, 256)
            if not data:
                break
            said += data
        os.close(self._told)
        filtered = not said.startswith(_NO_FILTER.encode())
        rest = said if filtered else said[len(_NO_FILTER) :]
        if len(rest) < 4:
            return None, filtered
        (number,) = struct.unpack_from("=i", rest)
        return OSError(number, os.strerror(number), rest[4:].decode("utf-8", "replace")), filtered


def _become(
    argv: list[str],
    env: Mapping[str, str],
    cwd: str,
    streams: tuple[int, int, int],
    binds: list[tuple[str, str]],
    code: bytes,
    waits: int,
    tell: int,
) -> NoReturn:
    """Become the command; never returns."""
    where = argv[0]
    try:
        os.read(waits, 1)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        view.bind(binds)
        where = cwd or where
        if cwd:
            os.chdir(cwd)
        where = argv[0]
        for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        try:
            filter_.install(code)
        except OSError:
            os.write(tell, _NO_FILTER.encode())
        os.execvpe(argv[0], argv, dict(env))
    except OSError as e:
        os.write(tell, struct.pack("=i", e.errno or 0) + str(e.filename or where).encode("utf-8", "replace"))
    except BaseException as e:
        os.write(tell, struct.pack("=i", 22) + f"{where}: {e}".encode("utf-8", "replace"))
    os.close(tell)  # its reader waits for this, and the exit for the tracer
    os._exit(127)
