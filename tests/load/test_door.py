"""Nobody in load/ reaches the machine but through `System`; what it is asked holds no addresses and no byte order."""

from __future__ import annotations

import ast
import errno
import os
import struct
from pathlib import Path

import pytest

from everykernel import folders
from everykernel.load.kernel.probes import Probes
from everykernel.load.maps import create
from everykernel.load.maps.map import Map
from everykernel.load.rules.named import DEFAULT
from everykernel.load.system import abi
from everykernel.load.system.block import Block, Fields, text
from everykernel.load.system.local import Local
from everykernel.object import MapSpec
from everykernel.object.maps import MAP_TYPE

ROOT = folders.package() / "load"
OUTSIDE = sorted(p for p in ROOT.rglob("*.py") if p.parent.name != "system")

# What reaches the machine, or has its byte order. gzip, elftools and their like are given bytes or a file.
MACHINE = {
    "_socket", "array", "ctypes", "fcntl", "glob", "io", "mmap", "os", "pathlib", "platform", "resource", "select",
    "selectors", "shutil", "signal", "socket", "subprocess", "sys", "tempfile",
}  # fmt: skip


def _ordered(layout: ast.expr) -> bool:
    """Whether a format names a byte order: by its first letter, or by a variable that is called so."""
    first = layout.values[0] if isinstance(layout, ast.JoinedStr) else layout
    if isinstance(first, ast.FormattedValue):
        return ast.unparse(first.value) == "order"
    if isinstance(first, ast.Name):  # made elsewhere, of a file's own order
        return first.id in ("layout", "shape")
    return isinstance(first, ast.Constant) and str(first.value)[:1] in ("<", ">")


