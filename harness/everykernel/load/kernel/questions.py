"""Questions to a kernel: the smallest thing that needs what is asked about, and what its refusal means.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno

from everykernel.btf import sanitise
from everykernel.load.kernel import tracefs
from everykernel.load.kernel.kconfig import kernel_version
from everykernel.load.system import abi
from everykernel.load.system.door import System
from everykernel.load.system.errnos import ENOTSUPP
from everykernel.object.maps import MAP_TYPE, MAPS_OF_MAPS
from everykernel.object.sections import ATTACH_TYPE, MANY_FUNCTIONS, PROGRAM_TYPE

_RETURN_0 = ((0xB7, 0), (0x95, 0))  # r0 = 0 (the verifier's least), exit: opcode and immediate
_MAP_VALUE = 2  # src_reg of a load of what is in a map
_CALL = 0x85  # of a helper, with the context in r1
_GPL = b"GPL\0"
# What a kernel says to a type, flag or field that it does not know; E2BIG: the field is behind the end of its bpf_attr.
_UNKNOWN = (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, ENOTSUPP)
_READ_KERNEL = 113  # bpf_probe_read_kernel

_MANY = frozenset(ATTACH_TYPE[name] for name in MANY_FUNCTIONS)  # these need none

# Program types whose smallest program needs an attach target in the kernel's BTF: tried with BTF id 1, a type that is
# no function and no typedef; a kernel that knows program and attach type says so in its log, one that does not says
# nothing.
NEED_TARGET = {
    PROGRAM_TYPE["tracing"]: "attach_btf_id 1 is not a ",
    PROGRAM_TYPE["lsm"]: "attach_btf_id 1 is not a ",
    PROGRAM_TYPE["ext"]: "Cannot replace kernel functions",
}
EXPECTED = {
    PROGRAM_TYPE["cgroup_sock_addr"]: ATTACH_TYPE["cgroup_inet4_connect"],
    PROGRAM_TYPE["cgroup_sockopt"]: ATTACH_TYPE["cgroup_getsockopt"],
    PROGRAM_TYPE["sk_lookup"]: ATTACH_TYPE["sk_lookup"],
    PROGRAM_TYPE["netfilter"]: ATTACH_TYPE["netfilter"],
}
"""Program types whose attach type 0 is none of theirs: one that has been there from the type's beginning."""


def program_type(system: System, type_: int, attach_type: int, flags: int = 0) -> bool:
    """Whether the kernel takes, or has a particular reason not to take, the smallest program of a type."""
    insns, license_, log = _code(system, *_RETURN_0), bytearray(_GPL), bytearray(4096)
    wanted = "" if attach_type in _MANY else NEED_TARGET.get(type_, "")
    extension = type_ == PROGRAM_TYPE["ext"]  # takes no attach type
    if type_ == PROGRAM_TYPE["syscall"]:
        flags |= abi.F_SLEEPABLE  # it takes no others
    attributes = abi.ProgramAttributes(
        type_,
        len(insns) // 8,
        insns,
        license_,
        kernel_version=kernel_version(system),
        flags=flags,
        expected_attach_type=attach_type or (ATTACH_TYPE["trace_fentry"] if wanted and not extension else 0),
        attach_btf_id=1 if wanted else 0,
    )
    try:
        fd = system.bpf(abi.PROG_LOAD, attributes.fields(1, log, len(log)) if wanted else attributes.fields())
    except OSError as e:
        if wanted:
            return wanted.encode() in log
        if type_ == PROGRAM_TYPE["struct_ops"]:
            return e.errno == ENOTSUPP
        return e.errno not in _UNKNOWN
    system.close(fd)
    return True


# Shapes of the smallest maps: key size, value size, entries, flags. Each type that exists takes one of them.
_SHAPES = (
    (4, 4, 1, 0), (0, 0, 4096, 0), (8, 8, 1, abi.F_NO_PREALLOC), (0, 4, 1, 0), (4, 8, 1, 0), (8, 4, 1, 0),
    (8, 4, 0, 0), (0, 0, 1, abi.F_MMAPABLE), (4, 16, 1, 0),
)  # fmt: skip
_STORAGE = {MAP_TYPE[name] for name in ("sk_storage", "inode_storage", "task_storage", "cgrp_storage")}


def map_type(system: System, type_: int) -> bool:
    """Try shapes until one is taken, or refused for another reason than that the kernel makes nothing of it."""
    try:
        return _map_taken(system, type_)
    except OSError:  # of what the map is made of
        return True


def _map_taken(system: System, type_: int) -> bool:
    if type_ in MAPS_OF_MAPS:
        inner = system.bpf(abi.MAP_CREATE, abi.MapAttributes(MAP_TYPE["array"], 4, 4, 1).fields())
        try:
            return _taken(system, abi.MapAttributes(type_, 4, 4, 1, inner_fd=inner))
        finally:
            system.close(inner)
    if type_ in _STORAGE or type_ == MAP_TYPE["struct_ops"]:
        data = bytearray(sanitise.LEAST.image(system.byteorder))  # its type 1 is an int of 4 bytes
        try:
            types = system.bpf(abi.BTF_LOAD, abi.btf_load(data))
        except OSError as e:  # these types came after BTF, and their maps need it
            return e.errno not in _UNKNOWN
        try:
            if type_ == MAP_TYPE["struct_ops"]:
                return _knows_struct_ops(system, types)
            return _taken(
                system, abi.MapAttributes(type_, 4, 4, 0, abi.F_NO_PREALLOC, btf_fd=types, key_type=1, value_type=1)
            )
        finally:
            system.close(types)
    return any(_taken(system, abi.MapAttributes(type_, *shape)) for shape in _SHAPES)


