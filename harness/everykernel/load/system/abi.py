"""The union bpf_attr of each command that the loader uses, and the structs that the kernel fills in.

Layouts: include/uapi/linux/bpf.h and perf_event.h. Pointers are 64 bits wide on every architecture. The kernel takes an
attribute larger than the one it knows as long as the rest is zero (bpf_check_uarg_tail_zero), so one size serves all.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import Any, Union

from everykernel.load.system.block import Block, Fields, Memory
from everykernel.namedtuple import NamedTuple

Buffer = Union[int, bytearray, Memory, Block]  # 0: none

(
    MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY, PROG_LOAD, OBJ_PIN, OBJ_GET,
    PROG_ATTACH, PROG_DETACH, PROG_TEST_RUN, PROG_GET_NEXT_ID, MAP_GET_NEXT_ID, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID,
    OBJ_GET_INFO_BY_FD, PROG_QUERY, RAW_TRACEPOINT_OPEN, BTF_LOAD, BTF_GET_FD_BY_ID, TASK_FD_QUERY,
    MAP_LOOKUP_AND_DELETE_ELEM, MAP_FREEZE, BTF_GET_NEXT_ID, MAP_LOOKUP_BATCH, MAP_LOOKUP_AND_DELETE_BATCH,
    MAP_UPDATE_BATCH, MAP_DELETE_BATCH, LINK_CREATE, LINK_UPDATE, LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID, ENABLE_STATS,
    ITER_CREATE,
) = range(34)  # fmt: skip

# Flags of maps and programs.
F_NO_PREALLOC, F_RDONLY_PROG, F_MMAPABLE = 1 << 0, 1 << 7, 1 << 10
F_LINK, F_VTYPE_BTF_OBJ_FD, F_RB_OVERWRITE = 1 << 13, 1 << 15, 1 << 19
F_SLEEPABLE = 1 << 4
F_ALL_CPUS = 1 << 4  # of an update: one value for the copies of all CPUs

MAP_FIXED_NOREPLACE = 0x100000  # of mmap(2), on all our architectures: what is there already stays (since v4.17)

NAME_SIZE = 16  # BPF_OBJ_NAME_LEN, the final NUL included


def object_name(name: str) -> bytes:
    """Return a name as the kernel takes it: at most 15 of letters, digits, ``_`` and ``.``."""
    return bytes(
        c if (chr(c).isalnum() and c < 128) or c in b"_." else ord("_")
        for c in name.encode("utf-8", "surrogateescape")[: NAME_SIZE - 1]
    )


class MapAttributes(NamedTuple):
    """What BPF_MAP_CREATE takes."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    inner_fd: int = 0
    numa_node: int = 0
    name: bytes = b""
    btf_fd: int = 0
    key_type: int = 0
    value_type: int = 0
    extra: int = 0
    kernel_value_type: int = 0
    value_btf_fd: int = 0

    def fields(self) -> Fields:
        """Return the attribute."""
        return (
            "7I16s5IQI4x", self.type, self.key_size, self.value_size, self.max_entries, self.flags, self.inner_fd,
            self.numa_node, self.name, 0, self.btf_fd, self.key_type, self.value_type, self.kernel_value_type,
            self.extra, self.value_btf_fd,
        )  # fmt: skip


def element(fd: int, key: Buffer, value: Buffer = 0, flags: int = 0) -> Fields:
    """Return the attribute of the BPF_MAP_*_ELEM commands and of GET_NEXT_KEY."""
    return ("I4xQQQ", fd, key, value, flags)


def batch(
    fd: int, start: Buffer, following: Buffer, keys: Buffer, values: Buffer, count: int, flags: int = 0
) -> Fields:
    """Return the attribute of the BPF_MAP_*_BATCH commands; how many elements each got through is field BATCH_COUNT."""
    return ("QQQQIIQQ", start, following, keys, values, count, fd, flags, 0)


BATCH_COUNT = 4


