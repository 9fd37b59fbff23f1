"""Why the kernel refused a bpf(2) call that somebody else made: the same reasons as for our own.

What is known is what the caller asked, the errno, and the log that it asked for. This module travels to the guest:
standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.releases import since
from everykernel.load.programs import reasons
from everykernel.load.programs.verifier import parse
from everykernel.load.system.errnos import ENOTSUPP
from everykernel.object.maps import MAP_TYPE
from everykernel.object.sections import PROGRAM_TYPE, SectionRule

if TYPE_CHECKING:
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.wire import BpfCall

_ATTACHING = ("RAW_TRACEPOINT_OPEN", "LINK_CREATE", "PROG_ATTACH")
_NUMBERS = {**{name: number for number, name in errno.errorcode.items()}, "ENOTSUPP": ENOTSUPP}
_NUMBERS["EOPNOTSUPP"] = errno.EOPNOTSUPP


def of_call(call: BpfCall, kernel: KernelTypes) -> Reason:
    """Return why a call was refused; ``call`` has an errno."""
    name = call.get("errno") or ""
    error = OSError(_NUMBERS.get(name, 0), name)
    command = call["command"]
    if command == "PROG_LOAD":
        code, message, _ = _of_program(call, error, kernel)
    elif command == "MAP_CREATE":
        code, message, _ = _of_map(call, error, kernel)
    elif command in _ATTACHING:
        code, message, _ = _of_attaching(call, error)
    elif command == "BTF_LOAD":
        code, message = "btf-rejected", "the kernel refuses the BTF"
    else:
        code, message = "load-failed", "the kernel says no more than that"
    return Reason(code, f"{name}: {message}", name)


def target_of(call: BpfCall, kernel: KernelTypes) -> str:
    """Return the attach point of a program: the number of a type, which only the kernel's BTF knows, by its name."""
    attach, mark, number = call.get("attach", "").partition(" #")
    if not mark:
        return attach
    try:
        name = kernel.vmlinux.name_of(int(number)) if kernel.vmlinux is not None else ""
    except Exception:  # a number that the kernel's BTF does not have: of a module, or nonsense
        name = ""
    return f"{attach} {name or 'type ' + number}"


def _of_program(call: BpfCall, error: OSError, kernel: KernelTypes) -> Reason:
    log = call.get("log", "")
    verdict = parse(log)
    if reasons.poisoned(verdict, log):
        return Reason(
            "relocation-unresolved",
            f"the verifier came to an instruction that its loader could not relocate: {verdict.text}",
        )
    if call.get("type") not in PROGRAM_TYPE:
        return Reason("program-type-unsupported", f"program type {call.get('type')} is unknown")
    attach, _, target = call.get("attach", "").partition(" ")
    known = reasons.attach_number(attach) if attach else 0
    rule = SectionRule("", call["type"], attach if known else "", btf=bool(target))
    return reasons.of_program(error, verdict, log, rule, kernel.probes)


def _of_map(call: BpfCall, error: OSError, kernel: KernelTypes) -> Reason:
    type_ = call.get("type", "")
    sizes = f"{call.get('max_entries')} entries, key {call.get('key_size')}, value {call.get('value_size')} bytes"
    if error.errno == errno.EPERM:
        return Reason("permission-denied", "the kernel denies it to this caller")
    unknown = error.errno in (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, ENOTSUPP)
    if unknown and (type_ not in MAP_TYPE or not kernel.probes.map_type(MAP_TYPE[type_])):
        known = since("map", MAP_TYPE[type_]) if type_ in MAP_TYPE else ""
        return Reason("map-type-unsupported", f"this kernel does not know map type {type_}{known}")
    if error.errno in (errno.E2BIG, errno.ENOMEM):
        what = "there is no memory for" if error.errno == errno.ENOMEM else "too large:"
        return Reason("limit-exceeded", f"{what} a {type_} of {sizes}")
    return Reason("map-create-failed", f"the kernel refuses a {type_} of {sizes}")


def _of_attaching(call: BpfCall, error: OSError) -> Reason:
    where = call.get("attach", "")
    if error.errno == errno.ENOENT and call["command"] == "RAW_TRACEPOINT_OPEN":
        return Reason("attach-target-missing", f"this kernel has no tracepoint {where}")
    if error.errno in (errno.EOPNOTSUPP, ENOTSUPP):
        return Reason("kernel-config-missing", f"this kernel is built without it ({where})")
    return Reason("attach-failed", f"the kernel refuses the program there ({where})")
