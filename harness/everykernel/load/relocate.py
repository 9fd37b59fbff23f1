"""The relocate stage: CO-RE applied to every function that is wanted, each program judged by itself.

As in libbpf, a record that fails in the section of subprograms (.text) fails every program. Pure but for the clock.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from everykernel import core, wire
from everykernel.load.link import reached
from everykernel.object.spec import INSN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from everykernel.core import Fixup, Target
    from everykernel.object import Function, ObjectSpec, ProgramSpec

_LDIMM64 = 0x18


class Relocated:
    """The outcome.

    Attributes:
        stage: the stage's record.
        code: the instructions of each function after CO-RE, by name.
        parts: the functions of each program that is fit to load, by the program's name, in the order of linking.
        fixups: by function, instruction index → fixup (for tracing a refusal back to its relocation).
    """

    def __init__(self) -> None:
        self.stage: wire.Stage = {}
        self.code: dict[str, bytes] = {}
        self.parts: dict[str, list[Function]] = {}
        self.fixups: dict[str, dict[int, Fixup]] = {}


def relocate(spec: ObjectSpec, programs: Iterable[ProgramSpec], target: Target, btf_name: str) -> Relocated:
    """Relocate these programs of an object against a kernel's types; ``btf_name`` names them in the record."""
    began = time.monotonic()
    done = Relocated()
    relocations: list[wire.Relocation] = []
    records: list[wire.ProgramRecord] = []
    session = core.Session(spec.btf, target) if spec.btf is not None else None
    failures: dict[str, Fixup] = {}

    def treat(function: Function) -> None:
        if function.name in done.code:
            return
        code = function.code
        if function.core and session is not None and target.vmlinux is not None:
            code, fixups = _apply(function, session.again())
            done.fixups[function.name] = fixups
            for fixup in fixups.values():
                relocations.append(describe(fixup, function))
                if fixup.outcome == core.FAILED:
                    failures.setdefault(function.name, fixup)
        done.code[function.name] = code

    shared = [f for f in spec.functions.values() if f.section == spec.shared_section]
    for function in shared:
        treat(function)
    for program in programs:
        parts = reached(spec.functions[program.function], spec.functions)
        for function in parts:
            treat(function)
        broken = next((failures[f.name] for f in [*parts, *shared] if f.name in failures), None)
        code, message = "", ""
        if target.vmlinux is None and any(f.core for f in parts):
            number = sum(len(f.core) for f in parts)
            code, message = "btf-missing", f"it has {number} CO-RE records, and the kernel has no BTF"
        elif broken is not None:
            code, message = broken.code or "object-malformed", f"{broken.kind} {broken.access}: {broken.message}"
        else:
            done.parts[program.name] = parts
        records.append(_record(program, code, message))
    failed = next((r for r in records if r["status"] == wire.FAILED and r["decides"]), None)
    done.stage = {
        "status": wire.FAILED if failed else wire.PASSED,
        "code": failed["code"] if failed else "",
        "message": f"{failed['name']}: {failed['message']}" if failed else "",
        "seconds": time.monotonic() - began,
        "btf": btf_name,
        "relocations": relocations,
        "programs": records,
        "notes": list(spec.notes),
    }
    return done


def _apply(function: Function, session: core.Session) -> tuple[bytes, dict[int, Fixup]]:
    """Return a function's code after CO-RE, and the fixups by instruction index."""
    code = bytearray(function.code)
    fixups = {}
    for index, record in function.core:
        insn, rest = divmod(record.insn_off - function.start, INSN)
        at = insn * INSN
        length = 2 * INSN if code[at] == _LDIMM64 else INSN
        given = bytes(code[at : at + length]) if not rest else b""
        fixup = core.compute(record, index, session.local, session.target, given, session)
        if fixup.outcome != core.FAILED:
            core.apply(fixup, code, insn)
        fixups[insn] = fixup
    return bytes(code), fixups


def describe(fixup: Fixup, function: Function) -> wire.Relocation:
    """Return the record of one relocation."""
    found: wire.Relocation = {
        "section": function.section,
        "program": function.name,
        "index": fixup.index,
        "insn": (fixup.record.insn_off - function.start) // INSN,
        "kind": fixup.kind,
        "access": fixup.access,
        "local": fixup.local,
        "target": fixup.target,
        "outcome": fixup.outcome,
        "candidates": list(fixup.candidates),
        "message": fixup.message,
    }
    if fixup.old is not None:
        found["old"] = fixup.old
    if fixup.new is not None:
        found["new"] = fixup.new
    if fixup.mem_size is not None:
        found["mem_size"] = fixup.mem_size
    return found


def _record(program: ProgramSpec, code: str, message: str) -> wire.ProgramRecord:
    return {
        "name": program.name,
        "section": program.section,
        "type": program.rule.type if program.rule else "",
        "attach": program.target,
        "status": wire.FAILED if code else wire.PASSED,
        "code": code,
        "message": message,
        "decides": decides(program),
    }


def decides(program: ProgramSpec) -> bool:
    """Whether a program's refusal fails the stage: not for a ``?`` section, nor for one that names no BTF target."""
    return program.autoload and not (program.rule is not None and program.rule.btf and not program.target)