def _knows_struct_ops(system: System, types: int) -> bool:
    """Ask for a map of type 1 of the kernel, which is no operations struct: ENOTSUPP (bpf_struct_ops_map_alloc)."""
    attributes = abi.MapAttributes(MAP_TYPE["struct_ops"], 4, 64, 1, btf_fd=types, kernel_value_type=1)
    try:
        system.close(system.bpf(abi.MAP_CREATE, attributes.fields()))
    except OSError as e:
        return e.errno == ENOTSUPP
    return True


def _taken(system: System, attributes: abi.MapAttributes) -> bool:
    try:
        fd = system.bpf(abi.MAP_CREATE, attributes.fields())
    except OSError as e:
        return e.errno not in _UNKNOWN
    system.close(fd)
    return True


def refers(system: System, type_: int) -> bool:
    """Whether a program can refer to the first value of an array of a type; who may not ask takes it that it can."""
    try:
        fd = system.bpf(abi.MAP_CREATE, abi.MapAttributes(type_, 4, 8, 1).fields())
    except OSError as e:
        return e.errno == errno.EPERM
    try:
        # r1 = the array's first value, r0 = *(u64 *)r1
        code = ((0x18, 1, _MAP_VALUE, fd), (0, 0, 0, 0), (0x79, 0, 1, 0))
        insns = bytearray(b"".join(system.pack("BBhi", op, _registers(system, d, s), 0, i) for op, d, s, i in code))
        return _taken_program(system, PROGRAM_TYPE["socket_filter"], insns + _code(system, _RETURN_0[1]))
    finally:
        system.close(fd)


def named(system: System) -> bool:
    """Whether a program may have a name."""
    return _taken_program(system, PROGRAM_TYPE["socket_filter"], _code(system, *_RETURN_0), b"libbpf_nametest")


def reads_kernel(system: System) -> bool:
    """Whether a program can read the kernel's memory by the helper that is for that alone."""
    # r1 = r10 - 8, r2 = 8, r3 = 0, probe_read_kernel(r1, r2, r3)
    code = ((0xBF, 1, 10, 0), (0x07, 1, 0, -8), (0xB7, 2, 0, 8), (0xB7, 3, 0, 0), (_CALL, 0, 0, _READ_KERNEL))
    insns = bytearray(b"".join(system.pack("BBhi", op, _registers(system, d, s), 0, i) for op, d, s, i in code))
    return _taken_program(system, PROGRAM_TYPE["tracepoint"], insns + _code(system, _RETURN_0[1]))


def _registers(system: System, destination: int, source: int) -> int:
    """Return the byte of an instruction's registers: each a nibble, whose side follows the machine's byte order."""
    return source << 4 | destination if system.byteorder == "little" else destination << 4 | source


def calls(system: System, type_: int, helper: int) -> bool:
    """Whether the kernel takes a program of a type that calls a helper with the context alone."""
    return _taken_program(system, type_, _code(system, (_CALL, helper), *_RETURN_0))


def _taken_program(system: System, type_: int, insns: bytearray, name: bytes = b"") -> bool:
    license_ = bytearray(_GPL)
    attributes = abi.ProgramAttributes(type_, len(insns) // 8, insns, license_, kernel_version(system), name=name)
    try:
        fd = system.bpf(abi.PROG_LOAD, attributes.fields())
    except OSError as e:
        return e.errno == errno.EPERM  # who may not ask finds out when it loads something
    system.close(fd)
    return True


def _code(system: System, *instructions: tuple[int, int]) -> bytearray:
    """Return instructions without registers, each an opcode and an immediate."""
    return bytearray(b"".join(system.pack("BBhi", opcode, 0, 0, immediate) for opcode, immediate in instructions))


_NO_HELPER = (b"invalid func ", b"unknown func ", b"program of this type cannot use helper ")


def helper(system: System, type_: int, number: int) -> bool:
    """Whether the verifier has another objection to a bare call of a helper, if any, than that it is not there."""
    insns, license_, log = _code(system, (_CALL, number), *_RETURN_0), bytearray(_GPL), bytearray(4096)
    attributes = abi.ProgramAttributes(
        type_, len(insns) // 8, insns, license_, kernel_version(system),
        expected_attach_type=EXPECTED.get(type_, 0),
    )  # fmt: skip
    try:
        system.close(system.bpf(abi.PROG_LOAD, attributes.fields(1, log, len(log))))
    except OSError:
        return any(log) and not any(words in log for words in _NO_HELPER)
    return True


def kprobe_exists(system: System, function: str) -> bool:
    """Whether the kernel opens a probe on a function: by perf's PMU or, where there is none, by tracefs."""
    try:
        type_ = int(system.read("/sys/bus/event_source/devices/kprobe/type"))
    except FileNotFoundError:
        try:
            tracefs.remove(system, "kprobe", tracefs.add(system, "kprobe", function))
        except OSError:
            return False
        return True
    except OSError:
        return False
    try:
        fd = system.perf_event_open(abi.perf_event(type_, 0, one=bytearray(function.encode() + b"\0")), -1, 0)
    except OSError:
        return False
    system.close(fd)
    return True


def btf(system: System, probe: sanitise.Probe) -> bool:
    """Whether the kernel takes a BTF."""
    try:
        fd = system.bpf(abi.BTF_LOAD, abi.btf_load(bytearray(probe.image(system.byteorder))))
    except OSError:
        return False
    system.close(fd)
    return True


def jit(system: System) -> bool:
    """Whether the kernel compiles programs: it is built with BPF_JIT, and that is on."""
    try:
        return system.text("/proc/sys/net/core/bpf_jit_enable") not in ("", "0")
    except OSError:
        return False
