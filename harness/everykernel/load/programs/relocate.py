"""The relocate stage: CO-RE applied to every program that is wanted, each judged by itself. Pure but for the clock.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from everykernel import core, wire
from everykernel.load.programs.link import reached
from everykernel.object import lines
from everykernel.object.spec import DATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from everykernel.core import RelocatedProgram, Target
    from everykernel.core.program import Applied
    from everykernel.object import Function, ObjectSpec, ProgramSpec


class Relocated:
    """The outcome.

    Attributes:
        stage: the stage's record.
        programs: what each program that is fit to load came to, by its name.
        parts: its functions, in the order of linking.
        session: relocated them; None where there was no BTF.
        rejected: why a BTF that was supplied cannot serve, "" where none was or it does.
    """

    def __init__(self) -> None:
        self.stage: wire.Stage = {}
        self.programs: dict[str, RelocatedProgram] = {}
        self.parts: dict[str, list[Function]] = {}
        self.session: Optional[core.Session] = None
        self.rejected = ""


def relocate(
    spec: ObjectSpec,
    programs: Iterable[ProgramSpec],
    target: Target,
    btf_name: str,
    rejected: str = "",
    manner: core.Manner = core.LIBBPF,
) -> Relocated:
    """Relocate these programs of an object against a kernel's types; ``btf_name`` names them in the record.

    ``rejected``: why there are none, where a BTF was supplied that cannot serve.
    """
    began = time.monotonic()
    done = Relocated()
    relocations: dict[tuple[str, int], wire.Relocation] = {}
    records: list[wire.ProgramRecord] = []
    notes = dict.fromkeys(spec.notes)
    session = core.Session(spec.btf, target, manner) if spec.btf is not None and target.vmlinux is not None else None
    done.session, done.rejected = session, rejected
    all_ = core.relocate_together(spec, spec.programs, session) if session and manner.everything else None
    for program in programs:
        parts = reached(spec.functions[program.function], spec.functions)
        code, message = "", ""
        number = sum(len(f.core) for f in (spec.functions.values() if manner.everything else parts))
        if session is None and number:
            code = "btf-rejected" if rejected else "btf-missing"
            message = f"it has {number} CO-RE records, and {rejected or 'the kernel has no BTF'}"
        else:
            found = all_ or (
                core.relocate_program(spec, program, session, parts) if session else core.RelocatedProgram({}, [], None)
            )
            for applied in found.applied:
                place = applied.function.section, applied.fixup.index
                if place not in relocations:
                    relocations[place] = _relocation(spec, applied)
                notes.update(dict.fromkeys(_moved(applied)))
            if found.failed is not None:
                fixup = found.failed.fixup
                code, message = fixup.code or "object-malformed", f"{fixup.kind} {fixup.access}: {fixup.message}"
            else:
                done.programs[program.name], done.parts[program.name] = found, parts
        records.append(_record(program, code, message))
    failed = next((r for r in records if r["status"] == wire.FAILED and r["decides"]), None)
    done.stage = {
        "status": wire.FAILED if failed else wire.PASSED,
        "code": failed["code"] if failed else "",
        "message": f"{failed['name']}: {failed['message']}" if failed else "",
        "seconds": time.monotonic() - began,
        "btf": btf_name,
        "relocations": list(relocations.values()),
        "programs": records,
        "notes": [*notes, *([f"the supplied BTF is rejected: {rejected}"] if rejected else [])],
    }
    return done


def _relocation(spec: ObjectSpec, applied: Applied) -> wire.Relocation:
    """Return the record of a relocation, with the line of source of one that has no value in this kernel."""
    found = applied.describe()
    if applied.fixup.outcome != core.PATCHED:
        found["source"] = lines.file_line(spec.btf, applied.function, applied.insn)
    return found


def _moved(applied: Applied) -> Iterator[str]:
    """Yield a note where a record lies on the load of a variable's address: what it comes to is added to that."""
    function, insn, fixup = applied
    for reference in function.references:
        if reference.insn == insn and reference.kind == DATA and fixup.new:
            yield (
                f"{function.name}: instruction {insn} loads an address in {reference.name}, and the CO-RE record of "
                f"{fixup.access} on it moves that by {fixup.new} bytes (GCC 12 puts it there: compile with a newer "
                "GCC, or with clang)"
            )


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
    """Whether a program's refusal fails the stage: not for a ``?`` section, nor for one without its BTF target."""
    rule = program.rule
    needs = rule is not None and rule.btf and (not program.target or rule.type == "ext")
    return program.autoload and not needs
