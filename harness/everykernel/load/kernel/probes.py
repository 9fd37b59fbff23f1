"""What a kernel can do, found out by trying the smallest thing that needs it, never from its version.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from everykernel.btf import sanitise
from everykernel.load.system import abi
from everykernel.load.system.door import System
from everykernel.load.system.errnos import ENOTSUPP
from everykernel.object.maps import MAP_TYPE, MAPS_OF_MAPS
from everykernel.object.sections import ATTACH_TYPE, MANY_FUNCTIONS, PROGRAM_TYPE

_RETURN_0 = ((0xB7, 0), (0x95, 0))  # r0 = 0 (the verifier's least), exit: opcode and immediate
_MAP_VALUE = 2  # src_reg of a load of what is in a map
_CALL = 0x85  # of a helper, with the context in r1
_GET_ATTACH_COOKIE = 174
_GPL = b"GPL\0"

# Program types whose smallest program needs an attach target in the kernel's BTF: tried with BTF id 1, a type that is
# no function and no typedef; a kernel that knows program and attach type says so in its log, one that does not says
# nothing.
_NEED_TARGET = {
    PROGRAM_TYPE["tracing"]: "attach_btf_id 1 is not a ",
    PROGRAM_TYPE["lsm"]: "attach_btf_id 1 is not a ",
    PROGRAM_TYPE["ext"]: "Cannot replace kernel functions",
}
_MANY = frozenset(ATTACH_TYPE[name] for name in MANY_FUNCTIONS)  # these need none
_EXPECTED = {
    PROGRAM_TYPE["cgroup_sock_addr"]: ATTACH_TYPE["cgroup_inet4_connect"],
    PROGRAM_TYPE["cgroup_sockopt"]: ATTACH_TYPE["cgroup_getsockopt"],
    PROGRAM_TYPE["sk_lookup"]: ATTACH_TYPE["sk_lookup"],
    PROGRAM_TYPE["netfilter"]: ATTACH_TYPE["netfilter"],
}
"""Program types whose attach type 0 is none of theirs: one that has been there from the type's beginning."""


class Probes:
    """The answers of a machine's kernel so far."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._answers: dict[object, bool] = {}

    def _ask(self, key: object, question: Callable[[], bool]) -> bool:
        if key not in self._answers:
            self._answers[key] = question()
        return self._answers[key]

    def program_type(self, type_: int) -> bool:
        """Whether the kernel knows a program type."""
        return self._ask(("program", type_), lambda: _program(self._system, type_, _EXPECTED.get(type_, 0)))

    def attach_type(self, type_: int, attach_type: int) -> bool:
        """Whether the kernel knows an expected attach type of a program type that it knows."""
        if type_ == PROGRAM_TYPE["ext"]:
            return True
        return self._ask(("attach", type_, attach_type), lambda: _program(self._system, type_, attach_type))

    def flags(self, type_: int, attach_type: int, flags: int) -> bool:
        """Whether the kernel knows these flags of a program (sleepable, XDP on fragments)."""
        if type_ in _NEED_TARGET:
            return True
        return self._ask(
            ("flags", type_, attach_type, flags), lambda: _program(self._system, type_, attach_type, flags)
        )

    def expected_attach_type(self) -> bool:
        """Whether programs are loaded with an expected attach type.

        Linux commit 5e43f899b03a ("bpf: Check attach type at prog load time") (in v4.17); asked as libbpf does, with a
        cgroup_sock program for sock_create.
        """
        return self.attach_type(PROGRAM_TYPE["cgroup_sock"], ATTACH_TYPE["cgroup_inet_sock_create"])

    def syscall_wrapper(self) -> bool:
        """Whether system call functions have the architecture's prefix (ARCH_HAS_SYSCALL_WRAPPER, Linux v4.17)."""
        return self._ask(
            "syscall_wrapper", lambda: kprobe_exists(self._system, f"{self._system.architecture.syscall_prefix}sys_bpf")
        )

    def jit(self) -> bool:
        """Whether the kernel is built with a compiler for programs (BPF_JIT), on or off."""
        return self._ask("jit", lambda: self._system.exists("/proc/sys/net/core/bpf_jit_enable"))

    def cookie(self) -> bool:
        """Whether programs can ask for their link's cookie.

        Linux commit 7adfc6c9b315 ("bpf: Add bpf_get_attach_cookie() BPF helper to access bpf_cookie value") (in v5.15).
        """
        return self._ask("cookie", lambda: _loads(self._system, PROGRAM_TYPE["kprobe"], _GET_ATTACH_COOKIE))

    def percpu_data(self) -> bool:
        """Whether programs can refer to what is in a per-CPU array, asked as libbpf 1.8 does."""
        return self._ask("percpu_data", lambda: _percpu_data(self._system))

    def map_type(self, type_: int) -> bool:
        """Whether the kernel knows a map type: EINVAL may have other reasons, so several shapes are tried."""
        return self._ask(("map", type_), lambda: _map(self._system, type_))

    def helper(self, type_: int, number: int) -> bool:
        """Whether programs of a type can call a helper, asked as libbpf's libbpf_probe_bpf_helper does."""
        return self._ask(("helper", type_, number), lambda: _helper(self._system, type_, number))

    def btf(self, feature: str) -> bool:
        """Whether the kernel takes a BTF feature of `btf.sanitise`."""
        return self._ask(("btf", feature), lambda: _btf(self._system, sanitise.PROBES[feature]))


