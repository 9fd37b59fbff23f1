"""From evidence to a reason code: the errno, the verifier's log, what was relocated, and probes of this kernel.

Never the kernel's version. This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from everykernel.load.kernel import helpers, lockdown
from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.releases import since, upstream
from everykernel.load.programs.verifier import POISON
from everykernel.load.system.errnos import ENOTSUPP
from everykernel.object.sections import ATTACH_TYPE, ATTACH_TYPES, PROGRAM_TYPE, PROGRAM_TYPES

if TYPE_CHECKING:
    from everykernel.load.kernel.probes import Probes
    from everykernel.load.programs.verifier import Verdict
    from everykernel.object.sections import SectionRule


# What a verifier says to instructions that it does not know, and what they are. Linux commits e6ac2450d6de (calls of
# kernel functions), 5ca419f2864a (atomic instructions with a result), 69c087ba6225 (callbacks); clang 23 puts arguments
# past the fifth on the stack, by a register 11 that only that is for.
_UNKNOWN_INSTRUCTIONS = {
    "BPF_CALL uses reserved fields": (
        "kfunc-missing",
        f"this kernel lets no program call its functions ({upstream('v5.13')})",
    ),
    "BPF_STX uses reserved fields": (
        "verifier-rejected",
        f"this kernel's one atomic instruction is an addition without result (others are {upstream('v5.12')})",
    ),
    "R11 is invalid": (
        "verifier-rejected",
        f"this kernel's functions take five arguments, not more on the stack (static ones do {upstream('v7.2')})",
    ),
    "number of funcs in func_info doesn't match number of subprogs": (
        "verifier-rejected",
        f"this kernel knows no callbacks, functions whose address is taken ({upstream('v5.13')})",
    ),
}
# E2BIG: a field that is behind the end of the kernel's bpf_attr.
_UNKNOWN_TO = (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, ENOTSUPP)
_POINTER_ARGUMENT = re.compile(r"Arg#\d+ type PTR in \S+ is not supported yet")  # Linux commit e5069b9c23b3

# What the verifier says, and what it means. The first that matches wins. Sources: check_helper_call,
# check_kfunc_call, check_max_stack_depth and bpf_check of kernel/bpf/verifier.c, Linux 5.10 to 6.18.
_SAYINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"unknown func \w+#\d+", "helper-unsupported"),
        (r"invalid func \w+#\d+", "helper-unsupported"),
        (r"program of this type cannot use helper \w+#\d+", "helper-unsupported"),
        (r"helper call might sleep in a non-sleepable prog|helper call is not allowed in probe", "verifier-rejected"),
        (r"calling kernel function \S+ is not allowed", "kfunc-missing"),
        (r"kernel function btf_id \d+ (is not a kernel function|does not have a valid)", "kfunc-missing"),
        (r"BPF program is too large|too complex|The sequence of \d+ jumps is too complex", "limit-exceeded"),
        (
            r"combined stack size of \d+ calls? is \d+\. Too large|the call stack of \d+ frames is too deep",
            "limit-exceeded",
        ),
        (r"back-edge from insn|infinite loop detected", "verifier-rejected"),
        (r"The address of function \S+ cannot be found", "attach-target-missing"),
        (r"JIT (doesn't|does not) support", "kernel-config-missing"),
        (r"CONFIG_\w+ is required", "kernel-config-missing"),
        (r"Only .* programs can be sleepable", "attach-type-unsupported"),
        (r"Extension programs should be JITed|Can attach to only JITed progs", "kernel-config-missing"),
        (r"Subprog \S+ doesn't exist", "attach-target-missing"),
    )
)
# What only compiled programs may do: calls of kernel functions, callbacks, arenas.
_NEEDS_JIT = re.compile(r"JIT is required|not allowed in non-JITed programs")
_NO_JIT = "this kernel compiles no programs (it is built without BPF_JIT, or net.core.bpf_jit_enable is 0)"
# What a kernel says that takes an attach type of many functions for one of a single function.
_NO_TARGET = "Tracing programs must provide btf_id"
# A number that the kernel has no helper for, and helpers that it has for other program types.
_HELPER = re.compile(r"(invalid func|unknown func|cannot use helper) (\w+)#(\d+)")


def poisoned(verdict: Verdict, log: str) -> bool:
    """Whether the verifier stopped at an instruction that a CO-RE relocation poisoned."""
    return POISON in verdict.text or POISON in verdict.reason or (verdict.insn is None and POISON in log)


def of_program(error: OSError, verdict: Verdict, log: str, rule: SectionRule, probes: Probes) -> Reason:
    """Return why the kernel refused a program (what could not be relocated, found or is no instruction aside)."""
    number = PROGRAM_TYPE[rule.type]
    for pattern, code in _SAYINGS:
        if pattern.search(verdict.reason) or (not verdict.reason and pattern.search(log)):
            return _helper(verdict, probes) if code == "helper-unsupported" else Reason(code, verdict.lines)
    if _POINTER_ARGUMENT.match(verdict.reason):
        what = f"this kernel takes no pointers in global functions ({upstream('v5.12')}; make it static)"
        return Reason("verifier-rejected", f"{what}: {verdict.lines}")
    if verdict.reason in _UNKNOWN_INSTRUCTIONS:
        code, what = _UNKNOWN_INSTRUCTIONS[verdict.reason]
        return Reason(code, f"{what}: {verdict.lines}")
    if error.errno in _UNKNOWN_TO and verdict.reason in ("", _NO_TARGET):
        if not probes.program_type(number):
            if any(probes.program_type(newer) for newer in range(number + 1, len(PROGRAM_TYPES))):
                return Reason("kernel-config-missing", f"this kernel is built without program type {rule.type}")
            return Reason(
                "program-type-unsupported",
                f"this kernel does not know program type {rule.type}{since('program', number)}",
            )
        attach = attach_number(rule.attach_type)
        if rule.attach_type and not probes.attach_type(number, attach):
            known = since("attach", attach)
            return Reason("attach-type-unsupported", f"this kernel does not know attach type {rule.attach_type}{known}")
        if rule.flags and not probes.flags(number, attach, rule.flags):
            what = "fragmented packets" if rule.frags else "programs that may sleep"
            return Reason("attach-type-unsupported", f"this kernel does not know {what} for {rule.type}")
    if error.errno == errno.E2BIG:
        many = "it is longer, or has more paths, than this kernel's verifier goes"
        return Reason("limit-exceeded", verdict.lines if verdict.reason else many)
    if error.errno == errno.EPERM and not verdict.reason:
        return Reason("permission-denied", "the kernel denies loading programs to this caller")
    if error.errno in (ENOTSUPP, errno.EOPNOTSUPP) and rule.btf and not verdict.reason:
        return Reason(
            "kernel-config-missing", "this kernel has no trampolines for it (JIT off, or another architecture)"
        )
    if _NEEDS_JIT.search(verdict.reason) and not probes.jit():
        return Reason("kernel-config-missing", f"{_NO_JIT}: {verdict.lines}")
    if verdict.reason or verdict.text:
        return Reason("verifier-rejected", verdict.lines)
    if error.errno == errno.ENOMEM and rule.btf and not probes.jit():  # bpf_trampoline_get of include/linux/bpf.h
        return Reason("kernel-config-missing", f"{_NO_JIT}, and so without trampolines")
    return Reason("load-failed", "the kernel says no more than that")


def attach_number(name: str) -> int:
    """Return the number of an attach type by its name in `ATTACH_TYPES`."""
    return ATTACH_TYPE.get(name, len(ATTACH_TYPES))


def _helper(verdict: Verdict, probes: Probes) -> Reason:
    """Return which helper it is, and whether the kernel lacks it, altogether or for this program type, or denies it."""
    found = _HELPER.search(helpers.named(verdict.reason))
    if found is None:
        return Reason("helper-unsupported", verdict.lines)
    if lockdown.denies(probes.lockdown, found[2]):
        what = f"this kernel is locked down ({probes.lockdown}), and denies {found[2]} to everybody"
        return Reason("permission-denied", f"{what}: {verdict.lines}")
    where = since("helper", int(found[3])) if found[1] == "invalid func" else " for this program type"
    return Reason("helper-unsupported", f"this kernel does not have helper {found[2]}{where}: {verdict.lines}")
