"""What is read of a command's bpf(2) calls, what is kept of its output, and which calls stop it."""

from __future__ import annotations

import struct

import pytest

from everykernel import wire
from everykernel.architectures import ARCHITECTURES
from everykernel.guest.commands import calls, missing
from everykernel.guest.commands import filter as filter_
from everykernel.guest.commands.output import Kept
from everykernel.guest.commands.serve import blamed
from everykernel.load.system import abi

ALLOW, TRACE = 0x7FFF0000, 0x7FF00000


def judge(code: bytes, arch: int, number: int, first: int, byteorder: str = "little") -> int:
    """Run a seccomp filter on a system call, as the kernel of a machine does: words are in its byte order."""
    order = "<" if byteorder == "little" else ">"
    data = struct.pack(order + "IIQQ", number, arch, 0, first)
    at, accumulator = 0, 0
    while True:
        operation, yes, no, value = struct.unpack_from("<HBBI", code, 8 * at)
        if operation == 0x06:
            return int(value)
        if operation == 0x20:
            accumulator = struct.unpack_from(order + "I", data, value)[0]
            at += 1
        else:
            assert operation == 0x15
            at += 1 + (yes if accumulator == value else no)


def test_the_filter_stops_at_what_makes_something() -> None:
    """On every architecture, of all system calls only bpf(2), and of that no operation on elements, no question."""
    code = filter_.program(ARCHITECTURES.values())
    for row in ARCHITECTURES.values():
        for command in range(60):
            wanted = ALLOW if command in filter_.QUIET else TRACE
            assert judge(code, row.audit_arch, row.syscall_bpf, command, row.byteorder) == wanted
        assert judge(code, row.audit_arch, row.syscall_bpf + 1, 0, row.byteorder) == ALLOW
    assert judge(code, 0x8, 4355, 0) == ALLOW  # another architecture's


@pytest.mark.parametrize("sizes", [[3], [10], [15, 5], [7, 9, 30, 1], [100], [1] * 50])
def test_both_ends_are_kept(sizes: list[int]) -> None:
    """The first and the last bytes of a stream are kept, what is between them is counted."""
    data = bytes(range(sum(sizes)))
    kept, at = Kept(10), 0
    for size in sizes:
        kept.add(data[at : at + size])
        at += size
    told = kept.written()
    assert told["first"] == data[:10]
    assert told["last"] == data[max(10, len(data) - 10) :]
    assert told["left_out"] == max(0, len(data) - 20)


class Memory:
    """A process's memory."""

    def __init__(self) -> None:
        self.data = bytearray(1 << 12)
        self.end = 64

    def put(self, data: bytes) -> int:
        at, self.end = self.end, self.end + len(data)
        if self.end > len(self.data):
            self.data.extend(bytes(self.end))
        self.data[at : self.end] = data
        return at

    def read(self, address: int, size: int) -> bytes:
        if address >= len(self.data):
            raise OSError(5, "no memory")
        return bytes(self.data[address : address + size])


def call(command: int, attribute: bytes, memory: Memory, result: int = 3) -> wire.BpfCall:
    """Return what is noted of a call."""
    address = memory.put(attribute.ljust(160, b"\0"))
    begun = calls.begin(command, address, 128, memory.read, lambda fd: (f"p{fd}", "xdp"))
    return calls.end(begun, result, memory.read)


def program(memory: Memory, name: bytes, log: bytes, insns: int = 2, type_: int = 2) -> bytes:
    room = memory.put(log + b"\0")
    return struct.pack(
        "<IIQQIIQII16sIIIIQIIQII", type_, insns, 0, 0, 1, len(log) + 1, room, 0, 0, name, 0, 24, 0, 0, 0, 0, 0, 0, 0, 77
    )


def test_calls_are_read() -> None:
    """Names, types, sizes, the errno and the log of what is refused."""
    memory = Memory()
    refused = call(abi.PROG_LOAD, program(memory, b"handle", b"R0 !read_ok\n"), memory, -13)
    assert refused == {
        "command": "PROG_LOAD", "type": "kprobe", "insns": 2, "name": "handle", "attach": "trace_fentry #77",
        "probe": False, "errno": "EACCES", "log": "R0 !read_ok\n",
    }  # fmt: skip
    assert "log" not in call(abi.PROG_LOAD, program(memory, b"handle", b"fine"), memory, 3)
    made = call(abi.MAP_CREATE, struct.pack("<7I16s", 1, 4, 8, 10, 0, 0, 0, b"counts"), memory)
    assert (made["type"], made["name"], made["max_entries"], made["errno"]) == ("hash", "counts", 10, None)
    pin = call(abi.OBJ_PIN, struct.pack("<QI", memory.put(b"/sys/fs/bpf/x\0"), 3), memory)
    assert pin["name"] == "/sys/fs/bpf/x"
    link = call(abi.LINK_CREATE, struct.pack("<III", 5, 0, 37), memory, -22)
    assert (link["name"], link["attach"], link["errno"]) == ("p5", "xdp", "EINVAL")
    assert call(99, b"", memory, -22)["command"] == "99"


def test_memory_that_is_not_there() -> None:
    """A call with bad addresses is noted all the same: the kernel refuses it."""
    begun = calls.begin(abi.PROG_LOAD, 1 << 40, 128, Memory().read, lambda fd: ("", ""))
    assert calls.end(begun, -14, Memory().read)["errno"] == "EFAULT"
    memory = Memory()
    attribute = bytearray(program(memory, b"x", b""))
    attribute[28:40] = struct.pack("<IQ", 1 << 31, 1 << 50)
    assert call(abi.PROG_LOAD, bytes(attribute), memory, -13)["errno"] == "EACCES"


def test_a_long_log_is_cut_in_its_middle() -> None:
    """Beginning and end are kept, and how much is between them is said."""
    memory = Memory()
    log = b"begin" + bytes([97]) * 300_000 + b"the end"
    told = call(abi.PROG_LOAD, program(memory, b"x", log), memory, -13)["log"]
    assert told.startswith("begin")
    assert told.endswith("the end")
    assert f"({len(log) - (128 << 10)} characters left out)" in told


def made(command: str, name: str, errno: str | None = None, *, probe: bool = False) -> wire.BpfCall:
    return {"at": 0.0, "pid": 1, "command": command, "name": name, "errno": errno, "probe": probe}


def test_which_call_is_blamed() -> None:
    """The last refused one that was not made good later; probes and BTF, which loaders do without, are none."""
    assert blamed([]) is None
    assert blamed([made("PROG_LOAD", "a")]) is None
    assert blamed([made("PROG_LOAD", "a", "EACCES"), made("PROG_LOAD", "a")]) is None
    assert blamed([made("PROG_LOAD", "a", "EACCES"), made("PROG_LOAD", "a", "EACCES"), made("MAP_CREATE", "m")]) == 1
    assert blamed([made("MAP_CREATE", "m", "EPERM"), made("PROG_LOAD", "", "EINVAL", probe=True)]) == 0
    assert blamed([made("BTF_LOAD", "", "EINVAL"), made("OBJ_GET", "/x", "ENOENT")]) is None


def test_interpreters_of_scripts_and_programs() -> None:
    """The first line of a script, the program header of an ELF file; nothing else has one."""
    assert missing.interpreter(b"#! /bin/bash -e\n") == "/bin/bash"
    assert missing.interpreter(b"#!\n") == missing.interpreter(b"text") == missing.interpreter(b"\x7fELF") == ""
    with open("/bin/sh", "rb") as file:  # noqa: PTH123
        assert missing.interpreter(file.read(4096)) in ("/lib64/ld-linux-x86-64.so.2", "")
