"""What init and the agent do in a guest that has them, done from afar for one that has neither.

Once, before it is saved: file systems, limits, sysctls, timers (see guest/stage0.py and images/init, which this is the
counterpart of). Then after each restore: the clock, and the random pool (guest/system.py).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from everykernel.guest.system import RNDADDENTROPY, RNDRESEEDCRNG
from everykernel.guest.timers import ABSOLUTE, DUE, JUMP
from everykernel.machine.spec import MachineSpec
from everykernel.remote.batch import words
from everykernel.remote.system import Remote

_MOUNTS = (
    ("tmpfs", "/dev/shm"),
    ("devpts", "/dev/pts"),
    ("tracefs", "/sys/kernel/tracing"),
    ("debugfs", "/sys/kernel/debug"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("securityfs", "/sys/kernel/security"),
)
_INET, _DATAGRAM = 2, 2  # AF_INET, SOCK_DGRAM
_SET_FLAGS, _UP = 0x8914, 0x41  # SIOCSIFFLAGS; IFF_UP | IFF_RUNNING
_MEMLOCK = 8  # RLIMIT_MEMLOCK
_HERE, _WRITE, _REALTIME = -100, 1, 0  # AT_FDCWD, O_WRONLY, CLOCK_REALTIME
_MASK = 128  # bytes of a set of CPUs
_TRY = 10_000_000  # nanoseconds that each CPU sleeps, to see that it wakes


def settle(system: Remote, spec: MachineSpec) -> list[str]:
    """Make a machine that has just booted ready to be saved; return what of its spec it does not have."""
    _mount(system)
    _limits(system)
    problems = [f"module {path} cannot be loaded" for path in _unloaded(system)]
    for name, value in spec.sysctls:
        try:
            system.write(f"/proc/sys/{name.replace('.', '/')}", value)
        except OSError as e:
            problems.append(f"sysctl {name} = {value}: {e.strerror}")
    _try_timers(system)
    if system.architecture.forgets:
        _arm(system)
    return problems


def greet(system: Remote) -> None:
    """Set the clock of a machine that was restored, and stir its random pool: all of a snapshot draw the same else."""
    if system.architecture.forgets:
        for turn, cpu in enumerate(_each_cpu(system), 1):
            batch = system.batch()
            _stay(system, cpu)
            past = batch.buffer(_longs(system, int(time.time()) + turn * JUMP, 0))  # each passes all that is due
            system.call(batch, "clock_settime", _REALTIME, past)
            system.sure(batch)
    now, entropy = time.time_ns(), os.urandom(32)
    row = system.architecture
    batch = system.batch()
    clock = batch.buffer(_longs(system, now // 10**9, now % 10**9))
    system.call(batch, "clock_settime", _REALTIME, clock)
    pool = system.call(batch, "openat", _HERE, system.path(batch, "/dev/urandom"), _WRITE)
    told = bytearray(system.pack("ii", 8 * len(entropy), len(entropy)) + entropy)
    system.call(batch, "ioctl", pool, row.ioctl(*RNDADDENTROPY), batch.buffer(told))
    system.call(batch, "close", pool)
    system.sure(batch)
    with contextlib.suppress(OSError):  # Linux before v4.17 does not have it
        fd = system.open("/dev/urandom")
        try:
            system.ioctl(fd, RNDRESEEDCRNG)
        finally:
            system.close(fd)


def _mount(system: Remote) -> None:
    """Mount what BPF programs and their users expect; kernels are built without some of them."""
    for kind, where in _MOUNTS:
        batch = system.batch()
        system.call(batch, "mkdirat", _HERE, system.path(batch, where), 0o755)
        what = system.path(batch, kind)
        system.call(batch, "mount", what, system.path(batch, where), what, 0, 0)
        system.done(batch)


def _limits(system: Remote) -> None:
    """Take the limit of locked memory away, which counts BPF maps before v5.11, and set the loopback up."""
    batch = system.batch()
    system.call(batch, "prlimit64", 0, _MEMLOCK, batch.buffer(bytearray(b"\xff" * 16)), 0)
    interface = system.call(batch, "socket", _INET, _DATAGRAM, 0)
    name = bytearray(system.pack("16sH22x", b"lo", _UP))  # struct ifreq
    system.call(batch, "ioctl", interface, _SET_FLAGS, batch.buffer(name))
    system.call(batch, "close", interface)
    system.done(batch)


def _unloaded(system: Remote) -> list[str]:
    """Return the files of the modules that were to be loaded and are not there."""
    listed = system.text("/everykernel/modules").split()
    names = {path: path.rpartition("/")[2].removesuffix(".ko").replace("-", "_") for path in listed}
    return [path for path, name in names.items() if not system.exists(f"/sys/module/{name}")]


def _try_timers(system: Remote) -> None:
    """Sleep a moment on each CPU: a kernel whose timers did not survive its boot hangs here, and is booted again."""
    for cpu in _each_cpu(system):
        _stay(system, cpu)
        batch = system.batch()
        system.call(batch, "nanosleep", batch.buffer(_longs(system, 0, _TRY)), 0)
        system.sure(batch)


def _arm(system: Remote) -> None:
    """Give each CPU a timer of the wall clock, as guest/timers.py does; they stay for as long as the machine."""
    now = time.time_ns()
    for cpu in _each_cpu(system):
        _stay(system, cpu)
        batch = system.batch()
        system.call(batch, "clock_settime", _REALTIME, batch.buffer(_longs(system, now // 10**9, 0)))
        timer = system.call(batch, "timerfd_create", _REALTIME, 0)
        due = batch.buffer(_longs(system, 0, 0, now // 10**9 + DUE, 0))  # struct itimerspec
        system.call(batch, "timerfd_settime", timer, ABSOLUTE, due, 0)
        system.sure(batch)


def _each_cpu(system: Remote) -> Iterator[int]:
    """Yield CPUs; in the end, the program may run on all of them again."""
    cpus = system.cpus("online")
    yield from cpus
    _stay(system, *cpus)


def _stay(system: Remote, *cpus: int) -> None:
    """Have the program run on these CPUs only: a set of bits, in words of a ``long``."""
    bits = 8 * system.pointer_size
    mask = [sum(1 << cpu % bits for cpu in cpus if cpu // bits == word) for word in range(8 * _MASK // bits)]
    batch = system.batch()
    system.call(batch, "sched_setaffinity", 0, _MASK, batch.buffer(_longs(system, *mask)))
    system.sure(batch)


def _longs(system: Remote, *values: int) -> bytearray:
    return words(*values, long=system.pointer_size, order=system.order)
