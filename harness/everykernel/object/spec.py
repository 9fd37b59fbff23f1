"""What an object says, as plain values: programs, functions, maps, data, externs. Nothing here knows ELF or a kernel.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Optional

from everykernel.dataclass import dataclass, field
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.btf import Btf
    from everykernel.btf.ext import CoreRecord, FuncInfo, LineInfo
    from everykernel.object.sections import SectionRule

INSN = 8  # bytes of one instruction slot

# Kinds of `Reference`: what an instruction refers to.
MAP, DATA, CALL, FUNCTION, EXTERN, EXTERN_CALL = "map", "data", "call", "function", "extern", "extern-call"
TABLE = "table"


class Reference(NamedTuple):
    """What one instruction refers to, resolved from an ELF relocation (or from a call inside a section).

    ``insn`` is the instruction's index in its function. By ``kind``: ``map`` and ``data`` name a map or data section
    (``offset`` is the symbol's in it, for data: the instruction's immediate is added to it); ``call`` and ``function``
    (its address) name a function; ``extern`` and ``extern-call`` name an extern; ``table`` names a jump table.
    """

    insn: int
    kind: str
    name: str
    offset: int = 0


@dataclass(frozen=True)
class Function:
    """One function of an executable section, a program's own or a subprogram.

    Attributes:
        name: its symbol.
        section: the ELF section that holds it.
        start: its byte offset there.
        code: its instructions as compiled.
        references: in order of the instruction.
        core: CO-RE records with their number in the section's table; ``insn_off`` counts from the section's start.
        func_info: its own record of .BTF.ext, None without one.
        line_info: its records of .BTF.ext; ``insn_off`` counts from the section's start.
        exception: the function that catches its exceptions, "" without one.
    """

    name: str
    section: str
    start: int
    code: bytes = field(repr=False)
    references: tuple[Reference, ...] = field(repr=False)
    core: tuple[tuple[int, CoreRecord], ...] = field(repr=False)
    func_info: Optional[FuncInfo]
    line_info: tuple[LineInfo, ...] = field(repr=False)
    exception: str = ""


@dataclass(frozen=True)
class ProgramSpec:
    """One program: the entry function and what its section's name says.

    Attributes:
        name: the function's name.
        section: the section's name without a leading ``?``.
        rule: the row of the section table that the name matches; None for a name that libbpf does not know either.
        target: the part of the name after the rule's own (``do_unlinkat``, ``sched/sched_switch``), "" without one.
        autoload: False for a ``?`` section.
        function: name of the entry function.
        attach: where it attaches instead: the row of the section table that says how, and the target.
    """

    name: str
    section: str
    rule: Optional[SectionRule]
    target: str
    autoload: bool
    function: str
    attach: tuple[tuple[SectionRule, str], ...] = ()


@dataclass(frozen=True)
class MapSpec:
    """One map as declared.

    Attributes:
        name: the variable's name.
        type: the kernel's enum bpf_map_type.
        key_size, value_size, max_entries, flags, numa_node, extra: as declared; 0 where nothing is.
        key_type, value_type: BTF type ids, 0 without one.
        pinning: 1: pinned by name (libbpf's LIBBPF_PIN_BY_NAME).
        pin: the path that it is pinned at, "" for the one of its name where ``pinning`` says so.
        reuse: the path of a pinned map that stands for it, ``fd:N`` for one that is held, "" without one.
        inner: what a map of maps holds.
        slots: static initialisers: slot → name of a map or function.
        legacy: from a ``maps`` section, which libbpf 1.x refuses.
        tail: what follows the five words of a legacy definition.
        content: what an arena holds at its start: the object's variables there.
    """

    name: str
    type: int
    key_size: int = 0
    value_size: int = 0
    max_entries: int = 0
    flags: int = 0
    numa_node: int = 0
    extra: int = 0
    key_type: int = 0
    value_type: int = 0
    pinning: int = 0
    inner: Optional[MapSpec] = None
    slots: tuple[tuple[int, str], ...] = ()
    legacy: bool = False
    tail: bytes = field(default=b"", repr=False, compare=False)
    content: bytes = field(default=b"", repr=False)
    pin: str = ""
    reuse: str = ""


@dataclass(frozen=True)
class DataSection:
    """One section of global variables, which becomes an array map of one entry, per CPU for ``.percpu``.

    Attributes:
        name: the section's name, which is the map's too: ``.rodata``, ``.bss``, ``.data.counters`` …
        size: its bytes.
        data: its initial bytes; empty where all are zero (.bss).
        read_only: whether programs and users may only read it.
        type_id: the datasec in the object's BTF, 0 without one.
        shared: whether it has a variable that is not static: libbpf makes such a map mmapable.
        percpu: whether each CPU has a copy of its own.
    """

    name: str
    size: int
    data: bytes = field(repr=False)
    read_only: bool
    type_id: int
    shared: bool
    percpu: bool = False


@dataclass(frozen=True)
class StructOpsSpec:
    """One operations struct, a variable of a ``.struct_ops`` section, which becomes a map of its own.

    Attributes:
        name: the variable's name, which is the map's too.
        type_id: its struct in the object's BTF.
        data: its bytes.
        programs: (member, function) of the function pointers that are set.
        link: whether it is made to be attached by a link (``.struct_ops.link``).
        autocreate: False for the first one of a ``?`` section, as libbpf has it.
    """

    name: str
    type_id: int
    data: bytes = field(repr=False)
    programs: tuple[tuple[str, str], ...]
    link: bool
    autocreate: bool


@dataclass(frozen=True)
class Extern:
    """A variable or function that the loader has to find: ``section`` is ``.kconfig`` or ``.ksyms``.

    It is "" where nothing says where to look. ``type_id`` is its var or func in the object's BTF.
    """

    name: str
    section: str
    type_id: int
    weak: bool
    function: bool


@dataclass(frozen=True)
class ObjectSpec:
    """Everything that an object says.

    Attributes:
        name: the object's name, for messages.
        byteorder: ``little`` or ``big``.
        license: "" without one.
        kernel_version: of a ``version`` section, 0 without one.
        btf: the object's BTF, datasecs completed from the ELF symbols; None without one.
        programs: in the order of sections and of functions in them.
        functions: every function by name, entry functions included; a local one whose name is taken is
            ``section/name+offset``.
        maps: by name, in the order of their declaration.
        data: the data sections by name.
        tables: the jump tables of ``.jumptables`` that code refers to, by place: byte offsets in the section of the
            function that jumps.
        externs: by name.
        struct_ops: the operations structs, in the order of their declaration.
        core_sections: the sections that have CO-RE records, in the order of .BTF.ext.
        shared_section: name of the section whose functions belong to every program, ``.text`` ("" without one).
        notes: what a reader may want to know: parts that libbpf would refuse.
    """

    name: str
    byteorder: str
    license: str = ""
    kernel_version: int = 0
    btf: Optional[Btf] = field(default=None, repr=False)
    programs: tuple[ProgramSpec, ...] = ()
    functions: Mapping[str, Function] = field(default_factory=dict, repr=False)
    maps: Mapping[str, MapSpec] = field(default_factory=dict)
    data: Mapping[str, DataSection] = field(default_factory=dict)
    tables: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    externs: Mapping[str, Extern] = field(default_factory=dict)
    struct_ops: tuple[StructOpsSpec, ...] = ()
    core_sections: tuple[str, ...] = ()
    shared_section: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def by_section(self) -> Mapping[str, list[Function]]:
        """The functions by the section that holds them."""
        found: dict[str, list[Function]] = {}
        for function in self.functions.values():
            found.setdefault(function.section, []).append(function)
        return found