def _faults(source: str) -> list[str]:
    """Return what a source does that is the door's alone."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            found += [f"imports {name}" for name in names if name.partition(".")[0] in MACHINE]
            found += ["imports syscalls" for a in node.names if f"{names[0]}.{a.name}".endswith("system.syscalls")]
            found += ["imports syscalls" for name in names if name.endswith("system.syscalls")]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("open", "gzip.open", "__import__"):
                found.append(f"calls {called}")
            if called.startswith("struct.") and not _ordered(node.args[0]):
                found.append(f"has this machine's order in {ast.unparse(node.args[0])}")
    return found


@pytest.mark.parametrize("path", OUTSIDE, ids=[str(p.relative_to(ROOT)) for p in OUTSIDE])
def test_nobody_reaches_the_machine_but_the_door(path: Path) -> None:
    """No file, map, socket or system call, and nothing in the order of the machine that this runs on."""
    assert _faults(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import mmap",
        "def f():\n    from os import path",
        "import os.path",
        "if TYPE_CHECKING:\n    import socket",
        "from everykernel.load.system import syscalls",
        "from everykernel.load.system.syscalls import address",
        "open('/proc/modules')",
        "struct.pack('=I', 1)",
        "struct.pack('I', 1)",
        "struct.calcsize('P')",
        "struct.unpack_from(f'{n}I', data)",
        "struct.pack(format, 1)",
        "struct.pack(f'={n}I', *values)",
        "from sys import byteorder",
    ],
)
def test_each_fault_is_seen(source: str) -> None:
    """The test above finds each of the things that it is for."""
    assert _faults(source)


class Elsewhere(Local):
    """A machine of another kind: what it is asked is kept, and answered as ``answer`` says."""

    def __init__(self, answer: int = 7) -> None:
        super().__init__()
        self.byteorder, self.pointer_size, self.page_size = "big", 8, 1 << 16
        self.asked: list[tuple[int, Fields]] = []
        self.answer = answer

    def read(self, path: str) -> bytes:
        files = {"/sys/devices/system/cpu/possible": b"0-1,4\n", "/proc/sys/kernel/perf_event_max_stack": b"9\n"}
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    def bpf(self, command: int, attributes: Fields) -> int:
        self.asked.append((command, attributes))
        if self.answer < 0:
            raise OSError(-self.answer, os.strerror(-self.answer))
        return self.answer

    def close(self, fd: int) -> None:
        assert fd == self.answer


def test_another_machine_is_asked_in_its_own_order() -> None:
    """Sizes follow its pages and CPUs, keys and values its byte order: what it is asked has nothing of this machine."""
    there = Elsewhere()
    ring = Map("r", MapSpec("r", MAP_TYPE["ringbuf"], max_entries=1), None, there)
    create.create(ring, Probes(there), 0, DEFAULT)
    assert (ring.fd, ring.record["max_entries"]) == (7, 1 << 16)
    made = Map("m", MapSpec("m", MAP_TYPE["percpu_array"], 4, 2, 1), None, there)
    made.fd = 7
    made.update(1, [1, 2, 3])
    command, (layout, fd, key, value, flags) = there.asked[-1]
    assert (command, layout, fd, flags) == (abi.MAP_UPDATE_ELEM, "I4xQQQ", 7, 0)
    assert (bytes(key), bytes(value)) == (b"\0\0\0\1", b"".join(bytes([0, n]) + bytes(6) for n in (1, 2, 3)))
    made.close()
    stacks = Map("s", MapSpec("s", MAP_TYPE["stack_trace"], 4, 0, 1), None, there)
    create.create(stacks, Probes(there), 0, DEFAULT)
    assert stacks.spec.value_size == 72


def test_layouts_are_in_the_order_of_the_machine() -> None:
    """Here and elsewhere differ in the order of bytes alone."""
    here, there = Local(), Elsewhere()
    assert there.pack("HQ", 1, 2) == struct.pack(">HQ", 1, 2)
    assert here.pack("HQ", 1, 2) == struct.pack("=HQ", 1, 2)
    assert there.unpack("H", b"\0\0\1", 1) == (1,)


def test_buffers_become_addresses_and_blocks_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call gets addresses of its buffers, of those in blocks too; afterwards a block has what the kernel wrote."""
    import ctypes

    from everykernel.load.system import syscalls

    def call(number: int, command: int, attributes: bytearray) -> int:
        size, pointer, nothing = struct.unpack("=IQQ", attributes)
        inner = (ctypes.c_char * size).from_address(pointer)
        first, second = struct.unpack("=QQ", inner)
        seen.extend(ctypes.string_at(at) for at in (first, second))
        assert nothing == 0
        struct.pack_into("=Q", inner, 8, 99)
        return -errno.ENOENT

    seen: list[bytes] = []
    monkeypatch.setattr(syscalls, "bpf", call)
    block = Block("QQ", text("one"), text("two"))
    with pytest.raises(OSError, match="No such file"):
        Local().bpf(0, ("IQQ", 16, block, bytearray()))
    assert seen == [b"one", b"two"]
    assert block.fields[1] == 99


def test_fields_that_the_kernel_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bpf_fields` returns the errno and the attribute as it is after the call."""
    from everykernel.load.system import syscalls

    def call(number: int, command: int, attributes: bytearray) -> int:
        struct.pack_into("=I", attributes, 4, 5)
        return answers.pop()

    answers: list[int] = [-errno.ENOSPC, 3]
    monkeypatch.setattr(syscalls, "bpf", call)
    assert Local().bpf_fields(0, ("II", 1, 2)) == (0, (1, 5))
    assert Local().bpf_fields(0, ("II", 1, 2)) == (errno.ENOSPC, (1, 5))


def test_files(tmp_path: Path) -> None:
    """Files are read whole, and written or added to without being made."""
    here, path = Local(), str(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        here.write(path, "x")
    Path(path).write_bytes(b"longer text\n")
    here.write(path, "one\n")
    here.write(path, "two\xff \n", append=True)
    assert here.read(path) == "one\ntwo\xff \n".encode()
    assert here.text(path) == "one\ntwo\xff"
    with pytest.raises(NotADirectoryError):
        here.open(path, folder=True)
    here.close(here.open(str(tmp_path), folder=True))
