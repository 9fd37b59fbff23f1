"""`System`: the one door to the machine whose kernel objects are loaded into.

Everything else in the loader is given one, and asks the machine by it alone; what it is asked holds no addresses. So
the machine may be the one that this runs on (`local`), or another one at the far end of a line (everykernel.remote).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, BinaryIO

from everykernel.architectures import BY_UNAME, Architecture
from everykernel.load.system.block import Fields, Memory
from everykernel.load.system.netlink import Netlink
from everykernel.namedtuple import NamedTuple

MOST_CPUS = 1 << 16  # more than any kernel has (NR_CPUS): a list of them is as long as the machine says


class Uname(NamedTuple):
    """What uname(2) says."""

    sysname: str
    nodename: str
    release: str
    version: str
    machine: str


class System(ABC):
    """A machine. Every method that asks it for something raises OSError where the machine refuses that.

    Attributes:
        byteorder: ``"little"`` or ``"big"``.
        pointer_size: bytes in a pointer, and in the kernel's ``long``.
        page_size: bytes in a page.
        counts_runs: False where the kernel counts no runs of programs, whatever number it tells.
    """

    def __init__(self, byteorder: str, pointer_size: int, page_size: int) -> None:
        self.byteorder = byteorder
        self.pointer_size = pointer_size
        self.page_size = page_size
        self.counts_runs = True
        self._layouts: dict[str, struct.Struct] = {}

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
        """Requests to rtnetlink(7)."""
        return Netlink(self)

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process that a program's cgroup is made for: the one that makes the calls."""

    @property
    @abstractmethod
    def uname(self) -> Uname:
        """What uname(2) says."""

    def cpus(self, which: str = "possible") -> list[int]:
        """Return the CPUs that are ``possible`` (a per-CPU value has a part for each) or ``online``."""
        found: list[int] = []
        for part in self.text(f"/sys/devices/system/cpu/{which}").split(","):
            first, _, last = part.partition("-")
            found.extend(range(int(first), min(int(last or first), MOST_CPUS) + 1))
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

    @abstractmethod
    def bpf(self, command: int, attributes: Fields) -> int:
        """Call bpf(2); return its result."""

    @abstractmethod
    def bpf_fields(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...]]:
        """Call bpf(2); return the errno (0 without an error), and the attribute's fields as the kernel left them."""

    @abstractmethod
    def perf_event_open(self, attributes: Fields, pid: int, cpu: int) -> int:
        """Call perf_event_open(2); return the descriptor."""

    @abstractmethod
    def ioctl(self, fd: int, request: tuple[str, int, int], argument: int = 0) -> None:
        """Call ioctl(2) with a number; the request is its kind, number and size in bytes."""

    @abstractmethod
    def wait(self, descriptors: Iterable[int], milliseconds: int) -> None:
        """Wait until there is something to read from one of these, at most so long."""

    @abstractmethod
    def map(self, fd: int, size: int, offset: int = 0, *, write: bool = True, address: int = 0) -> Memory:
        """Map bytes of a descriptor into memory, whole pages, at an address if one is given. Raises ValueError too."""

    @abstractmethod
    def room(self, size: int) -> Memory:
        """Return zeros for the kernel to write to, which take memory only where it writes."""

    # ------------------------------------------------------------------------------------------ files

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return all that a file holds."""

    def text(self, path: str) -> str:
        """Return a small file's text without white space at its ends."""
        return self.read(path).decode("utf-8", "surrogateescape").strip()

    @abstractmethod
    def file(self, path: str) -> BinaryIO:
        """Return a file to read here and there; the caller closes it."""

    @abstractmethod
    def write(self, path: str, text: str, *, append: bool = False) -> None:
        """Write text to a file that is there.

        ``append`` adds it without seeking to the end, as tracefs wants it and open() for "a" does not.
        """

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is anything of this name."""

    @abstractmethod
    def is_file(self, path: str) -> bool:
        """Whether there is a file of this name."""

    @abstractmethod
    def programs(self) -> list[str]:
        """Return the folders where programs are."""

    @abstractmethod
    def glob(self, pattern: str) -> list[str]:
        """Return the paths that a pattern names."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """Make a folder."""

    @abstractmethod
    def make_folders(self, path: str) -> None:
        """Make a folder, and those that it is in, where they are missing."""

    @abstractmethod
    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""

    # ------------------------------------------------------------------------------------------ descriptors

    @abstractmethod
    def open(self, path: str, *, folder: bool = False) -> int:
        """Return a descriptor of a file, or of what has to be a folder, for the kernel to know it by."""

    @abstractmethod
    def socket(self, family: int, kind: int, protocol: int) -> int:
        """Return a descriptor of a new socket."""

    @abstractmethod
    def set_option(self, fd: int, level: int, option: int, value: int) -> None:
        """Set an option of the socket behind a descriptor; ENOTSOCK for no socket."""

    @abstractmethod
    def send(self, fd: int, data: bytes) -> None:
        """Write bytes to a descriptor, all at once."""

    @abstractmethod
    def receive(self, fd: int, size: int) -> bytes:
        """Return the next bytes of a descriptor, at most ``size``, none at its end."""

    @abstractmethod
    def duplicate(self, fd: int) -> int:
        """Return another descriptor of the same thing."""

    @abstractmethod
    def close(self, fd: int) -> None:
        """Give a descriptor back."""
