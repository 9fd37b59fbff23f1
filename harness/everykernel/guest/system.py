"""The requests that need no BPF: run a program, write and read files, set the clock and stir the random pool."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import struct
import subprocess
import time
import traceback

from everykernel import wire

# include/uapi/linux/random.h: _IOW('R', 0x03, int[2]) and _IO('R', 0x07)
RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207

# What the system refuses, or Python before it asks: a null byte in a path, no program at all, a number for a word.
ODD = (OSError, ValueError, TypeError, IndexError)


def greet(message: wire.Hello) -> None:
    """Set the wall clock and stir the random pool: every guest of a snapshot would else draw the same numbers."""
    time.clock_settime_ns(time.CLOCK_REALTIME, message.time_ns)
    pool = os.open("/dev/urandom", os.O_WRONLY)
    try:
        entropy = struct.pack("ii", len(message.entropy) * 8, len(message.entropy)) + message.entropy
        fcntl.ioctl(pool, RNDADDENTROPY, entropy)
        try:
            fcntl.ioctl(pool, RNDRESEEDCRNG)
        except OSError as e:
            if e.errno not in (errno.ENOTTY, errno.EINVAL):  # Linux before v4.17 does not have it
                raise
    finally:
        os.close(pool)
    random.seed(int.from_bytes(message.entropy, "little"))


def run(message: wire.Run) -> wire.Message:
    """Run a program to its end."""
    try:
        done = subprocess.run(
            message.argv,
            input=message.stdin,
            capture_output=True,
            env={**os.environ, **message.env},
            check=False,
        )
    except ODD as e:
        return refused(e, "".join(map(str, message.argv[:1])) or "run")
    return wire.Ran(done.returncode, done.stdout, done.stderr)


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
