"""`load`: relocate an object against a kernel's types, create its maps, load each program on its own merits.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Optional, Union

from everykernel import wire
from everykernel.btf import Btf
from everykernel.errors import BtfMalformed, ObjectMalformed, ObjectUnsupported, UsageError
from everykernel.load.attach.operations import Registration
from everykernel.load.kernel.operations import Operations, resolve
from everykernel.load.kernel.reason import Reason
from everykernel.load.loaded import LoadedObject
from everykernel.load.maps import create
from everykernel.load.maps.map import ARRAY, PROG_ARRAY, STRUCT_OPS, Map
from everykernel.load.programs import declared as declared_
from everykernel.load.programs import externs, whole
from everykernel.load.programs.attempt import Attempts, replaces
from everykernel.load.programs.decide import decide
from everykernel.load.programs.kept import Kept
from everykernel.load.programs.misreads import Misreads
from everykernel.load.programs.relocating import not_loaded, relocate_for
from everykernel.load.programs.upload import Uploaded
from everykernel.load.programs.variants import Group
from everykernel.load.rules.named import DEFAULT
from everykernel.load.system import abi
from everykernel.load.system.errnos import error_name
from everykernel.object import contract as contract_
from everykernel.object.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.programs.decide import Decided
    from everykernel.load.programs.relocate import Relocated
    from everykernel.load.rules.rules import Rules
    from everykernel.object import ObjectSpec
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
    rules: Rules = DEFAULT,
    until: str = "load",
) -> LoadedObject:
    """Relocate and load an object; what the kernel refuses is in the stages of what is returned, never raised.

    Args:
        spec: the object.
        kernel: the running kernel's types and probes.
        programs: load only these, beside those of the contract's variants; the contract's own list without it.
        btf: relocate against this BTF instead of the kernel's own; ``btf_name`` names it in the record. Where it is
            damaged or of another kind of machine, the programs that have CO-RE records end in ``btf-rejected``.
        contract: the loader contract, in the form of a case.toml's ``[contract]``.
        rules: of the loader whose decisions are taken; the object was read with its ``reading``.
        until: ``relocate`` asks the kernel for nothing: the load stage is skipped.

    Raises ObjectMalformed for damage that is only found on the way, ObjectUnsupported for an object of the wrong byte
    order, UsageError for an unknown name.
    """
    agreed = contract_.parse(contract or {}, "contract")
    if spec.byteorder != kernel.system.byteorder and not rules.foreign_order:
        raise ObjectUnsupported(
            f"is {spec.byteorder}-endian, this machine {kernel.system.byteorder}-endian",
            where=spec.name,
            remedy="compile it with -target bpf on this machine, or with -target bpfel or bpfeb",
        )
    try:
        decided = decide(spec, agreed, programs, system=kernel.system, rules=rules)
        relocated = relocate_for(decided, kernel, agreed.grouped, btf, btf_name, rules)
        if until == "relocate":
            return LoadedObject(spec, relocated.stage, not_loaded(), kernel, rules)
        return _Load(decided, kernel, relocated, agreed, rules).run()
    except BtfMalformed as e:
        if spec.btf is not None and e.where.startswith(spec.btf.name):
            raise ObjectMalformed(e.message, where=e.where) from e
        raise


class _Load:
    """The load stage of one object."""

    def __init__(
        self, decided: Decided, kernel: KernelTypes, relocated: Relocated, contract: Contract, rules: Rules
    ) -> None:
        spec = decided.spec
        self.rules = rules
        self.spec = spec
        self.kernel = kernel
        self.relocated = relocated
        self.chosen = decided.programs
        self.contract = contract
        self.object = LoadedObject(spec, relocated.stage, {}, kernel, rules)
        self.externs = externs.Resolution(spec, kernel, rules.externs, contract.kconfig)
        self.operations: dict[str, tuple[Map, Union[Operations, Reason]]] = {}  # by function
        self.structs: list[tuple[StructOpsSpec, Union[Operations, Reason]]] = []
        self.unfilled: dict[tuple[str, int], str] = {}
        self.notes = decided.notes
        self.types = Uploaded(kernel, self.object.descriptors, self.notes)

    def run(self) -> LoadedObject:
        """Do it all; descriptors are closed again if something of ours breaks."""
        began = time.monotonic()
        try:
            if self.spec.btf is not None:
                self.types.upload(declared_.for_kernel(self.spec.btf, self.externs.places, len(self.externs.kconfig)))
            self._create_maps()
            attempts = Attempts(
                self.spec,
                self.kernel,
                self.relocated,
                self.object,
                self.externs,
                self.types,
                self.operations,
                self.rules,
            )
            bar = whole.bar(self._tried(attempts)) if self.rules.first else None
            lacks = Reason(bar.code, bar.message, bar.errno) if bar else None
            for spec in sorted(self.chosen, key=replaces):  # what is replaced is loaded first
                attempts.load(spec, lacks)
            for name, variants in self.contract.variants.items():
                group = Group(name, variants, self.object, self.kernel, attempts.load)
                group.keep_first()
                self.notes += group.notes
            self._fill_slots()
            whole_ = whole.judge(self._tried(attempts))
        except BaseException:
            self.object.close()
            raise
        found = self.object
        found.keep_variables()
        self._find_misreads()
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
            "whole": whole_,
            "notes": self.notes,
        }
        return found

    def _find_misreads(self) -> None:
        """Find what the programs that were loaded read, and take for something else."""
        if self.spec.btf is None:
            return
        found, looking = self.object, Misreads(self.spec, self.relocated, self.externs, self.kernel.system)
        found.past_the_end = looking.past_the_end
        loaded = [p.spec for p in found.programs.values() if p.fd >= 0 and p.name in self.relocated.parts]
        found.misreads = [misread for spec in loaded for misread in looking.of(spec)]

    def _tried(self, attempts: Attempts) -> whole.Tried:
        """Return what was found out about each part of the object, for a verdict on all of it.

        To what the object wants to be loaded comes what the contract does: by name, and of each group the kept variant.
        """
        contract = self.contract
        asked = [p for p in self.chosen if p.name in (contract.programs or ()) and p.name not in contract.may_fail]
        kept = [p.spec for p in self.object.programs.values() if p.fd >= 0 and p.name in contract.grouped]
        known = {p.name: p for p in [*whole.autoloaded(self.spec, self.chosen), *asked, *kept]}
        return whole.Tried(
            self.spec,
            [known[p.name] for p in self.spec.programs if p.name in known],
            attempts,
            self.structs,
            self.types,
            supplied=self.relocated.stage["btf"].startswith("supplied:"),
            unfilled=self.unfilled,
            rules=self.rules,
        )

    def _create_maps(self) -> None:
        spec, probes, found = self.spec, self.kernel.probes, self.object.maps
        system, kept = self.kernel.system, Kept(spec.btf, self.rules, probes)
        for declared in spec.maps.values():
            found[declared.name] = made = Map(declared.name, declared, spec.btf, system)
            if self._left_out(made) or self._untold(made, kept):
                continue
            create.create(made, probes, self.types.fd, self.rules)
        stem = spec.name.rpartition("/")[2].partition(".")[0]
        for section in spec.data.values():
            found[section.name] = made = create.data_map(section, spec.btf, system)
            if self._left_out(made) or self._untold(made, kept):
                continue
            if create.without_variables(made, probes):
                continue
            whole = section.percpu or "." in section.name[1:]  # of the names that it has in the kernel
            title = section.name if whole else stem[: 15 - max(7, len(section.name))] + section.name
            create.create_data(made, probes, self.types.fd, title, section.data, self.rules)
        for operations in spec.struct_ops:
            self._create_operations(operations)
        if self.externs.kconfig:
            data = self.externs.kconfig
            kconfig = MapSpec(_KCONFIG, ARRAY, 4, len(data), 1, abi.F_RDONLY_PROG | abi.F_MMAPABLE)
            found[_KCONFIG] = made = Map(_KCONFIG, kconfig, spec.btf, system)
            if not create.without_variables(made, probes):
                create.create_data(made, probes, 0, stem[:7] + _KCONFIG, data, self.rules)
            self.externs.place_kconfig(made.fd, made.record["code"], made.record["message"])

    def _untold(self, made: Map, kept: Kept) -> bool:
        """Whether the kernel does not take the map's types from this loader, which its record then says."""
        reason = kept.refused((made.spec.key_type, made.spec.value_type))
        if reason is not None:
            create.absent(made, reason)
            made.record["errno"] = reason.errno
        return reason is not None

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
        made = Map(declared.name, MapSpec(declared.name, STRUCT_OPS, 4, len(declared.data)), None, self.kernel.system)
        if declared.autocreate:
            self.object.maps[declared.name] = made
        found = resolve(declared, self.spec.btf, self.kernel)
        self.structs.append((declared, found))
        if isinstance(found, Reason):
            create.absent(made, found)
        elif declared.autocreate:
            create.create_operations(made, found, self.kernel.probes, self.types.fd, link=declared.link)
            self.object.places.operations.append(Registration(made, found, self.object.programs, link=declared.link))
        for _, function in declared.programs:
            self.operations.setdefault(function, (made, found))

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
                    made.update(self.kernel.system.pack("I", slot), self.kernel.system.pack("I", fd))
                except (OSError, UsageError) as e:
                    why = error_name(e.errno) if isinstance(e, OSError) else e.message
                    self.unfilled[made.name, slot] = why if isinstance(e, OSError) else "EINVAL"
                    self.notes.append(f"map {made.name!r}: slot {slot} stays empty: {why}")


def _of_stage(record: Union[wire.MapRecord, wire.ProgramRecord]) -> str:
    """Return the stage's message for what decided: a map's names it, a program's does not."""
    return f"{record['name']}: {record['message']}" if "section" in record else record["message"]