def _program(system: System, type_: int, attach_type: int, flags: int = 0) -> bool:
    """Whether the kernel takes, or has a particular reason not to take, the smallest program of a type."""
    insns, license_, log = _code(system, *_RETURN_0), bytearray(_GPL), bytearray(4096)
    wanted = "" if attach_type in _MANY else _NEED_TARGET.get(type_, "")
    extension = type_ == PROGRAM_TYPE["ext"]  # takes no attach type
    if type_ == PROGRAM_TYPE["syscall"]:
        flags |= abi.F_SLEEPABLE  # it takes no others
    attributes = abi.ProgramAttributes(
        type_,
        len(insns) // 8,
        insns,
        license_,
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
        return e.errno not in (errno.EINVAL, ENOTSUPP, errno.EOPNOTSUPP)
    system.close(fd)
    return True


# Shapes of the smallest maps: key size, value size, entries, flags. Each type that exists takes one of them.
_SHAPES = (
    (4, 4, 1, 0), (0, 0, 4096, 0), (8, 8, 1, abi.F_NO_PREALLOC), (0, 4, 1, 0), (4, 8, 1, 0), (8, 4, 1, 0),
    (8, 4, 0, 0), (0, 0, 1, abi.F_MMAPABLE), (4, 16, 1, 0),
)  # fmt: skip
_STORAGE = {MAP_TYPE[name] for name in ("sk_storage", "inode_storage", "task_storage", "cgrp_storage")}


def _map(system: System, type_: int) -> bool:
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
        data = bytearray(sanitise.PROBES["datasec"])  # its type 1 is an int of 4 bytes
        btf = system.bpf(abi.BTF_LOAD, abi.btf_load(data))
        try:
            if type_ == MAP_TYPE["struct_ops"]:
                return _knows_struct_ops(system, btf)
            return _taken(
                system, abi.MapAttributes(type_, 4, 4, 0, abi.F_NO_PREALLOC, btf_fd=btf, key_type=1, value_type=1)
            )
        finally:
            system.close(btf)
    return any(_taken(system, abi.MapAttributes(type_, *shape)) for shape in _SHAPES)


def _knows_struct_ops(system: System, btf: int) -> bool:
    """Ask for a map of type 1 of the kernel, which is no operations struct: ENOTSUPP (bpf_struct_ops_map_alloc)."""
    attributes = abi.MapAttributes(MAP_TYPE["struct_ops"], 4, 64, 1, btf_fd=btf, kernel_value_type=1)
    try:
        system.close(system.bpf(abi.MAP_CREATE, attributes.fields()))
    except OSError as e:
        return e.errno == ENOTSUPP
    return True


def _taken(system: System, attributes: abi.MapAttributes) -> bool:
    try:
        fd = system.bpf(abi.MAP_CREATE, attributes.fields())
    except OSError as e:
        return e.errno not in (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, ENOTSUPP)
    system.close(fd)
    return True


def _percpu_data(system: System) -> bool:
    try:
        fd = system.bpf(abi.MAP_CREATE, abi.MapAttributes(MAP_TYPE["percpu_array"], 4, 8, 1).fields())
    except OSError:
        return False
    try:
        # r1 = the array's first value, r0 = *(u64 *)r1
        code = ((0x18, 1, _MAP_VALUE, fd), (0, 0, 0, 0), (0x79, 0, 1, 0))
        insns = bytearray(b"".join(system.pack("BBhi", op, _registers(system, d, s), 0, i) for op, d, s, i in code))
        return _taken_program(system, PROGRAM_TYPE["socket_filter"], insns + _code(system, _RETURN_0[1]))
    finally:
        system.close(fd)


def _registers(system: System, destination: int, source: int) -> int:
    """Return the byte of an instruction's registers: each a nibble, whose side follows the machine's byte order."""
    return source << 4 | destination if system.byteorder == "little" else destination << 4 | source


def _loads(system: System, type_: int, helper: int) -> bool:
    """Whether the kernel takes a program of a type that calls a helper with the context alone."""
    return _taken_program(system, type_, _code(system, (_CALL, helper), *_RETURN_0))


def _taken_program(system: System, type_: int, insns: bytearray) -> bool:
    license_ = bytearray(_GPL)
    attributes = abi.ProgramAttributes(type_, len(insns) // 8, insns, license_)
    try:
        fd = system.bpf(abi.PROG_LOAD, attributes.fields())
    except OSError:
        return False
    system.close(fd)
    return True


def _code(system: System, *instructions: tuple[int, int]) -> bytearray:
    """Return instructions without registers, each an opcode and an immediate."""
    return bytearray(b"".join(system.pack("BBhi", opcode, 0, 0, immediate) for opcode, immediate in instructions))


_NO_HELPER = (b"invalid func ", b"unknown func ", b"program of this type cannot use helper ")


def _helper(system: System, type_: int, number: int) -> bool:
    """Whether the verifier has another objection to a bare call of a helper, if any, than that it is not there."""
    insns, license_, log = _code(system, (_CALL, number), *_RETURN_0), bytearray(_GPL), bytearray(4096)
    attributes = abi.ProgramAttributes(
        type_, len(insns) // 8, insns, license_, expected_attach_type=_EXPECTED.get(type_, 0)
    )
    try:
        system.close(system.bpf(abi.PROG_LOAD, attributes.fields(1, log, len(log))))
    except OSError:
        return any(log) and not any(words in log for words in _NO_HELPER)
    return True


def kprobe_exists(system: System, function: str) -> bool:
    """Whether the kernel opens a probe on a function."""
    try:
        type_ = int(system.read("/sys/bus/event_source/devices/kprobe/type"))
        fd = system.perf_event_open(abi.perf_event(type_, 0, one=bytearray(function.encode() + b"\0")), -1, 0)
    except OSError:
        return False
    system.close(fd)
    return True


def _btf(system: System, data: bytes) -> bool:
    try:
        fd = system.bpf(abi.BTF_LOAD, abi.btf_load(bytearray(data)))
    except OSError:
        return False
    system.close(fd)
    return True
