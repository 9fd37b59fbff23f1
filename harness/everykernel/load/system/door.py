"""`System`: the one door to the machine whose kernel objects are loaded into.

Everything else in the loader is given one, and asks the machine by it alone; what it is asked holds no addresses.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import struct
import sys
from collections.abc import Iterable
from typing import Any, Optional

from everykernel.architectures import BY_UNAME, Architecture
from everykernel.load.system import syscalls
from everykernel.load.system.block import Block, Fields, Memory
from everykernel.load.system.errnos import failure
from everykernel.load.system.files import Files
from everykernel.load.system.netlink import Netlink
from everykernel.load.system.syscalls import at, where


class System(Files):
    """The machine that this process runs on.

    Attributes:
        byteorder: ``"little"`` or ``"big"``.
        pointer_size: bytes in a pointer, and in the kernel's ``long``.
        page_size: bytes in a page.
        counts_runs: False where the kernel counts no runs of programs, whatever number it tells.
    """

    def __init__(self) -> None:
        self.byteorder = sys.byteorder
        self.pointer_size = struct.calcsize("P")
        self.page_size = mmap.PAGESIZE
        self.counts_runs = True
        self._layouts: dict[str, struct.Struct] = {}
        self._numbers: Optional[tuple[int, int]] = None

    @property
    def architecture(self) -> Architecture:
        """The row of this machine; raises OSError (ENOSYS) for one that is not in the table."""
        machine = self.uname.machine
        found = BY_UNAME.get(machine)
        if found is None:
            raise OSError(errno.ENOSYS, f"no system call numbers are known for {machine}")
        return found

    @property
    def netlink(self) -> Netlink:
        """Sockets, and requests to rtnetlink(7)."""
        return Netlink(self.byteorder)

    @property
    def pid(self) -> int:
        """The process that a program's cgroup is made for: this one."""
        return os.getpid()

    @property
    def uname(self) -> os.uname_result:
        """What uname(2) says."""
        return os.uname()

    def cpus(self, which: str = "possible") -> list[int]:
        """Return the CPUs that are ``possible`` (a per-CPU value has a part for each) or ``online``."""
        found: list[int] = []
        for part in self.text(f"/sys/devices/system/cpu/{which}").split(","):
            first, _, last = part.partition("-")
            found.extend(range(int(first), int(last or first) + 1))
        return found

    # ------------------------------------------------------------------------------------------ data

    def layout(self, format_: str) -> struct.Struct:
        """Return the layout of a format that names no byte order, in this machine's."""
        found = self._layouts.get(format_)
        if found is None:
            found = self._layouts[format_] = struct.Struct(("<" if self.byteorder == "little" else ">") + format_)
        return found

    def pack(self, format_: str, *values: Any) -> bytes:
        """Return values as this machine has them."""
        return self.layout(format_).pack(*values)

    def unpack(self, format_: str, data: Any, offset: int = 0) -> tuple[Any, ...]:
        """Return the values that this machine has at an offset."""
        return self.layout(format_).unpack_from(data, offset)

    # ------------------------------------------------------------------------------------------ system calls

    def bpf(self, command: int, attributes: Fields) -> int:
        """Call bpf(2); return its result. Raises OSError."""
        blocks: list[tuple[Block, bytearray]] = []
        result = syscalls.bpf((self._numbers or self._calls())[0], command, self._packed(attributes, blocks))
        for block, written in blocks:
            block.fields = self.unpack(block.format, written)
        if result < 0:
            raise failure(-result)
        return result

    def bpf_fields(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...]]:
        """Call bpf(2); return the errno (0 without an error), and the attribute's fields as the kernel left them."""
        blocks: list[tuple[Block, bytearray]] = []
        packed = self._packed(attributes, blocks)
        result = syscalls.bpf((self._numbers or self._calls())[0], command, packed)
        for block, written in blocks:
            block.fields = self.unpack(block.format, written)
        return -min(result, 0), self.unpack(attributes[0], packed)

    def perf_event_open(self, attributes: Fields, pid: int, cpu: int) -> int:
        """Call perf_event_open(2); return the descriptor. Raises OSError."""
        blocks: list[tuple[Block, bytearray]] = []  # they live until the call is over
        packed = self._packed(attributes, blocks)
        result = syscalls.perf_event_open((self._numbers or self._calls())[1], packed, pid, cpu)
        if result < 0:
            raise failure(-result)
        return result

    def ioctl(self, fd: int, request: tuple[str, int, int], argument: int = 0) -> None:
        """Call ioctl(2) with a number; the request is its kind, number and size in bytes. Raises OSError."""
        fcntl.ioctl(fd, self.architecture.ioctl(*request), argument)

    def wait(self, descriptors: Iterable[int], milliseconds: int) -> None:
        """Wait until there is something to read from one of these, at most so long."""
        waiting = select.poll()
        for fd in descriptors:
            waiting.register(fd, select.POLLIN)
        waiting.poll(milliseconds)

    def map(self, fd: int, size: int, offset: int = 0, *, write: bool = True) -> Memory:
        """Map bytes of a descriptor into memory, whole pages. Raises OSError, ValueError."""
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        return mmap.mmap(fd, size, mmap.MAP_SHARED, protection, offset=offset)

    def room(self, size: int) -> Memory:
        """Return zeros for the kernel to write to, which take memory only where it writes."""
        return mmap.mmap(-1, size)

    def _calls(self) -> tuple[int, int]:
        """Return the numbers of bpf(2) and perf_event_open(2)."""
        row = self.architecture
        self._numbers = (row.syscall_bpf, row.syscall_perf_event_open)
        return self._numbers

    def _packed(self, fields: Fields, blocks: list[tuple[Block, bytearray]]) -> bytearray:
        """Return a struct's bytes, with addresses for its buffers; ``blocks`` gets those that it points to."""
        layout = self._layouts.get(fields[0]) or self.layout(fields[0])
        _, *values = fields
        for index, value in enumerate(values):
            kind = value.__class__
            if kind is bytearray and value:
                values[index] = where(at(value))
            elif kind is not int:
                values[index] = self._plain(value, blocks)
        return bytearray(layout.pack(*values))

    def _plain(self, value: Any, blocks: list[tuple[Block, bytearray]]) -> Any:
        """Return what stands for a value in a struct: for a buffer its address."""
        if isinstance(value, (int, bytes)):
            return value
        if isinstance(value, Block):
            packed = self._packed((value.format, *value.fields), blocks)
            blocks.append((value, packed))
            return syscalls.address(packed)
        return syscalls.address(value)
