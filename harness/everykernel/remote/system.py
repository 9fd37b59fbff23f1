"""`Remote`: the machine at the far end of a line, as the loader asks for it.

Each method is one exchange, or a few; what several calls make up (a file that is opened, read and closed) is one batch.
"""

from __future__ import annotations

import errno
import fnmatch
import io
import os
from collections.abc import Iterable
from typing import Any, BinaryIO

from everykernel.errors import GuestLost
from everykernel.load.system import abi
from everykernel.load.system.block import Fields, text
from everykernel.load.system.door import System, Uname
from everykernel.load.system.errnos import failure
from everykernel.remote.batch import CALL, FILL, MAP, Batch, Buffer, Order, Result, words
from everykernel.remote.calls import NUMBERS
from everykernel.remote.gate import Hello
from everykernel.remote.line import Line
from everykernel.remote.memory import RemoteMemory

# include/uapi/asm-generic/fcntl.h, mman-common.h, poll.h and linux/stat.h: the same on all of our architectures.
_HERE = -100  # AT_FDCWD
_WRITE, _CREATE, _TRUNCATE, _APPEND, _CLOEXEC = 0o1, 0o100, 0o1000, 0o2000, 0o2000000
_REMOVE_FOLDER = 0x200
_READABLE, _WRITABLE = 1, 2  # PROT_*
_SHARED, _OWN = 1, 0x22  # MAP_SHARED; MAP_PRIVATE | MAP_ANONYMOUS
_POLLIN = 1
_STATX_MODE, _STATX_SIZE, _KIND, _FILE = 28, 256, 0o170000, 0o100000
_PERF_CLOEXEC = 8
_MEMLOCK, _UNLIMITED = 8, b"\xff" * 16  # RLIMIT_MEMLOCK, a struct rlimit64 without limits
_UNAME = 65  # bytes of each of struct new_utsname's six
_SMALL, _LARGE = 64 << 10, 8 << 20  # bytes that are read of a file at once: most are small
_FILE_LIMIT = 256 << 20


