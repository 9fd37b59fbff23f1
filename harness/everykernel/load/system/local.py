"""The machine that this process runs on, its calls made and its files opened here.

pathlib is slow to import where this runs, and open() without buffers reads a file in as few calls as can be.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import fcntl
import glob
import mmap
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any, BinaryIO, Optional

from everykernel.load.system import syscalls
from everykernel.load.system.block import Block, Fields, Memory
from everykernel.load.system.door import System, Uname
from everykernel.load.system.errnos import failure
from everykernel.load.system.syscalls import at, where


class Local(System):
    """This machine; what each method does is said in `System`."""

    def __init__(self) -> None:
        super().__init__(sys.byteorder, struct.calcsize("P"), mmap.PAGESIZE)
        self._numbers: Optional[tuple[int, int]] = None

    @property
    def pid(self) -> int:
        """This process."""
        return os.getpid()

    @property
    def uname(self) -> Uname:
        """What uname(2) says."""
        return Uname(*os.uname())

    # ------------------------------------------------------------------------------------------ system calls

    def bpf(self, command: int, attributes: Fields) -> int:
        """Call bpf(2)."""
        blocks: list[tuple[Block, bytearray]] = []
        result = syscalls.bpf((self._numbers or self._calls())[0], command, self._packed(attributes, blocks))
        for block, written in blocks:
            block.fields = self.unpack(block.format, written)
        if result < 0:
            raise failure(-result)
        return result

    def bpf_fields(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...]]:
        """Call bpf(2), which writes to its attribute."""
        blocks: list[tuple[Block, bytearray]] = []
        packed = self._packed(attributes, blocks)
        result = syscalls.bpf((self._numbers or self._calls())[0], command, packed)
        for block, written in blocks:
            block.fields = self.unpack(block.format, written)
        return -min(result, 0), self.unpack(attributes[0], packed)

    def perf_event_open(self, attributes: Fields, pid: int, cpu: int) -> int:
        """Call perf_event_open(2)."""
        blocks: list[tuple[Block, bytearray]] = []  # they live until the call is over
        packed = self._packed(attributes, blocks)
        result = syscalls.perf_event_open((self._numbers or self._calls())[1], packed, pid, cpu)
        if result < 0:
            raise failure(-result)
        return result

    def ioctl(self, fd: int, request: tuple[str, int, int], argument: int = 0) -> None:
        """Call ioctl(2)."""
        fcntl.ioctl(fd, self.architecture.ioctl(*request), argument)

    def wait(self, descriptors: Iterable[int], milliseconds: int) -> None:
        """Call poll(2)."""
        waiting = select.poll()
        for fd in descriptors:
            waiting.register(fd, select.POLLIN)
        waiting.poll(milliseconds)

    def map(self, fd: int, size: int, offset: int = 0, *, write: bool = True, address: int = 0) -> Memory:
        """Call mmap(2)."""
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        if address:
            return syscalls.map_at(address, size, protection, fd, offset)
        return mmap.mmap(fd, size, mmap.MAP_SHARED, protection, offset=offset)

    def room(self, size: int) -> Memory:
        """Call mmap(2) without a file."""
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

    # ------------------------------------------------------------------------------------------ files

    def read(self, path: str) -> bytes:
        """Read a file whole."""
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.readall()

    def file(self, path: str) -> BinaryIO:
        """Open a file."""
        return open(path, "rb")  # noqa: PTH123

    def write(self, path: str, text: str, *, append: bool = False) -> None:
        """Write to a file."""
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC))
        try:
            os.write(file, text.encode("utf-8", "surrogateescape"))
        finally:
            os.close(file)

    def exists(self, path: str) -> bool:
        """Look for a name."""
        return os.path.exists(path)  # noqa: PTH110

    def is_file(self, path: str) -> bool:
        """Look for a file."""
        return os.path.isfile(path)  # noqa: PTH113

    def programs(self) -> list[str]:
        """Return this process's PATH."""
        return os.environ.get("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").split(":")

    def glob(self, pattern: str) -> list[str]:
        """Look for names."""
        return glob.glob(pattern)  # noqa: PTH207

    def make_folder(self, path: str) -> None:
        """Call mkdir(2)."""
        os.mkdir(path)  # noqa: PTH102

    def make_folders(self, path: str) -> None:
        """Call mkdir(2) for each that is missing."""
        os.makedirs(path, exist_ok=True)  # noqa: PTH103

    def remove_folder(self, path: str) -> None:
        """Call rmdir(2)."""
        os.rmdir(path)  # noqa: PTH106

    # ------------------------------------------------------------------------------------------ descriptors

    def open(self, path: str, *, folder: bool = False) -> int:
        """Call open(2)."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECTORY if folder else 0))

    def socket(self, family: int, kind: int, protocol: int) -> int:
        """Call socket(2)."""
        return socket.socket(family, kind, protocol).detach()

    def set_option(self, fd: int, level: int, option: int, value: int) -> None:
        """Call setsockopt(2)."""
        own = socket.socket(fileno=fd)
        try:
            own.setsockopt(level, option, value)
        finally:
            own.detach()

    def send(self, fd: int, data: bytes) -> None:
        """Call write(2)."""
        os.write(fd, data)

    def receive(self, fd: int, size: int) -> bytes:
        """Call read(2)."""
        return os.read(fd, size)

    def duplicate(self, fd: int) -> int:
        """Call dup(2)."""
        return os.dup(fd)

    def close(self, fd: int) -> None:
        """Call close(2)."""
        os.close(fd)
