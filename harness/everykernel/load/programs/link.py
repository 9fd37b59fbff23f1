"""Linking: one program and the subprograms that it reaches become one run of instructions.

The order and the arithmetic are libbpf 1.7's (bpf_object__reloc_code): a subprogram is appended where it is first
reached, calls are then relative to where it landed, function and line information move along.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, NamedTuple

from everykernel.object.spec import CALL, DATA, EXTERN, EXTERN_CALL, FUNCTION, INSN, MAP, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.load.programs.externs import Resolved
    from everykernel.object.spec import Function, Reference

PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_BTF_ID, PSEUDO_FUNC, PSEUDO_CALL, PSEUDO_KFUNC_CALL = 1, 2, 3, 4, 1, 2
POISON_MAP = 2001000000  # libbpf's POISON_LDIMM64_MAP_BASE: the call of no helper that stands for a map's use
_IMM = struct.Struct("=i")


class Linked(NamedTuple):
    """A program ready for the kernel.

    ``places`` are (first instruction, function) in ascending order; ``func_info`` and ``line_info`` are the kernel's
    records (of 8 and 16 bytes), empty where the object has none for every function.
    """

    code: bytearray
    places: list[tuple[int, Function]]
    func_info: bytes
    line_info: bytes

    def function_at(self, insn: int) -> tuple[Function, int]:
        """Return the function that holds an instruction, and the instruction's index in it."""
        start, function = max((p for p in self.places if p[0] <= insn), key=lambda p: p[0])
        return function, insn - start


def reached(entry: Function, functions: Mapping[str, Function]) -> list[Function]:
    """Return a program's entry function and the subprograms that it reaches, in the order in which they are linked."""
    found = [entry]
    names = {entry.name}
    walks = [iter(entry.references)]  # no recursion: an object decides how deep calls go
    while walks:
        reference = next(walks[-1], None)
        if reference is None:
            walks.pop()
            if not walks and entry.exception in functions and entry.exception not in names:
                names.add(entry.exception)
                found.append(functions[entry.exception])
                walks.append(iter(found[-1].references))
        elif reference.kind in (CALL, FUNCTION) and reference.name not in names:
            names.add(reference.name)
            found.append(functions[reference.name])
            walks.append(iter(found[-1].references))
    return found


def places(parts: list[Function]) -> dict[str, int]:
    """Return the first instruction of each function in the program that they are linked into, by name."""
    found: dict[str, int] = {}
    length = 0
    for function in parts:
        found[function.name] = length
        length += len(function.code) // INSN
    return found


def link(
    parts: list[Function], code_of: Mapping[str, bytes], fds: Mapping[str, int], externs: Mapping[str, Resolved]
) -> Linked:
    """Link functions (`reached`) into one program.

    Args:
        parts: the entry function first.
        code_of: each function's instructions, CO-RE applied, by name.
        fds: descriptors of maps, data sections and jump tables by name; -1 for one that is not there: what uses it
            becomes two calls of no helper, POISON_MAP and the map's number (poison_map_ldimm64, libbpf 1.7).
        externs: what the externs came to.
    """
    starts = places(parts)
    code = bytearray(b"".join(code_of[function.name] for function in parts))
    for function in parts:
        base = starts[function.name]
        for reference in function.references:
            _resolve(code, base + reference.insn, reference, starts, fds, externs)
    placed = [(starts[f.name], f) for f in parts]
    func_info, line_info = _information(placed)
    return Linked(code, placed, func_info, line_info)


def _resolve(
    code: bytearray,
    insn: int,
    reference: Reference,
    starts: Mapping[str, int],
    fds: Mapping[str, int],
    externs: Mapping[str, Resolved],
) -> None:
    at = insn * INSN
    kind = reference.kind
    if kind == CALL:
        _IMM.pack_into(code, at + 4, starts[reference.name] - insn - 1)
    elif kind == FUNCTION:
        _load(code, at, PSEUDO_FUNC, starts[reference.name] - insn - 1, 0)
    elif kind in (MAP, DATA) and fds[reference.name] < 0:
        code[at : at + 2 * INSN] = 2 * struct.pack("=BBhi", 0x85, 0, 0, POISON_MAP + list(fds).index(reference.name))
    elif kind == MAP:
        (high,) = _IMM.unpack_from(code, at + INSN + 4)
        _load(code, at, PSEUDO_MAP_FD, fds[reference.name], high)
    elif kind == DATA:
        (immediate,) = _IMM.unpack_from(code, at + 4)  # the compiler's, or what a CO-RE record on it came to
        _load(code, at, PSEUDO_MAP_VALUE, fds[reference.name], immediate + reference.offset)
    elif kind == TABLE:
        source(code, at, PSEUDO_MAP_VALUE)
        struct.pack_into("=hi", code, at + 2, 0, fds[reference.name])
    elif kind in (EXTERN, EXTERN_CALL):
        externs[reference.name].patch(code, at, call=kind == EXTERN_CALL)


def source(code: bytearray, at: int, register: int) -> None:
    """Set src_reg, a nibble whose side of the byte follows the machine's byte order."""
    if _LITTLE:
        code[at + 1] = code[at + 1] & 0x0F | register << 4
    else:
        code[at + 1] = code[at + 1] & 0xF0 | register


_LITTLE = struct.pack("=H", 1)[0] == 1


def _load(code: bytearray, at: int, register: int, low: int, high: int) -> None:
    """Fill in a 64-bit load: source register, and the immediates of its two halves."""
    source(code, at, register)
    _IMM.pack_into(code, at + 4, low)
    struct.pack_into("=I", code, at + INSN + 4, high & 0xFFFFFFFF)


def _information(places: list[tuple[int, Function]]) -> tuple[bytes, bytes]:
    """Return func_info (one a function, or the kernel refuses it) and line_info."""
    if any(function.func_info is None for _, function in places):
        return b"", b""
    funcs = array("I")
    lines = array("I")
    for start, function in places:
        assert function.func_info is not None
        funcs.extend((start, function.func_info.type_id))
        shift = start - function.start // INSN
        for insn_off, file_off, line_off, line_col in function.line_info:
            lines.extend((insn_off // INSN + shift, file_off, line_off, line_col))
    return funcs.tobytes(), lines.tobytes()
