"""Linking: one program and the subprograms that it reaches become one run of instructions.

The order and the arithmetic are libbpf 1.7's (bpf_object__reloc_code): a subprogram is appended where it is first
reached, calls are then relative to where it landed, function and line information move along.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from everykernel.load.programs.patch import PSEUDO_FUNC, PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, Resolved, Writer
from everykernel.namedtuple import NamedTuple
from everykernel.object.spec import CALL, DATA, EXTERN, EXTERN_CALL, FUNCTION, INSN, MAP, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.object.spec import Function, Reference

POISON_MAP = 2001000000  # libbpf's POISON_LDIMM64_MAP_BASE: the call of no helper that stands for a map's use
_CALL = b"\x85" + bytes(INSN - 1)


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
    parts: list[Function],
    code_of: Mapping[str, bytes],
    fds: Mapping[str, int],
    externs: Mapping[str, Resolved],
    byteorder: str,
) -> Linked:
    """Link functions (`reached`) into one program.

    Args:
        parts: the entry function first.
        code_of: each function's instructions, CO-RE applied, by name.
        fds: descriptors of maps, data sections and jump tables by name; -1 for one that is not there: what uses it
            becomes two calls of no helper, POISON_MAP and the map's number (poison_map_ldimm64, libbpf 1.7).
        externs: what the externs came to.
        byteorder: of the object, and of the machine.
    """
    starts, writer = places(parts), Writer(byteorder)
    code = bytearray(b"".join(code_of[function.name] for function in parts))
    for function in parts:
        base = starts[function.name]
        for reference in function.references:
            _resolve(writer, code, base + reference.insn, reference, starts, fds, externs)
    placed = [(starts[f.name], f) for f in parts]
    func_info, line_info = _information(placed, byteorder)
    return Linked(code, placed, func_info, line_info)


def _resolve(
    writer: Writer,
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
        writer.set(code, at + 4, 4, starts[reference.name] - insn - 1)
    elif kind == FUNCTION:
        writer.wide(code, at, PSEUDO_FUNC, starts[reference.name] - insn - 1, 0)
    elif kind in (MAP, DATA) and fds[reference.name] < 0:
        for half in (at, at + INSN):
            code[half : half + INSN] = _CALL
            writer.set(code, half + 4, 4, POISON_MAP + list(fds).index(reference.name))
    elif kind == MAP:
        writer.wide(code, at, PSEUDO_MAP_FD, fds[reference.name], writer.get(code, at + INSN + 4))
    elif kind == DATA:
        immediate = writer.get(code, at + 4)  # the compiler's, or what a CO-RE record on it came to
        writer.wide(code, at, PSEUDO_MAP_VALUE, fds[reference.name], immediate + reference.offset)
    elif kind == TABLE:
        writer.source(code, at, PSEUDO_MAP_VALUE)
        writer.set(code, at + 2, 2, 0)
        writer.set(code, at + 4, 4, fds[reference.name])
    elif kind in (EXTERN, EXTERN_CALL):
        externs[reference.name].patch(writer, code, at, call=kind == EXTERN_CALL)


def _information(places: list[tuple[int, Function]], byteorder: str) -> tuple[bytes, bytes]:
    """Return func_info (one a function, or the kernel refuses it) and line_info."""
    if any(function.func_info is None for _, function in places):
        return b"", b""
    funcs: list[int] = []
    lines: list[int] = []
    for start, function in places:
        assert function.func_info is not None
        funcs.extend((start, function.func_info.type_id))
        shift = start - function.start // INSN
        for insn_off, file_off, line_off, line_col in function.line_info:
            lines.extend((insn_off // INSN + shift, file_off, line_off, line_col))
    order = "<" if byteorder == "little" else ">"
    return struct.pack(f"{order}{len(funcs)}I", *funcs), struct.pack(f"{order}{len(lines)}I", *lines)
