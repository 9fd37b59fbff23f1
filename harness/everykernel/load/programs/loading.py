"""Loading one linked program: the attributes, the call, and on refusal the verifier's log.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import copy
import errno
from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.load.kernel.reason import NEEDS_OWN_BTF, Reason
from everykernel.load.programs.reasons import attach_number
from everykernel.load.system import abi
from everykernel.load.system.block import text
from everykernel.namedtuple import NamedTuple
from everykernel.object.sections import MANY_FUNCTIONS, PROGRAM_TYPE

if TYPE_CHECKING:
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.programs.link import Linked
    from everykernel.load.rules.rules import Rules
    from everykernel.load.system.door import System
    from everykernel.object import ProgramSpec

_LOG_SIZE = 0xFFFFFFFF >> 8  # bytes: what kernels before v5.13 take, and libbpf's BPF_LOG_BUF_SIZE

# Prefix and kind of the type in the kernel's BTF that stands for a target (libbpf's btf_get_kernel_prefix_kind), and
# what such a target is.
_TARGETS = {
    "trace_raw_tp": ("btf_trace_", "typedef", "tracepoint"),
    "lsm_mac": ("bpf_lsm_", "func", "security hook"),
    "lsm_cgroup": ("bpf_lsm_", "func", "security hook"),
    "trace_iter": ("bpf_iter_", "func", "iterator"),
}


class Refused(Exception):
    """The kernel refused the program; ``log`` is the verifier's."""

    def __init__(self, error: OSError, log: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.log = log


class Target(NamedTuple):
    """What a program attaches to by BTF: the type's id, and the descriptor of a module's BTF (0: the kernel's).

    For a program that replaces a function, that of the other program.

    ``member`` is the index of the member that a struct_ops program stands for.
    """

    type_id: int = 0
    btf_fd: int = 0
    member: Optional[int] = None


def find_target(
    program: ProgramSpec, target: str, kernel: KernelTypes, rules: Rules
) -> tuple[Target, Optional[Reason]]:
    """Return the BTF type that a program attaches to, or why there is none."""
    rule, modules = program.rule, rules.externs.modules
    assert rule is not None
    if rule.attach_type in MANY_FUNCTIONS:
        return _module_of(program, target, kernel)
    if not rule.btf or (rule.attach_type or rule.type) in rules.no_targets or (not target and rules.asks_anyway):
        return Target(), None
    if not target:
        return Target(), Reason("attach-target-missing", "its section names no target", "EINVAL")
    if kernel.vmlinux is None:
        return Target(), Reason("btf-missing", f"{program.section}: its target {NEEDS_OWN_BTF}", "ESRCH")
    prefix, kind, what = _TARGETS.get(rule.attach_type, ("", "func", "function"))
    module, colon, function = target.partition(":") if rules.qualified else (target, "", "")
    if not colon or module == "vmlinux":
        name = prefix + (function or target)
        numbers = kernel.vmlinux.find_all(name, (kind,))
        if len(numbers) > 1 and rules.one_target:
            why = f"{program.section}: this kernel's BTF has {len(numbers)} of {name}, any of which it may be"
            return Target(), Reason("attach-target-missing", why)
        if numbers:
            return Target(numbers[0]), None
    wanted = kinds.KIND_NUMBERS[kind]
    for btf in kernel.target.modules if modules else ():
        if colon and btf.name != module:
            continue
        name = prefix + (function if colon else target)
        own = [n for n in btf.own_named(name) if btf.kind(n) == wanted]
        found = kernel.module(btf.name)
        if own and found is not None:
            return Target(own[0], found[1]), None
    found_by = f" ({kind} {prefix}{target})" if prefix else ""
    why = f"{program.section}: this kernel's BTF has no {what} {target}{found_by}"
    return Target(), Reason("attach-target-missing", why, "ESRCH")


def _module_of(program: ProgramSpec, target: str, kernel: KernelTypes) -> tuple[Target, Optional[Reason]]:
    """Return what says that a program is for functions of a module: ``MODULE:PATTERN``."""
    name, colon, _ = target.partition(":")
    if not colon:
        return Target(), None
    found = kernel.module(name)
    if found is None:
        return Target(), Reason("module-missing", f"{program.section}: no module {name!r} with BTF is loaded")
    return Target(0, found[1]), None


class Loading:
    """One program on its way into the kernel: what every attempt has in common."""

    def __init__(
        self,
        system: System,
        program: ProgramSpec,
        linked: Linked,
        *,
        license_: str,
        kernel_version: int,
        btf_fd: int,
        target: Target,
        btf_fds: list[int],
        expected: bool,
        named: bool = True,
    ) -> None:
        rule = program.rule
        assert rule is not None
        self._system = system
        code = linked.code
        funcs, lines = bytearray(linked.func_info if btf_fd else b""), bytearray(linked.line_info if btf_fd else b"")
        fds = bytearray(system.pack(f"{1 + len(btf_fds)}i", 0, *btf_fds) if btf_fds else b"")
        attach_type = attach_number(rule.attach_type) if rule.attach_type else 0
        if rule.expected_optional and not expected:
            attach_type = 0
        if target.member is not None:
            attach_type = target.member
        self.attributes = abi.ProgramAttributes(
            type=PROGRAM_TYPE[rule.type],
            insn_count=len(code) // 8,
            insns=code,
            license=text(license_),
            kernel_version=kernel_version,
            flags=rule.flags,
            name=abi.object_name(program.name) if named else b"",
            expected_attach_type=attach_type,
            btf_fd=btf_fd if funcs else 0,
            func_info_size=8 if funcs else 0,
            func_info=funcs,
            func_info_count=len(funcs) // 8,
            line_info_size=16 if lines else 0,
            line_info=lines,
            line_info_count=len(lines) // 16,
            attach_btf_id=target.type_id,
            attach_fd=target.btf_fd,
            fd_array=fds,
        )

    def again(self, btf_fd: int, func_info: bytes) -> Loading:
        """Return the same program with another BTF of the object, for another attempt."""
        other = copy.copy(self)
        other.attributes = self.attributes._replace(btf_fd=btf_fd, func_info=bytearray(func_info))
        return other

    def load(self) -> int:
        """Load the program and return its descriptor; raise Refused with the verifier's log."""
        try:
            return self._system.bpf(abi.PROG_LOAD, self.attributes.fields())
        except OSError as e:
            first = OSError(e.errno, e.strerror)  # e itself would hold this frame, which holds it, until collected
        log = self._system.room(_LOG_SIZE)
        try:
            return self._system.bpf(abi.PROG_LOAD, self.attributes.fields(1, log, _LOG_SIZE))
        except OSError as e:
            told = log[: log.find(b"\0")].decode("utf-8", "replace")
            raise Refused(first if e.errno == errno.ENOSPC else e, told) from e