class ProgramAttributes(NamedTuple):
    """What BPF_PROG_LOAD takes."""

    type: int
    insn_count: int
    insns: Buffer
    license: Buffer
    kernel_version: int = 0
    flags: int = 0
    name: bytes = b""
    expected_attach_type: int = 0
    btf_fd: int = 0
    func_info_size: int = 0
    func_info: Buffer = 0
    func_info_count: int = 0
    line_info_size: int = 0
    line_info: Buffer = 0
    line_info_count: int = 0
    attach_btf_id: int = 0
    attach_fd: int = 0
    fd_array: Buffer = 0

    def fields(self, log_level: int = 0, log: Buffer = 0, log_size: int = 0) -> Fields:
        """Return the attribute, with or without a buffer for the verifier's log."""
        return (
                "IIQQIIQII16sIIIIQIIQIIIIQQII",
                self.type, self.insn_count, self.insns, self.license, log_level, log_size, log, self.kernel_version,
                self.flags, self.name, 0, self.expected_attach_type, self.btf_fd, self.func_info_size, self.func_info,
                self.func_info_count, self.line_info_size, self.line_info, self.line_info_count, self.attach_btf_id,
                self.attach_fd, 0, self.fd_array, 0, 0, 0,
        )  # fmt: skip


def btf_load(data: bytearray, log: Buffer = 0, log_size: int = 0) -> Fields:
    """Return the attribute of BPF_BTF_LOAD."""
    return ("QQIII", data, log, len(data), log_size, 1 if log_size else 0)


Room = tuple[Buffer, int, Buffer, int]  # a buffer that goes in and its size, and the same of one that comes out


def test_run(fd: int, data: Room, context: Room, repeat: int) -> Fields:
    """Return the attribute of BPF_PROG_TEST_RUN."""
    data_in, size_in, data_out, size_out = data
    ctx_in, ctx_in_size, ctx_out, ctx_out_size = context
    return (
        "IIIIQQIIIIQQIII4x", fd, 0, size_in, size_out, data_in, data_out, repeat, 0, ctx_in_size, ctx_out_size,
        ctx_in, ctx_out, 0, 0, 0,
    )  # fmt: skip


class RunOut(NamedTuple):
    """What BPF_PROG_TEST_RUN writes back into its attribute."""

    retval: int
    size_out: int
    duration: int
    ctx_size_out: int

    @classmethod
    def of(cls, fields: tuple[Any, ...]) -> RunOut:
        """Take it from the attribute's fields after the call."""
        _, retval, _, size_out, _, _, _, duration, _, ctx_size_out, *_ = fields
        return cls(retval, size_out, duration, ctx_size_out)


def info(fd: int, buffer: Buffer, size: int) -> Fields:
    """Return the attribute of BPF_OBJ_GET_INFO_BY_FD; the kernel writes the size it filled to field INFO_SIZE."""
    return ("IIQ", fd, size, buffer)


INFO_SIZE = 1


def pin(path: bytearray, fd: int) -> Fields:
    """Return the attribute of BPF_OBJ_PIN and BPF_OBJ_GET."""
    return ("QII", path, fd, 0)


def raw_tracepoint(name: Buffer, fd: int) -> Fields:
    """Return the attribute of BPF_RAW_TRACEPOINT_OPEN; ``name`` 0 attaches a program with a BTF id."""
    return ("QI4x", name, fd)


_EXTRA = 48  # bytes behind the flags


def link_create(fd: int, target: int, attach_type: int, flags: int = 0, extra: Fields = ("",)) -> Fields:
    """Return the attribute of BPF_LINK_CREATE; ``extra`` is what the attach type keeps behind the flags."""
    rest = _EXTRA - struct.calcsize(f"<{extra[0]}")
    return (f"IIII{extra[0]}{rest}x", fd, target, attach_type, flags, *extra[1:])


def words(*values: int) -> Fields:
    """Return an attribute of 32-bit fields."""
    return (f"{len(values)}I", *values)


# perf_event_open(2)
PERF_SIZE = 112  # PERF_ATTR_SIZE_VER5
PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT = 1, 2
PERF_COUNT_SW_BPF_OUTPUT = 10
PERF_SAMPLE_RAW = 1 << 10
PERF_IOC_ENABLE, PERF_IOC_SET_BPF = ("$", 0, 0), ("$", 8, 4)  # kind, number, size of the argument
PERF_RECORD_LOST, PERF_RECORD_SAMPLE = 2, 9


def perf_event(
    type_: int, config: int, *, sample_type: int = 0, wakeup: int = 0, one: Buffer = 0, two: int = 0, period: int = 0
) -> Fields:
    """Return a struct perf_event_attr; ``one`` and ``two`` are config1 and config2 (kprobe_func, probe_offset)."""
    sample_period = period or (1 if sample_type or type_ == PERF_TYPE_TRACEPOINT else 0)
    return (
        "IIQQQQQIIQQ40x", type_, PERF_SIZE, config, sample_period, sample_type, 0, 0, wakeup, 0, one, two,
    )  # fmt: skip
