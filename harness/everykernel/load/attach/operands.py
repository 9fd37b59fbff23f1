"""USDT: where each argument of a probe is, from the operands that an assembler wrote into its note.

The rules are libbpf 1.7's (usdt.c: parse_usdt_arg and calc_pt_regs_off of each architecture).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Optional

from everykernel.load.attach.outcome import NotAttached
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from everykernel.architectures import Architecture

MAX_ARGUMENTS = 12  # BPF_USDT_MAX_ARG_CNT of <bpf/usdt.bpf.h>
CONST, REG, REG_DEREF, SIB = range(4)  # enum __bpf_usdt_arg_type


class _Assembler(NamedTuple):
    """How operands are written, and where the registers that they name are.

    Attributes:
        operand: a pattern with groups ``register``, ``constant``, ``base``, ``offset``; on x86 ``index``, ``scale``.
        places: by register, its offset in bytes in the struct that user space has of the kernel's struct pt_regs.
    """

    operand: str
    places: dict[str, int]


@functools.cache
def _argument_of(operand: str) -> re.Pattern[str]:
    """Return the pattern of an argument, whose size stands before its operand."""
    return re.compile(rf"\s*(?P<size>[-+]?\d+)\s*@\s*(?:{operand})(?:\s+|$)")


def _in_order(names: str, size: int, first: int = 0) -> dict[str, int]:
    """Return where registers are that follow one another; a dash is one that no operand names."""
    return {name: first + size * number for number, name in enumerate(names.split()) if name != "-"}


# The names that operands of x86 have for a register, by size.
_X86 = {
    **{
        f"{prefix}{name}": name
        for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
        for prefix in ("r", "e", "")
    },
    **{"rip": "ip", "eip": "ip", "al": "ax", "bl": "bx", "cl": "cx", "dl": "dx"},
    **{f"{name}l": name for name in ("si", "di", "bp", "sp")},
    **{f"r{number}{suffix}": f"r{number}" for number in range(8, 16) for suffix in ("", "d", "w", "b")},
}


def _x86(places: dict[str, int]) -> dict[str, int]:
    return {name: places[stem] for name, stem in _X86.items() if stem in places}


_NUMBER = r"[-+]?\d+"
_OPERAND_X86 = (
    r"%(?P<register>\w+)"
    rf"|\$(?P<constant>{_NUMBER})"
    rf"|(?P<offset>{_NUMBER})?\s*\(\s*%(?P<base>\w+)\s*(?:,\s*%(?P<index>\w+)\s*(?:,\s*(?P<scale>\d+)\s*)?)?\)"
)
_NAME = "[a-z0-9]{1,15}"
_BRACKETS = (
    rf"\[\s*(?P<base>{_NAME})\s*(?:,\s*%s(?P<offset>{_NUMBER})\s*)?\]|%s(?P<constant>{_NUMBER})|(?P<register>{_NAME})"
)
_PARENTHESES = rf"(?P<offset>{_NUMBER})\s*\(\s*%s(?P<base>%s)\s*\)|(?P<constant>{_NUMBER})|%s(?P<register>%s)"

# Linux arch/*/include/uapi/asm/ptrace.h and, of x86 and arm, arch/*/include/asm/ptrace.h.
_ASSEMBLERS = {
    "x86_64": _Assembler(
        _OPERAND_X86, _x86(_in_order("r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di - ip - - sp", 8))
    ),
    "i386": _Assembler(_OPERAND_X86, _x86(_in_order("bx cx dx si di bp ax - - - - - ip - - sp", 4))),
    "arm64": _Assembler(_BRACKETS % ("", ""), _in_order(" ".join(f"x{n}" for n in range(31)) + " sp", 8)),
    "armhf": _Assembler(_BRACKETS % ("#", "#"), _in_order(" ".join(f"r{n}" for n in range(11)) + " fp ip sp lr pc", 4)),
    "s390x": _Assembler(
        _PARENTHESES % ("%", r"r\d+", "%", r"r\d+"), _in_order(" ".join(f"r{n}" for n in range(16)), 8, first=24)
    ),
    "riscv64": _Assembler(
        _PARENTHESES % ("", _NAME, "", _NAME),
        _in_order(
            "- ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6", 8
        ),
    ),
}


def specification(arguments: str, here: Architecture, what: str) -> dict[str, Any]:
    """Return the ``struct __bpf_usdt_spec`` of a note's arguments, as plain data.

    Raises NotAttached for an operand that libbpf does not take either, for too many, and on architectures of which
    libbpf knows no operands.
    """
    assembler = _ASSEMBLERS.get(here.name)
    if assembler is None:
        text = f"{what}: the operands of {here.name} are known neither to libbpf nor to us"
        raise NotAttached(text, code="attach-type-unsupported")
    pattern = _argument_of(assembler.operand)
    found: list[dict[str, int]] = []
    at = len(arguments) - len(arguments.lstrip())
    while at < len(arguments):
        match = pattern.match(arguments, at)
        fields = _argument(match.groupdict(), assembler.places) if match is not None else None
        if match is None or fields is None:
            raise NotAttached(f"{what}: argument {len(found)} is none that can be read: {arguments[at:]!r}")
        found.append(fields)
        at = match.end()
    if len(found) > MAX_ARGUMENTS:
        raise NotAttached(f"{what}: {len(found)} arguments are more than {MAX_ARGUMENTS}", code="limit-exceeded")
    return {"args": found, "arg_cnt": len(found)}


def _argument(groups: dict[str, Optional[str]], places: dict[str, int]) -> Optional[dict[str, int]]:
    """Return one ``struct __bpf_usdt_arg_spec``; None where a register, the size or the scale is none."""
    size, scale = int(groups["size"] or 0), int(groups.get("scale") or 1)
    if abs(size) not in (1, 2, 4, 8) or scale not in (1, 2, 4, 8):
        return None
    fields = {"arg_signed": int(size < 0), "arg_bitshift": 64 - 8 * abs(size), "arg_type": REG}
    if groups["constant"] is not None:
        return {**fields, "arg_type": CONST, "val_off": int(groups["constant"])}
    register = places.get(groups["register"] or groups["base"] or "")
    if register is None:
        return None
    fields["reg_off"] = register
    if groups["register"] is None:
        fields.update(arg_type=REG_DEREF, val_off=int(groups["offset"] or 0))
    if name := groups.get("index"):
        index = places.get(name)
        if index is None:
            return None
        fields.update(arg_type=SIB, idx_reg_off=index, scale_bitshift=scale.bit_length() - 1)
    return fields
