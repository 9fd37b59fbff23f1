"""USDT: where a program or library has a probe of a name, and where each of its arguments is there.

The rules are libbpf 1.7's (usdt.c: collect_usdt_targets, parse_usdt_note, parse_usdt_arg); the notes' form is that of
SystemTap (https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation).

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from everykernel.load.attach.outcome import NotAttached
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.architectures import Architecture
    from everykernel.load.system.door import System

MAX_ARGUMENTS = 12  # BPF_USDT_MAX_ARG_CNT of <bpf/usdt.bpf.h>
CONST, REG, REG_DEREF, SIB = range(4)  # enum __bpf_usdt_arg_type

_NOTES, _BASE = ".note.stapsdt", ".stapsdt.base"
_OWNER, _TYPE = b"stapsdt", 3
_EXECUTABLE = 1  # PF_X


class Site(NamedTuple):
    """One place of a probe.

    Attributes:
        offset: of its instruction in the file.
        address: of its instruction as the file is linked.
        semaphore: offset in the file of the counter that switches it on, 0 without one.
        arguments: where its arguments are, as the note says.
    """

    offset: int
    address: int
    semaphore: int
    arguments: str


class Found(NamedTuple):
    """The places of a probe; ``fixed``: the file is loaded at the addresses at which it is linked."""

    sites: list[Site]
    fixed: bool


class _Segment(NamedTuple):
    start: int
    size: int
    offset: int
    executable: bool

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.start + self.size


def find(system: System, path: str, provider: str, name: str) -> Found:
    """Return the places of a probe in an ELF file for a machine; raise NotAttached where it has none of that name."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    what = f"usdt {path}:{provider}:{name}"
    try:
        with system.file(path) as file:
            elf = ELFFile(file)
            _check(elf, system, what)
            segments = [
                _Segment(s["p_vaddr"], s["p_memsz"], s["p_offset"], bool(s["p_flags"] & _EXECUTABLE))
                for s in elf.iter_segments("PT_LOAD")
            ]
            notes, base = elf.get_section_by_name(_NOTES), elf.get_section_by_name(_BASE)
            shape = ("<" if elf.little_endian else ">") + ("QQQ" if elf.elfclass == 64 else "III")
            sites = [
                _site(place, base["sh_addr"] if base is not None else 0, arguments, segments, what)
                for place, *names, arguments in (_notes(notes.data(), shape) if notes is not None else ())
                if names == [provider, name]
            ]
            fixed = elf["e_type"] == "ET_EXEC"
    except OSError as e:
        raise NotAttached(f"{path}: {error_name(e.errno)}", code="attach-target-missing", number=e.errno or 0) from e
    except (ELFError, struct.error, ValueError, AttributeError) as e:
        raise NotAttached(f"{path}: is no sound ELF file: {e}", code="attach-target-missing") from e
    if not sites:
        raise NotAttached(f"{what}: the file has no such probe", code="attach-target-missing")
    return Found(sites, fixed)


def _check(elf: Any, here: System, what: str) -> None:
    """Refuse a file that this machine does not run as its own."""
    if (elf.elfclass, elf.little_endian) != (8 * here.pointer_size, here.byteorder == "little"):
        raise NotAttached(f"{what}: the file is not of this architecture", code="attach-target-missing")


def _notes(data: bytes, shape: str) -> Iterator[tuple[tuple[int, int, int], str, str, str]]:
    """Yield (location, base, semaphore), provider, name, arguments of each note; raise ValueError for a damaged one."""
    order = shape[0]
    head = struct.Struct(f"{order}III")
    at, words = 0, struct.calcsize(shape)
    while at + head.size <= len(data):
        name_size, size, kind = head.unpack_from(data, at)
        start = at + head.size + (name_size + 3 & ~3)
        owner, description = data[at + head.size : at + head.size + name_size], data[start : start + size]
        if owner.rstrip(b"\0") != _OWNER or kind != _TYPE or len(description) < words + 3:
            raise ValueError(f"the note at {at:#x} of {_NOTES} is none of a probe")
        texts = description[words:].split(b"\0")
        if len(texts) < 4 or not texts[1]:
            raise ValueError(f"the note at {at:#x} of {_NOTES} ends too early")
        provider, name, arguments = (text.decode("utf-8", "replace") for text in texts[:3])
        location, base, semaphore = struct.unpack_from(shape, description)
        yield (location, base, semaphore), provider, name, "" if arguments.startswith(":") else arguments
        at = start + (size + 3 & ~3)


