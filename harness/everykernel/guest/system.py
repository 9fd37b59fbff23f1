"""The requests that need no BPF: run a program, write and read files, set the clock and stir the random pool."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import struct
import subprocess
import time
import traceback

from everykernel import wire
from everykernel.architectures import BY_UNAME
from everykernel.guest import timers

RNDADDENTROPY, RNDRESEEDCRNG = ("R", 3, 8), ("R", 7, 0)  # include/uapi/linux/random.h: kind, number, size

_RESERVE = 48 << 20  # bytes of memory that pushed files leave to programs

# What the system refuses, or Python before it asks: a null byte in a path, no program at all, a number for a word.
ODD = (OSError, ValueError, TypeError, IndexError)


def greet(message: wire.Hello) -> None:
    """Set the wall clock and stir the random pool: every guest of a snapshot would else draw the same numbers."""
    row = BY_UNAME[os.uname().machine]
    if row.forgets:
        timers.jump()
    time.clock_settime_ns(time.CLOCK_REALTIME, message.time_ns)
    pool = os.open("/dev/urandom", os.O_WRONLY)
    try:
        entropy = struct.pack("ii", len(message.entropy) * 8, len(message.entropy)) + message.entropy
        fcntl.ioctl(pool, row.ioctl(*RNDADDENTROPY), entropy)
        try:
            fcntl.ioctl(pool, row.ioctl(*RNDRESEEDCRNG))
        except OSError as e:
            if e.errno not in (errno.ENOTTY, errno.EINVAL):  # Linux before v4.17 does not have it
                raise
    finally:
        os.close(pool)
    random.seed(int.from_bytes(message.entropy, "little"))


def never_killed() -> None:
    """Have the OOM killer leave this process alone, whatever else it may take (proc_pid_oom_score_adj(5): -1000)."""
    _oom_score("self", -1000)


def may_be_killed(pid: int) -> None:
    """Let the OOM killer take a process that we started, as any other: it inherited that it does not."""
    _oom_score(str(pid), 0)


def _oom_score(process: str, value: int) -> None:
    with contextlib.suppress(OSError), open(f"/proc/{process}/oom_score_adj", "w") as file:  # ended, or another machine
        file.write(str(value))


def run(message: wire.Run) -> wire.Message:
    """Run a program to its end."""
    try:
        process = subprocess.Popen(
            message.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **message.env},
        )
        with process:
            may_be_killed(process.pid)
            stdout, stderr = process.communicate(message.stdin)
    except ODD as e:
        return refused(e, "".join(map(str, message.argv[:1])) or "run")
    return wire.Ran(process.returncode, stdout, stderr)


def push(message: wire.Push) -> wire.Message:
    """Write a file, making its folders."""
    try:
        folder = os.path.dirname(message.path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(message.path, "wb") as file:
            file.write(message.data)
        os.chmod(message.path, message.mode)
    except ODD as e:
        return refused(e, message.path)
    return wire.Done()


def place(message: wire.Place) -> wire.Message:
    """Write files, folders and links, making the folders above them; what is there gives way to a link."""
    path = ""
    try:
        for entry in message.entries:
            path = entry["path"]
            os.makedirs(path if entry.get("folder") else os.path.dirname(path) or "/", exist_ok=True)
            if "link" in entry:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                os.symlink(entry["link"], path)
                continue
            if "data" in entry:
                with open(path, "ab" if entry.get("append") else "wb") as file:
                    file.write(entry["data"])
            os.chmod(path, entry["mode"])
    except ODD as e:
        return refused(e, path)
    return wire.Done()


def room(_: wire.Room) -> wire.Message:
    """Tell how many bytes files may take: what memory is available, less some for who uses them."""
    with open("/proc/meminfo") as file:
        available = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
    found = os.statvfs("/")  # a ramfs, which has no limit of its own, says 0
    free = found.f_bavail * found.f_frsize if found.f_blocks else available
    return wire.Value(max(0, min(available - _RESERVE, free)))


def pull(message: wire.Pull) -> wire.Message:
    """Read a file."""
    try:
        with open(message.path, "rb") as file:
            return wire.Value(file.read())
    except ODD as e:
        return refused(e, message.path)


def refused(error: Exception, where: str) -> wire.Failed:
    """Return the reply that says why the system did not do what was asked."""
    number = getattr(error, "errno", None)
    code = "permission-denied" if number in (errno.EACCES, errno.EPERM) else "load-failed"
    return wire.Failed(code=code, message=str(getattr(error, "strerror", None) or error).lower(), where=where)


def broke(error: Exception) -> wire.Broke:
    """Return the reply of an agent that has a defect."""
    return wire.Broke(f"{type(error).__name__}: {error}", traceback.format_exc())