class Remote(System):
    """A machine at the far end of a line.

    Args:
        line: the line to its program.
        hello: what that said of it.
        arch: the name of its architecture: system calls have numbers of it.
    """

    def __init__(self, line: Line, hello: Hello, arch: str) -> None:
        super().__init__(hello.byteorder, hello.pointer_size, hello.page_size)
        self.line = line
        self.order: Order = hello.byteorder
        self._numbers = NUMBERS[arch]
        self._uname: Uname | None = None
        self._pid: int | None = None
        self._possible: list[int] | None = None
        self._locks = True  # whether memory may still be locked up to a limit only

    # ------------------------------------------------------------------------------------------ batches

    def batch(self) -> Batch:
        """Return an empty batch for this machine."""
        return Batch(self.order)

    def call(self, batch: Batch, name: str, *arguments: int | Buffer | Result) -> Result:
        """Add a system call to a batch."""
        return batch.step(CALL, *arguments, call=self._numbers[name])

    def path(self, batch: Batch, path: str) -> Buffer:
        """Return a path's buffer in a batch. Raises ValueError where it holds a NUL, as open() does."""
        if "\0" in path:
            raise ValueError("embedded null byte")
        return batch.buffer(text(path))

    def done(self, batch: Batch) -> list[int]:
        """Have a batch done; return the results of its steps, errors as -errno."""
        return self.line.exchange(batch, self.order)

    def sure(self, batch: Batch, path: str | None = None) -> list[int]:
        """Have a batch done; raise OSError for the first step that failed."""
        results = self.done(batch)
        code = next((-result for result in results if result < 0), 0)
        if code:
            raise OSError(code, os.strerror(code), *([path] if path is not None else []))
        return results

    def one(self, name: str, *arguments: int) -> int:
        """Make one system call that has no buffers."""
        batch = self.batch()
        self.call(batch, name, *arguments)
        return self.sure(batch)[0]

    def on_path(self, name: str, path: str, *more: int) -> int:
        """Make one system call on a path."""
        batch = self.batch()
        self.call(batch, name, _HERE, self.path(batch, path), *more)
        return self.sure(batch, path)[0]

    # ------------------------------------------------------------------------------------------ what it is

    @property
    def pid(self) -> int:
        """The program's process."""
        if self._pid is None:
            self._pid = self.one("getpid")
        return self._pid

    @property
    def uname(self) -> Uname:
        """What uname(2) says."""
        if self._uname is None:
            batch, data = self.batch(), bytearray(6 * _UNAME)
            self.call(batch, "uname", batch.buffer(data))
            self.sure(batch)
            parts = [bytes(data[at : at + _UNAME]) for at in range(0, 5 * _UNAME, _UNAME)]
            self._uname = Uname(*(part.partition(b"\0")[0].decode("utf-8", "replace") for part in parts))
        return self._uname

    def cpus(self, which: str = "possible") -> list[int]:
        """Return CPUs; those that are possible never change."""
        if which != "possible":
            return super().cpus(which)
        if self._possible is None:
            self._possible = super().cpus(which)
        return self._possible

    # ------------------------------------------------------------------------------------------ system calls

    def bpf(self, command: int, attributes: Fields) -> int:
        """Call bpf(2)."""
        result, _ = self._bpf(command, attributes)
        if result < 0:
            raise failure(-result)
        return result

    def bpf_fields(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...]]:
        """Call bpf(2), which writes to its attribute."""
        result, written = self._bpf(command, attributes)
        return -min(result, 0), self.unpack(attributes[0], written)

    def _bpf(self, command: int, attributes: Fields) -> tuple[int, bytearray]:
        """Return its result, or -errno, and the attribute; as `syscalls.bpf`, with the limit of locked memory away."""
        while True:
            self.line.doing = f"bpf(2), command {command}"
            batch = self.batch()
            attribute = batch.struct(attributes)
            self.call(batch, "bpf", command, attribute, len(attribute.data))
            (result,) = self.done(batch)
            self.line.doing = ""
            if result not in (-errno.EPERM, -errno.ENOMEM) or not self._unlock():
                return result, attribute.data

    def _unlock(self) -> bool:
        """Take the limit of locked memory away; return whether it was there (and so was worth another try)."""
        if not self._locks:
            return False
        self._locks = False
        batch, before = self.batch(), bytearray(16)
        self.call(batch, "prlimit64", 0, _MEMLOCK, batch.buffer(bytearray(_UNLIMITED)), batch.buffer(before))
        (result,) = self.done(batch)
        return result == 0 and before != _UNLIMITED

    def perf_event_open(self, attributes: Fields, pid: int, cpu: int) -> int:
        """Call perf_event_open(2)."""
        batch = self.batch()
        self.call(batch, "perf_event_open", batch.struct(attributes), pid, cpu, -1, _PERF_CLOEXEC)
        return self.sure(batch)[0]

    def ioctl(self, fd: int, request: tuple[str, int, int], argument: int = 0) -> None:
        """Call ioctl(2)."""
        self.one("ioctl", fd, self.architecture.ioctl(*request), argument)

    def wait(self, descriptors: Iterable[int], milliseconds: int) -> None:
        """Call ppoll(2)."""
        polled = bytearray(b"".join(self.pack("iHH", fd, _POLLIN, 0) for fd in descriptors))
        seconds, rest = divmod(milliseconds, 1000)
        span = words(seconds, rest * 1_000_000, long=self.pointer_size, order=self.order)
        batch = self.batch()
        self.call(batch, "ppoll", batch.buffer(polled), len(polled) // 8, batch.buffer(span), 0, 0)
        self.sure(batch)

    def map(self, fd: int, size: int, offset: int = 0, *, write: bool = True, address: int = 0) -> RemoteMemory:
        """Call mmap(2)."""
        flags = _SHARED | (abi.MAP_FIXED_NOREPLACE if address else 0)
        return self._mapped(size, _READABLE | (_WRITABLE if write else 0), flags, fd, offset, address)

    def room(self, size: int) -> RemoteMemory:
        """Call mmap(2) without a file."""
        return self._mapped(size, _READABLE | _WRITABLE, _OWN, -1, 0)

    def _mapped(self, size: int, protection: int, flags: int, fd: int, offset: int, address: int = 0) -> RemoteMemory:
        batch = self.batch()
        batch.step(MAP, size, protection, flags, fd, offset, address)
        return RemoteMemory(self, self.sure(batch)[0], size)

    # ------------------------------------------------------------------------------------------ files

    def read(self, path: str) -> bytes:
        """Read a file whole: a small one in one exchange."""
        batch, data = self.batch(), bytearray(_SMALL)
        fd = self.call(batch, "openat", _HERE, self.path(batch, path), _CLOEXEC)
        batch.step(FILL, fd, batch.buffer(data), len(data))
        self.call(batch, "close", fd)
        _, size, _ = self.sure(batch, path)
        return bytes(data[:size]) if size < _SMALL else self._large(path)

    def _large(self, path: str) -> bytes:
        fd, found = self.open(path), bytearray()
        try:
            while len(found) <= _FILE_LIMIT:
                batch, data = self.batch(), bytearray(_LARGE)
                batch.step(FILL, fd, batch.buffer(data), _LARGE)
                (size,) = self.sure(batch, path)
                found += data[:size]
                if size < _LARGE:
                    return bytes(found)
        finally:
            self.close(fd)
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)

    def file(self, path: str) -> BinaryIO:
        """Read a file, and return it as one that is here."""
        return io.BytesIO(self.read(path))

    def write(self, path: str, text: str, *, append: bool = False) -> None:
        """Write to a file."""
        self._put(path, text.encode("utf-8", "surrogateescape"), _APPEND if append else _TRUNCATE)

    def push(self, path: str, data: bytes, mode: int) -> None:
        """Write a file anew, in a folder that is there."""
        for at in range(0, len(data) or 1, _LARGE):
            self._put(path, data[at : at + _LARGE], _CREATE | (_APPEND if at else _TRUNCATE), mode)

    def _put(self, path: str, data: bytes, flags: int, mode: int | None = None) -> None:
        batch = self.batch()
        fd = self.call(batch, "openat", _HERE, self.path(batch, path), _WRITE | _CLOEXEC | flags, 0o600)
        if data:
            self.call(batch, "write", fd, batch.buffer(bytearray(data)), len(data))
        if mode is not None:
            self.call(batch, "fchmod", fd, mode)
        self.call(batch, "close", fd)
        self.sure(batch, path)

    def exists(self, path: str) -> bool:
        """Look for a name."""
        return self._kind(path) is not None

    def is_file(self, path: str) -> bool:
        """Look for a file."""
        return self._kind(path) == _FILE

    def _kind(self, path: str) -> int | None:
        """Return the kind of what has a name, None where nothing has."""
        if "\0" in path:
            return None
        batch, data = self.batch(), bytearray(_STATX_SIZE)
        self.call(batch, "statx", _HERE, self.path(batch, path), 0, 1, batch.buffer(data))
        (result,) = self.done(batch)
        return None if result else int(self.unpack("H", data, _STATX_MODE)[0]) & _KIND

    def programs(self) -> list[str]:
        """Return where programs are as a rule: the far end's environment says nothing."""
        return ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]

    def glob(self, pattern: str) -> list[str]:
        """Look for names, with wildcards in the last part only."""
        folder, _, name = pattern.rpartition("/")
        try:
            found = self.listing(folder or "/")
        except OSError:
            return []
        hidden = name.startswith(".")
        wanted = [n for n in found if fnmatch.fnmatchcase(n, name) and (hidden or not n.startswith("."))]
        return [f"{folder}/{n}" for n in wanted]

    def listing(self, path: str) -> list[str]:
        """Return the names in a folder."""
        fd, found = self.open(path, folder=True), []
        try:
            for _ in range(_FILE_LIMIT // _SMALL):
                batch, data = self.batch(), bytearray(_SMALL)
                self.call(batch, "getdents64", fd, batch.buffer(data), len(data))
                size = self._checked(self.sure(batch, path)[0], len(data))
                if not size:
                    break
                found += self._names(bytes(data[:size]))
        finally:
            self.close(fd)
        return [name for name in found if name not in (".", "..")]

    def _names(self, data: bytes) -> list[str]:
        """Return the names in struct linux_dirent64s."""
        found, at = [], 0
        while at + 19 < len(data):
            (size,) = self.unpack("H", data, at + 16)
            if size < 20:
                raise self._odd("a folder's entry that is none")
            found.append(data[at + 19 : at + size].partition(b"\0")[0].decode("utf-8", "surrogateescape"))
            at += size
        return found

    def make_folder(self, path: str) -> None:
        """Call mkdir(2)."""
        self.on_path("mkdirat", path, 0o777)

    def make_folders(self, path: str) -> None:
        """Call mkdir(2) for each that may be missing, at once."""
        batch, parts = self.batch(), path.rstrip("/").split("/")
        for end in range(1, len(parts) + 1):
            if above := "/".join(parts[:end]):
                self.call(batch, "mkdirat", _HERE, self.path(batch, above), 0o777)
        results = self.done(batch)
        code = -results[-1] if results else 0
        if code > 0 and not (code == errno.EEXIST and self._kind(path) == 0o040000):
            raise OSError(code, os.strerror(code), path)

    def remove_folder(self, path: str) -> None:
        """Call rmdir(2)."""
        self.on_path("unlinkat", path, _REMOVE_FOLDER)

    # ------------------------------------------------------------------------------------------ descriptors

    def open(self, path: str, *, folder: bool = False) -> int:
        """Call open(2); a name that ends in / is a folder's on every architecture, O_DIRECTORY has several numbers."""
        batch = self.batch()
        self.call(batch, "openat", _HERE, self.path(batch, f"{path}/" if folder else path), _CLOEXEC)
        return self.sure(batch, path)[0]

    def socket(self, family: int, kind: int, protocol: int) -> int:
        """Call socket(2)."""
        return self.one("socket", family, kind | _CLOEXEC, protocol)

    def set_option(self, fd: int, level: int, option: int, value: int) -> None:
        """Call setsockopt(2)."""
        batch = self.batch()
        self.call(batch, "setsockopt", fd, level, option, batch.buffer(bytearray(self.pack("i", value))), 4)
        self.sure(batch)

    def send(self, fd: int, data: bytes) -> None:
        """Call write(2)."""
        batch = self.batch()
        self.call(batch, "write", fd, batch.buffer(bytearray(data)), len(data))
        self.sure(batch)

    def receive(self, fd: int, size: int) -> bytes:
        """Call read(2)."""
        batch, data = self.batch(), bytearray(size)
        self.call(batch, "read", fd, batch.buffer(data), size)
        return bytes(data[: self._checked(self.sure(batch)[0], size)])

    def duplicate(self, fd: int) -> int:
        """Call dup(2)."""
        return self.one("dup", fd)

    def close(self, fd: int) -> None:
        """Call close(2)."""
        self.one("close", fd)

    def _checked(self, size: int, room: int) -> int:
        """Return how many bytes were read, of those that there was room for."""
        if size > room:
            raise self._odd(f"{size} bytes were read into {room}")
        return size

    def _odd(self, what: str) -> GuestLost:
        self.line.end = GuestLost(f"the program's stream is broken: {what}", where=self.line.where)
        return self.line.end
