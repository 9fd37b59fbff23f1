"""One program's way into the kernel: what it needs, linking, the attempt, and why it was refused.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Union

from everykernel import wire
from everykernel.btf import Btf, sanitise
from everykernel.core import POISONED
from everykernel.load.attach import freplace
from everykernel.load.attach.outcome import NotAttached
from everykernel.load.kernel.kconfig import kernel_version
from everykernel.load.kernel.operations import Operations
from everykernel.load.kernel.program import verified_instructions
from everykernel.load.kernel.reason import Reason
from everykernel.load.loaded import LoadedObject, Program
from everykernel.load.programs import contexts, instructions, loading, older, reasons, tables, verifier
from everykernel.load.programs.kept import Kept
from everykernel.load.programs.link import link
from everykernel.load.programs.relocate import decides
from everykernel.load.system.errnos import error_name
from everykernel.object.spec import DATA, EXTERN, EXTERN_CALL, MAP

if TYPE_CHECKING:
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.maps.map import Map
    from everykernel.load.programs.externs import Resolution
    from everykernel.load.programs.link import Linked
    from everykernel.load.programs.relocate import Relocated
    from everykernel.load.programs.upload import Uploaded
    from everykernel.load.rules.rules import Rules
    from everykernel.object import Function, ObjectSpec, ProgramSpec


class Attempts:
    """Loads the programs of one object, each on its own merits.

    Args:
        spec: the object, as the contract has it.
        kernel: the running kernel.
        relocated: its programs, CO-RE applied.
        loaded: gets the programs.
        externs: what its externs came to.
        types: its BTF in the kernel.
        operations: the operations structs that functions are part of: map, and what it is in this kernel.
        rules: the loader's.

    Attributes:
        answers: the errno that libbpf itself answers, by the names of programs about which the kernel was not asked.
    """

    def __init__(
        self,
        spec: ObjectSpec,
        kernel: KernelTypes,
        relocated: Relocated,
        loaded: LoadedObject,
        externs: Resolution,
        types: Uploaded,
        operations: dict[str, tuple[Map, Union[Operations, Reason]]],
        rules: Rules,
    ) -> None:
        self.rules = rules
        self.kept = Kept(spec.btf, rules, kernel.probes)
        self.spec = spec
        self.kernel = kernel
        self.relocated = relocated
        self.object = loaded
        self.externs = externs
        self.types = types
        self.operations = operations
        self.answers: dict[str, str] = {}
        self.kernel_version = spec.kernel_version or kernel_version(kernel.system)

    def with_relocations(self, relocated: Relocated) -> Attempts:
        """Return what loads the same programs with other instructions."""
        return Attempts(
            self.spec, self.kernel, relocated, self.object, self.externs, self.types, self.operations, self.rules
        )

    def load(self, spec: ProgramSpec, lacks: Optional[Reason] = None) -> None:
        """Load one program and keep its record; ``lacks``: not at all, for this reason."""
        record, fd = self.attempt(spec, lacks)
        self.object.programs[spec.name] = Program(spec, record, fd, self.object)

    def attempt(self, spec: ProgramSpec, lacks: Optional[Reason] = None) -> tuple[wire.ProgramRecord, int]:
        """Load one program; return its record and its descriptor, -1 if it was refused."""
        record = _record(spec)
        fd = -1
        if spec.rule is None and self.rules.skips_unknown and lacks is None:
            _verdict(record, wire.SKIPPED, "", f"section {spec.section!r} stands for no program type: it is left out")
            return record, fd
        parts = self.relocated.parts.get(spec.name)
        if parts is None and lacks is None:
            stage = self.relocated.stage["programs"]
            why = next(r for r in stage if r["name"] == spec.name)
            _verdict(record, wire.NOT_REACHED, why["code"], why["message"])
        else:
            blocked = lacks or self._blocked(spec, parts or [])
            if blocked is not None:
                self._refuse(record, blocked)
            else:
                fd = self._attempt(spec, parts or [], record)
        return record, fd

    def _refuse(self, record: wire.ProgramRecord, reason: Reason) -> None:
        """Write down why the kernel is not asked at all."""
        _verdict(record, wire.FAILED, reason.code, reason.message)
        if reason.errno:
            self.answers[record["name"]] = reason.errno

    def _blocked(self, spec: ProgramSpec, parts: list[Function]) -> Optional[Reason]:
        """Return why a program need not be tried: an unknown section, a map or extern that is not there."""
        if spec.rule is None:
            return Reason("object-unsupported", f"section {spec.section!r} stands for no program type")
        if self.spec.byteorder != self.kernel.system.byteorder:
            here = self.kernel.system.byteorder
            return Reason("object-unsupported", f"it is {self.spec.byteorder}-endian, this machine {here}-endian")
        if spec.function in self.operations and spec.rule.type == "struct_ops":
            made, operations = self.operations[spec.function]
            needed = self.rules.structs_first or isinstance(operations, Reason)
            if needed and made.record["status"] == wire.FAILED:
                return Reason(made.record["code"], f"it needs {made.record['message']}")
        elif spec.rule.type == "struct_ops" and not self.rules.asks_anyway:
            return Reason("attach-target-missing", "no operations struct of the object holds it", "EINVAL")
        lost = [function.name for function in parts[1:] if function.name in self._lost(spec)]
        if lost:
            what = f"function {lost[0]!r} is called, and its first instruction is poisoned"
            return Reason("object-unsupported", what)
        for function in parts:
            for reference in function.references:
                if reference.kind in (MAP, DATA):
                    record = self.object.maps[reference.name].record
                    if record["status"] == wire.FAILED:
                        return Reason(record["code"], f"it needs {record['message']}")
                elif reference.kind in (EXTERN, EXTERN_CALL):
                    found = self.externs.resolved[reference.name]
                    if found.code and (found.kind != "symbol" or reference.kind == EXTERN_CALL):
                        return Reason(found.code, found.message)
        return None

    def _lost(self, spec: ProgramSpec) -> set[str]:
        """Return the functions that the loader forgets, as their first instructions are poisoned."""
        relocated = self.relocated.programs.get(spec.name)
        if self.rules.keeps_symbols or relocated is None:
            return set()
        return {a.function.name for a in relocated.applied if not a.insn and a.fixup.outcome == POISONED}

    def _attempt(self, spec: ProgramSpec, parts: list[Function], record: wire.ProgramRecord) -> int:
        target, missing = self._target(spec)
        found = self.operations.get(spec.function, (None, None))[1]
        if spec.rule is not None and spec.rule.type == "struct_ops" and isinstance(found, Operations):
            target = loading.Target(found.type_id, found.btf_fd, found.indexes.get(spec.function))
        made: dict[str, int] = {}
        types = self.kept.refused(f.func_info.type_id for f in parts if f.func_info is not None)
        if types is not None:
            self._refuse(record, types)
            record["errno"] = types.errno
            return -1
        if missing is None:
            made, missing = tables.create(self.kernel, self.spec.tables, parts)
        if missing is not None:
            self._refuse(record, missing)
            return -1
        self.object.descriptors.extend(made.values())
        fds = {**{name: m.fd for name, m in self.object.maps.items()}, **made}
        relocated = self.relocated.programs[spec.name].code
        linked = link(
            parts,
            {f.name: relocated.get(f.name, f.code) for f in parts},
            fds,
            self.externs.resolved,
            self.spec.byteorder,
        )
        if len(parts) > 1 and spec.function in self._lost(spec):
            linked = linked._replace(func_info=linked.func_info[8:])  # its own record is the first
        record["insns"] = len(linked.code) // 8
        rule = spec.rule
        expected = not (rule and rule.expected_optional) or self.kernel.probes.expected_attach_type()
        if older.reads(linked.code) and not self.kernel.probes.read_kernel():
            older.replace_reads(linked.code, self.spec.byteorder)
        attempt = loading.Loading(
            self.kernel.system,
            spec,
            linked,
            license_=self.spec.license,
            kernel_version=self.kernel_version,
            btf_fd=self.types.of_functions,
            target=target,
            btf_fds=self.externs.descriptors,
            expected=expected,
            named=self.kernel.probes.names(),
        )
        try:
            fd = self._with_contexts(attempt, linked, rule.type if rule else "")
        except loading.Refused as e:
            self._explain(spec, linked, record, e)
            return -1
        record["verified_insns"] = verified_instructions(self.kernel.system, fd)
        return fd

    def _target(self, spec: ProgramSpec) -> tuple[loading.Target, Optional[Reason]]:
        """Return what a program attaches to by BTF, or why there is nothing."""
        if not replaces(spec) or self.rules.asks_anyway:
            return loading.find_target(spec, spec.target, self.kernel, self.rules)
        try:
            fd, function = freplace.place(self.kernel.system, spec.target, self.object.programs)
        except NotAttached as e:
            return loading.Target(), Reason(e.code, e.message)
        return loading.Target(function, fd), None

    def _with_contexts(self, attempt: loading.Loading, linked: Linked, type_: str) -> int:
        """Load a program; where it is refused, once more with the struct's name in the place of context tags."""
        try:
            return attempt.load()
        except loading.Refused:
            btf = self.types.btf
            tagged = self.rules.contexts and btf is not None and self.types.of_functions
            changed = contexts.named(btf, linked.func_info, type_) if tagged and btf is not None else None
            if btf is None or changed is None:
                raise
        types, func_info = changed
        known = Btf.parse(types, name=btf.name, pointer_size=btf.pointer_size)
        try:
            self.types.keep(sanitise.sanitise(known, self.types.known(known)))
        except OSError:
            return attempt.load()
        return attempt.again(self.types.fd, func_info).load()

    def _explain(self, spec: ProgramSpec, linked: Linked, record: wire.ProgramRecord, refused: loading.Refused) -> None:
        """Write down why the kernel refused a program: code, the lines that matter, source line, the whole log."""
        verdict = verifier.parse(refused.log)
        source, text = "", ""
        if verdict.insn is not None and verdict.insn < len(linked.code) // 8 and self.spec.btf is not None:
            source, text = verifier.source_line(self.spec.btf, linked, verdict.insn)
        assert spec.rule is not None
        log, left_out = verifier.name_map(refused.log, [m.name if m.fd < 0 else "" for m in self.object.maps.values()])
        log, unresolved = verifier.name_kfunc(log, self.externs.order)
        if left_out:
            lacks = self.object.maps[left_out].record
            reason = Reason(lacks["code"] or "verifier-rejected", f"it needs {lacks['message']}")
        elif unresolved:
            why = self.externs.resolved[unresolved].message
            reason = Reason("kfunc-missing", f"a weak function that is called is not resolved: {why}")
        elif reasons.poisoned(verdict, log):
            reason = self._unresolved(spec, linked, verdict)
        elif newer := instructions.lacking(linked.code, verdict.insn, verdict.reason, self.spec.byteorder):
            reason = Reason("verifier-rejected", f"{newer}: {verdict.lines}")
        else:
            reason = reasons.of_program(refused.error, verdict, log, spec.rule, self.kernel.probes)
        name = error_name(refused.error.errno)
        place = f" at {source}: {text}".removesuffix(": ") if source else ""
        _verdict(record, wire.FAILED, reason.code, f"{name}: {reason.message}{place}")
        record["errno"], record["log"], record["source"] = name, log, source

    def _unresolved(self, spec: ProgramSpec, linked: Linked, verdict: verifier.Verdict) -> Reason:
        """Return the relocation that poisoned the instruction at which the verifier stopped."""
        if verdict.insn is not None:
            function, index = linked.function_at(verdict.insn)
            applied = self.relocated.programs[spec.name].applied
            found = {insn: fixup for where, insn, fixup in applied if where.name == function.name}
            fixup = found.get(index) or found.get(index - 1)  # the second half of a 64-bit load
            if fixup is not None:
                return Reason("relocation-unresolved", f"{fixup.kind} {fixup.access}: {fixup.message}")
        return Reason("relocation-unresolved", "an instruction that could not be relocated was reached")


def replaces(spec: ProgramSpec) -> bool:
    """Whether a program takes the place of a function of another one."""
    return spec.rule is not None and spec.rule.type == "ext"


def _record(spec: ProgramSpec) -> wire.ProgramRecord:
    """Return the record of a program of which nothing is known yet."""
    return {
        "name": spec.name,
        "section": spec.section,
        "type": spec.rule.type if spec.rule else "",
        "attach": spec.target,
        "status": wire.PASSED,
        "code": "",
        "errno": None,
        "message": "",
        "log": "",
        "source": "",
        "insns": 0,
        "verified_insns": None,
        "decides": decides(spec),
    }


def _verdict(record: wire.ProgramRecord, status: str, code: str, message: str) -> None:
    record["status"], record["code"], record["message"] = status, code, message
