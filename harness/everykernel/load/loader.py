"""`load`: relocate an object against a kernel's types, create its maps, load each program on its own merits.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Optional, Union

from everykernel import wire
from everykernel.btf import Btf, sanitise
from everykernel.core import Target
from everykernel.errors import BtfMalformed, ObjectMalformed, ObjectUnsupported, UsageError
from everykernel.load.attach.operations import Registration
from everykernel.load.kernel.kconfig import kernel_version
from everykernel.load.kernel.operations import Operations, resolve
from everykernel.load.kernel.reason import Reason
from everykernel.load.loaded import LoadedObject, Program
from everykernel.load.maps import create
from everykernel.load.maps.map import ARRAY, PROG_ARRAY, STRUCT_OPS, Map
from everykernel.load.programs import contexts, externs, loading, reasons, replace, tables, verifier
from everykernel.load.programs.decide import decide
from everykernel.load.programs.link import link
from everykernel.load.programs.relocate import Relocated, decides, relocate
from everykernel.load.programs.variants import Group
from everykernel.load.system import abi
from everykernel.load.system.syscalls import address, architecture, bpf, error_name
from everykernel.object import contract as contract_
from everykernel.object.spec import DATA, EXTERN, EXTERN_CALL, MAP, MapSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.programs.decide import Decided
    from everykernel.load.programs.link import Linked
    from everykernel.object import Function, ObjectSpec, ProgramSpec
    from everykernel.object.contract import Contract
    from everykernel.object.spec import StructOpsSpec

_KCONFIG = ".kconfig"


def load(
    spec: ObjectSpec,
    kernel: KernelTypes,
    *,
    programs: Optional[Sequence[str]] = None,
    btf: Optional[Union[Btf, bytes]] = None,
    btf_name: str = "",
    contract: Optional[Mapping[str, Any]] = None,
) -> LoadedObject:
    """Relocate and load an object; what the kernel refuses is in the stages of what is returned, never raised.

    Args:
        spec: the object.
        kernel: the running kernel's types and probes.
        programs: load only these, beside those of the contract's variants; the contract's own list without it.
        btf: relocate against this BTF instead of the kernel's own; ``btf_name`` names it in the record. Where it is
            damaged or of another kind of machine, the programs that have CO-RE records end in ``btf-rejected``.
        contract: the loader contract, in the form of a case.toml's ``[contract]``.

    Raises ObjectMalformed for damage that is only found on the way, ObjectUnsupported for an object of the wrong byte
    order, UsageError for an unknown name.
    """
    agreed = contract_.parse(contract or {}, "contract")
    if spec.byteorder != sys.byteorder:
        raise ObjectUnsupported(
            f"is {spec.byteorder}-endian, this machine {sys.byteorder}-endian",
            where=spec.name,
            remedy="compile it with -target bpf on this machine, or with -target bpfel or bpfeb",
        )
    try:
        return _load(decide(spec, agreed, programs), kernel, agreed, btf, btf_name)
    except BtfMalformed as e:
        if spec.btf is not None and e.where.startswith(spec.btf.name):
            raise ObjectMalformed(e.message, where=e.where) from e
        raise


def _load(
    decided: Decided, kernel: KernelTypes, contract: Contract, btf: Optional[Union[Btf, bytes]], btf_name: str
) -> LoadedObject:
    spec, grouped = decided.spec, contract.grouped
    target, used, rejected = kernel.target, "none" if kernel.vmlinux is None else "kernel", ""
    if btf is not None:
        name = btf_name or (btf.name if isinstance(btf, Btf) else "supplied")
        try:
            target, used = Target(_supplied(btf, name)), f"supplied:{name}"
        except BtfMalformed as e:
            target, used, rejected = Target(None), f"supplied:{name}", str(e)
    tried = [*decided.programs, *(p for p in spec.programs if p.name in grouped)]
    relocated = relocate(spec, tried, target, used, rejected)
    if btf is not None and any(r["kind"] == "target_type_id" for r in relocated.stage["relocations"]):
        relocated.stage["notes"].append("target type ids are the supplied BTF's: the kernel knows no type by them")
    return _Load(decided, kernel, relocated, contract).run()


def _supplied(btf: Union[Btf, bytes], name: str) -> Btf:
    """Return a supplied BTF; raise BtfMalformed for one that is damaged or cannot be of this kernel."""
    here = architecture()
    if not isinstance(btf, Btf):
        btf = Btf.parse(btf, name=name, pointer_size=here.pointer_size)  # of a BTF that does not tell
    if (btf.byteorder, btf.pointer_size) != (here.byteorder, here.pointer_size):
        raise BtfMalformed(
            f"is of a {8 * btf.pointer_size}-bit {btf.byteorder}-endian kernel, "
            f"this one is {8 * here.pointer_size}-bit {here.byteorder}-endian",
            where=btf.name,
            remedy="supply the BTF of exactly this kernel",
        )
    return btf


class _Load:
    """The load stage of one object."""

    def __init__(self, decided: Decided, kernel: KernelTypes, relocated: Relocated, contract: Contract) -> None:
        spec = decided.spec
        self.spec = spec
        self.kernel = kernel
        self.relocated = relocated
        self.chosen = decided.programs
        self.contract = contract
        self.object = LoadedObject(spec, relocated.stage, {})
        self.object.places.kernel = kernel
        self.externs = externs.Resolution(spec, kernel, contract.kconfig)
        self.operations: dict[str, tuple[Map, Union[Operations, Reason]]] = {}  # by function
        self.btf_fd = 0
        self.uploaded: Optional[Btf] = None
        self.notes = decided.notes

    def run(self) -> LoadedObject:
        """Do it all; descriptors are closed again if something of ours breaks."""
        began = time.monotonic()
        try:
            self._upload_btf()
            self._create_maps()
            for spec in sorted(self.chosen, key=_replaces):  # what is replaced is loaded first
                self._program(spec)
            for name, variants in self.contract.variants.items():
                group = Group(name, variants, self.object, self.kernel, self._program)
                group.keep_first()
                self.notes += group.notes
            self._fill_slots()
        except BaseException:
            self.object.close()
            raise
        found = self.object
        found.keep_variables()
        map_records = [m.record for m in found.maps.values()]
        program_records = [p.record for p in found.programs.values()]
        failed = next((r for r in map_records if r["status"] == wire.FAILED), None)
        refused = next((r for r in program_records if r["status"] == wire.FAILED and r["decides"]), None)
        first = failed or refused
        status = wire.FAILED if first else wire.PASSED
        if not first and program_records and all(r["status"] == wire.NOT_REACHED for r in program_records):
            first, status = program_records[0], wire.NOT_REACHED
        found.load = {
            "status": status,
            "code": first["code"] if first else "",
            "message": _of_stage(first) if first else "",
            "seconds": time.monotonic() - began,
            "maps": map_records,
            "programs": program_records,
            "notes": self.notes,
        }
        return found

    def _upload_btf(self) -> None:
        """Hand the object's BTF to the kernel, less the kinds that it does not know; go on where it takes none."""
        spec = self.spec
        if spec.btf is None:
            return
        btf = externs.for_kernel(spec.btf, self.externs.places, len(self.externs.kconfig))
        self.uploaded = btf
        try:
            self._keep_btf(btf.raw)
        except OSError as e:
            if e.errno == errno.EPERM:
                self.notes.append("the kernel denies BTF to this caller: loaded without")
            else:
                self._upload_less(btf)

    def _upload_less(self, btf: Btf) -> None:
        """Hand over the BTF with every kind replaced that probes show this kernel not to know."""
        probes = self.kernel.probes
        features = {f for f in sanitise.needed(btf) if probes.btf(f)}
        missing = sorted(sanitise.needed(btf) - features)
        try:
            self._keep_btf(sanitise.sanitise(btf, features))
            self.notes.append(f"BTF kinds replaced that this kernel does not know: {', '.join(missing) or 'none'}")
        except OSError as e:
            why = _btf_log(sanitise.sanitise(btf, features))
            self.notes.append(f"the kernel refuses the object's BTF ({error_name(e.errno)}: {why}): loaded without")

    def _keep_btf(self, data: bytes) -> None:
        buffer = bytearray(data)
        self.btf_fd = bpf(abi.BTF_LOAD, abi.btf_load(address(buffer), len(buffer)))
        self.object.descriptors.append(self.btf_fd)

    def _create_maps(self) -> None:
        spec, probes, found = self.spec, self.kernel.probes, self.object.maps
        for declared in spec.maps.values():
            found[declared.name] = made = Map(declared.name, declared, spec.btf)
            if self._left_out(made):
                continue
            create.create(made, probes, self.btf_fd)
        stem = spec.name.rpartition("/")[2].partition(".")[0]
        for section in spec.data.values():
            found[section.name] = made = create.data_map(section, spec.btf)
            if self._left_out(made):
                continue
            if section.percpu and not probes.percpu_data():
                create.leave_out(made, "as this kernel has no variables per CPU (v7.3 has)", "map-type-unsupported")
                continue
            title = (
                section.name
                if section.percpu or "." in section.name[1:]
                else stem[: 15 - max(7, len(section.name))] + section.name
            )
            create.create_data(made, probes, self.btf_fd, title, section.data)
        for operations in spec.struct_ops:
            self._create_operations(operations)
        if self.externs.kconfig:
            data = self.externs.kconfig
            kconfig = MapSpec(_KCONFIG, ARRAY, 4, len(data), 1, abi.F_RDONLY_PROG | abi.F_MMAPABLE)
            found[_KCONFIG] = made = Map(_KCONFIG, kconfig, spec.btf)
            create.create_data(made, probes, 0, stem[:7] + _KCONFIG, data)
            self.externs.place_kconfig(made.fd)

    def _left_out(self, made: Map) -> bool:
        """Whether the contract leaves a map out, which its record then says."""
        terms = self.contract.maps.get(made.name)
        if terms is None or terms.create:
            return False
        create.leave_out(made)
        return True

    def _create_operations(self, declared: StructOpsSpec) -> None:
        """Find what an operations struct is in this kernel, and create its map."""
        assert self.spec.btf is not None
        made = Map(declared.name, MapSpec(declared.name, STRUCT_OPS, 4, len(declared.data)), None)
        if declared.autocreate:
            self.object.maps[declared.name] = made
        found = resolve(declared, self.spec.btf, self.kernel)
        if isinstance(found, Reason):
            create.absent(made, found)
        elif declared.autocreate:
            create.create_operations(made, found, self.kernel.probes, self.btf_fd, link=declared.link)
            self.object.places.operations.append(Registration(made, found, self.object.programs, link=declared.link))
        for _, function in declared.programs:
            self.operations.setdefault(function, (made, found))

    def _program(self, spec: ProgramSpec, lacks: Optional[Reason] = None) -> None:
        """Load one program and keep its record; ``lacks``: not at all, for this reason."""
        record = _record(spec)
        fd = -1
        parts = self.relocated.parts.get(spec.name)
        if parts is None and lacks is None:
            stage = self.relocated.stage["programs"]
            why = next(r for r in stage if r["name"] == spec.name)
            _verdict(record, wire.NOT_REACHED, why["code"], why["message"])
        else:
            blocked = lacks or self._blocked(spec, parts or [])
            if blocked is not None:
                _verdict(record, wire.FAILED, blocked.code, blocked.message)
            else:
                fd = self._load(spec, parts or [], record)
        self.object.programs[spec.name] = Program(spec, record, fd, self.object)

    def _blocked(self, spec: ProgramSpec, parts: list[Function]) -> Optional[Reason]:
        """Return why a program need not be tried: an unknown section, a map or extern that is not there."""
        if spec.rule is None:
            return Reason("object-unsupported", f"section {spec.section!r} stands for no program type")
        if spec.function in self.operations and spec.rule.type == "struct_ops":
            record = self.operations[spec.function][0].record
            if record["status"] == wire.FAILED:
                return Reason(record["code"], f"it needs {record['message']}")
        for function in parts:
            for reference in function.references:
                if reference.kind in (MAP, DATA):
                    record = self.object.maps[reference.name].record
                    if record["status"] == wire.FAILED:
                        return Reason(record["code"], f"it needs {record['message']}")
                elif reference.kind in (EXTERN, EXTERN_CALL):
                    found = self.externs.resolved[reference.name]
                    if found.code:
                        return Reason(found.code, found.message)
        return None

    def _load(self, spec: ProgramSpec, parts: list[Function], record: wire.ProgramRecord) -> int:
        if _replaces(spec):
            target, missing = replace.find_target(spec.target, self.object.programs)
        else:
            target, missing = loading.find_target(spec, spec.target, self.kernel)
        found = self.operations.get(spec.function, (None, None))[1]
        if spec.rule is not None and spec.rule.type == "struct_ops" and isinstance(found, Operations):
            target = loading.Target(found.type_id, found.btf_fd, found.indexes.get(spec.function))
        made: dict[str, int] = {}
        if missing is None:
            made, missing = tables.create(self.spec.tables, parts, self.kernel.probes)
        if missing is not None:
            _verdict(record, wire.FAILED, missing.code, missing.message)
            return -1
        self.object.descriptors.extend(made.values())
        fds = {**{name: m.fd for name, m in self.object.maps.items()}, **made}
        relocated = self.relocated.programs[spec.name].code
        linked = link(parts, {f.name: relocated.get(f.name, f.code) for f in parts}, fds, self.externs.resolved)
        record["insns"] = len(linked.code) // 8
        rule = spec.rule
        expected = not (rule and rule.expected_optional) or self.kernel.probes.expected_attach_type()
        attempt = loading.Loading(
            spec,
            linked,
            license_=self.spec.license,
            kernel_version=self.spec.kernel_version or kernel_version(),
            btf_fd=self.btf_fd,
            target=target,
            btf_fds=self.externs.descriptors,
            expected=expected,
        )
        try:
            fd = self._with_contexts(attempt, linked, rule.type if rule else "")
        except loading.Refused as e:
            self._explain(spec, linked, record, e)
            return -1
        record["verified_insns"] = loading.verified_instructions(fd)
        return fd

    def _with_contexts(self, attempt: loading.Loading, linked: Linked, type_: str) -> int:
        """Load a program; where it is refused, once more with the struct's name in the place of context tags."""
        try:
            return attempt.load()
        except loading.Refused:
            btf = self.uploaded
            changed = contexts.named(btf, linked.func_info, type_) if btf is not None and self.btf_fd else None
            if btf is None or changed is None:
                raise
        types, func_info = changed
        known = Btf.parse(types, name=btf.name, pointer_size=btf.pointer_size)
        features = {f for f in sanitise.needed(known) if self.kernel.probes.btf(f)}
        try:
            self._keep_btf(sanitise.sanitise(known, features))
        except OSError:
            return attempt.load()
        return attempt.again(self.btf_fd, func_info).load()

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

    def _fill_slots(self) -> None:
        """Put the static initialisers into maps of maps and program arrays; note what has to stay out."""
        found = self.object
        descriptors = {p.name: p.fd for p in found.programs.values() if p.fd >= 0}
        for made in found.maps.values():
            if made.spec.type == PROG_ARRAY:
                made.programs = descriptors
            for slot, name in made.spec.slots if made.fd >= 0 else ():
                fd = descriptors.get(name, found.maps[name].fd if name in found.maps else -1)
                if fd < 0:
                    self.notes.append(f"map {made.name!r}: slot {slot} stays empty: {name!r} was not loaded")
                    continue
                try:
                    made.update(slot.to_bytes(4, sys.byteorder), fd.to_bytes(4, sys.byteorder))
                except (OSError, UsageError) as e:
                    why = error_name(e.errno) if isinstance(e, OSError) else e.message
                    self.notes.append(f"map {made.name!r}: slot {slot} stays empty: {why}")


def _replaces(spec: ProgramSpec) -> bool:
    return spec.rule is not None and spec.rule.type == "ext"


def _of_stage(record: Union[wire.MapRecord, wire.ProgramRecord]) -> str:
    """Return the stage's message for what decided: a map's names it, a program's does not."""
    return f"{record['name']}: {record['message']}" if "section" in record else record["message"]


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


def _btf_log(data: bytes) -> str:
    """Return the last line of what the kernel says about a BTF that it refuses."""
    buffer, log = bytearray(data), bytearray(1 << 20)
    try:
        os.close(bpf(abi.BTF_LOAD, abi.btf_load(address(buffer), len(buffer), address(log), len(log))))
    except OSError:
        lines = log[: log.find(0)].decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else "it does not say why"
    return "only without a log"


def _verdict(record: wire.ProgramRecord, status: str, code: str, message: str) -> None:
    record["status"], record["code"], record["message"] = status, code, message