def _site(place: tuple[int, int, int], base: int, arguments: str, segments: list[_Segment], what: str) -> Site:
    """Return a note's place as offsets in the file; prelinking moves the code, and ``.stapsdt.base`` with it."""
    location, linked_base, semaphore = place
    if base and linked_base:
        location += base - linked_base
    code = next((s for s in segments if location in s), None)
    if code is None or not code.executable:
        raise NotAttached(f"{what}: {location:#x} is in no code that is loaded", code="attach-target-missing")
    counter = next((s for s in segments if semaphore in s), None) if semaphore else None
    if semaphore and (counter is None or counter.executable):
        raise NotAttached(
            f"{what}: its counter {semaphore:#x} is in no data that is loaded", code="attach-target-missing"
        )
    return Site(
        location - code.start + code.offset,
        location,
        semaphore - counter.start + counter.offset if counter is not None else 0,
        arguments,
    )


# ------------------------------------------------------------------------------------------------ arguments

# The kernel's struct pt_regs, in its order (Linux arch/x86/include/asm/ptrace.h); None: named by no operand.
_PT_REGS = {
    "x86_64": (
        "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di", None, "ip",
        None, None, "sp",
    ),
    "i386": ("bx", "cx", "dx", "si", "di", "bp", "ax", None, None, None, None, None, "ip", None, None, "sp"),
}  # fmt: skip
# The names that operands have for them, by size.
_REGISTERS = {
    **{
        f"{prefix}{name}": name
        for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
        for prefix in ("r", "e", "")
    },
    **{"rip": "ip", "eip": "ip", "al": "ax", "bl": "bx", "cl": "cx", "dl": "dx"},
    **{f"{name}l": name for name in ("si", "di", "bp", "sp")},
    **{f"r{number}{suffix}": f"r{number}" for number in range(8, 16) for suffix in ("", "d", "w", "b")},
}

_OPERAND = re.compile(
    r"\s*(?P<size>[-+]?\d+)\s*@\s*(?:"
    r"%(?P<register>\w+)"
    r"|\$(?P<constant>[-+]?\d+)"
    r"|(?P<offset>[-+]?\d+)?\s*\(\s*%(?P<base>\w+)\s*(?:,\s*%(?P<index>\w+)\s*(?:,\s*(?P<scale>\d+)\s*)?)?\)"
    r")(?:\s+|$)"
)


def specification(arguments: str, here: Architecture, what: str) -> dict[str, Any]:
    """Return the ``struct __bpf_usdt_spec`` of a note's arguments, as plain data.

    Raises NotAttached for an operand that libbpf does not take either, and for too many.
    """
    found: list[dict[str, int]] = []
    at = len(arguments) - len(arguments.lstrip())
    while at < len(arguments):
        match = _OPERAND.match(arguments, at)
        fields = _argument(match, here) if match is not None else None
        if match is None or fields is None:
            raise NotAttached(f"{what}: argument {len(found)} is none that can be read: {arguments[at:]!r}")
        found.append(fields)
        at = match.end()
    if len(found) > MAX_ARGUMENTS:
        raise NotAttached(f"{what}: {len(found)} arguments are more than {MAX_ARGUMENTS}", code="limit-exceeded")
    return {"args": found, "arg_cnt": len(found)}


def _argument(match: re.Match[str], here: Architecture) -> Optional[dict[str, int]]:
    """Return one ``struct __bpf_usdt_arg_spec``; None where a register, the size or the scale is none."""
    size, scale = int(match["size"]), int(match["scale"] or 1)
    if abs(size) not in (1, 2, 4, 8) or scale not in (1, 2, 4, 8):
        return None
    fields = {"arg_signed": int(size < 0), "arg_bitshift": 64 - 8 * abs(size), "arg_type": REG}
    if match["constant"] is not None:
        return {**fields, "arg_type": CONST, "val_off": int(match["constant"])}
    register = _register(match["register"] or match["base"], here)
    if register is None:
        return None
    fields["reg_off"] = register
    if match["register"] is None:
        fields.update(arg_type=REG_DEREF, val_off=int(match["offset"] or 0))
    if match["index"] is not None:
        index = _register(match["index"], here)
        if index is None:
            return None
        fields.update(arg_type=SIB, idx_reg_off=index, scale_bitshift=scale.bit_length() - 1)
    return fields


def _register(name: str, here: Architecture) -> Optional[int]:
    """Return a register's offset in a machine's struct pt_regs by any of its names, None for what is none."""
    places = _PT_REGS.get(here.name, ())
    stem = _REGISTERS.get(name)
    return here.pointer_size * places.index(stem) if stem in places and stem else None
