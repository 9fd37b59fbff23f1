"""What a target is given to run first: it makes a folder for our code, waits for it, runs it, and removes it again.

It is handed to the target's Python as text, with one argument of JSON: ``parent`` (where the folder is made), ``size``
and ``sha256`` of the zip that comes, ``loads`` and ``silence`` (`everykernel.guest.visiting`). It says on its standard
output, in one line of JSON, where the folder is, or why there is none; a line on its standard input says that the zip
is there. Whenever its input ends, the folder goes.

Standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import time
from typing import Any

_FREE = 1 << 20  # bytes that have to be free beside the zip
_left: list[int] = []


def _say(about: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(about) + "\n")
    sys.stdout.flush()


def _end(number: int, frame: Any) -> None:
    """Unwind, once."""
    if not _left:
        _left.append(number)
        raise KeyboardInterrupt


def _remove(folder: str) -> None:
    """Remove a folder, into which somebody may still write."""
    for _ in range(50):
        try:
            for name in os.listdir(folder):
                os.unlink(folder + "/" + name)
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)


def _make(about: dict[str, Any]) -> str:
    """Return a new folder that whoever logged in may write to."""
    folder = str(about["parent"]) + "/everykernel-" + os.urandom(8).hex()
    os.mkdir(folder, 0o700)
    try:
        if os.environ.get("SUDO_UID"):
            os.chown(folder, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
        free = os.statvfs(folder)
        if free.f_blocks and free.f_bavail * free.f_frsize < about["size"] + _FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as mkdtemp would
    except BaseException:
        _remove(folder)
        raise
    return folder


def _arrived(folder: str, about: dict[str, Any]) -> bool:
    """Return whether the zip is there, as it was sent."""
    if not select.select([0], [], [], about["silence"])[0] or os.read(0, 1) != b"\n":
        return False
    import hashlib  # not before: the host waits for the folder

    with open(folder + "/agent.pyz", "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        sys.stderr.write("everykernel: what arrived is not what was sent\n")
        return False
    return True


def main() -> None:
    """Make the folder, serve, remove it."""
    about = json.loads(sys.argv[1])
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    folder = ""
    try:
        os.umask(0o077)
        try:
            folder = _make(about)
        except OSError as e:
            _say({"errno": e.errno})
            return
        _say({"folder": folder})
        if _arrived(folder, about):

            def leave() -> None:
                _remove(folder)
                os._exit(1)

            sys.path.insert(0, folder + "/agent.pyz")
            from everykernel.guest import visiting

            visiting.serve(leave, loads=about["loads"], silence=about["silence"])
    except KeyboardInterrupt:
        pass
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if folder:
            _remove(folder)


if __name__ == "__main__":
    main()
