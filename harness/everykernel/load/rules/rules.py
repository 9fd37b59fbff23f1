"""`Rules`: everything in which one loader decides otherwise than another.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from everykernel.core.manner import Manner
from everykernel.dataclass import dataclass, field
from everykernel.namedtuple import NamedTuple
from everykernel.object.maps import MAP_TYPE
from everykernel.object.reading import Reading

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.object.spec import Extern, MapSpec


# Types whose keys and values the kernel does not describe by BTF: libbpf leaves the types out (bpf_object__create_map).
UNTYPED = frozenset(
    MAP_TYPE[n]
    for n in (
        "perf_event_array", "cgroup_array", "stack_trace", "array_of_maps", "hash_of_maps", "devmap", "devmap_hash",
        "cpumap", "xskmap", "sockmap", "sockhash", "queue", "stack", "arena", "ringbuf", "user_ringbuf", "prog_array",
    )
)  # fmt: skip


class Machine(NamedTuple):
    """What the sizes of maps may depend on."""

    cpus: int  # possible
    page_size: int  # bytes


class MapRefused(Exception):
    """The loader does not even ask the kernel for this map; the text says why."""


class Asked(NamedTuple):
    """A map as the kernel is asked for it, and what the loader made of the declaration, "" if it is as declared."""

    spec: MapSpec
    note: str = ""


@dataclass(frozen=True)
class ExternRules:
    """What externs come to.

    Attributes:
        settings: the settings that are no ``CONFIG_`` ones and known.
        unfit: returns why a setting's type cannot hold it, "" if it can, given the object's BTF and the extern; what
            is beyond this, every loader asks of the value.
        together: whether a setting that is missing, weak or not, fails every program that reads any.
        flavours: whether ``___x`` at the end of a kernel function's name is left out when it is looked for.
        mismatch_missing: whether a weak kernel function of another prototype counts as missing; an error if not.
        variable_mismatch_missing: whether a weak kernel variable of another type counts as missing; an error if not.
        kfunc_poison: what is called in place of a weak kernel function that is missing; 0: what tells by its number
            which one that was.
        modules: whether kernel functions, variables and targets are looked for in modules.
    """

    settings: frozenset[str] = frozenset({"LINUX_KERNEL_VERSION", "LINUX_HAS_SYSCALL_WRAPPER", "LINUX_HAS_BPF_COOKIE"})
    unfit: Callable[[Btf, Extern], str] = lambda btf, extern: ""
    together: bool = False
    flavours: bool = True
    mismatch_missing: bool = True
    variable_mismatch_missing: bool = False
    kfunc_poison: int = 0
    modules: bool = True


@dataclass(frozen=True)
class Rules:
    """The rules of one loader.

    Attributes:
        name: as users ask for it: ``libbpf``.
        reading: what is decided when an object is opened.
        manner: what CO-RE records come to.
        ask: returns a declared map as the kernel is asked for it; raises MapRefused where it is not asked.
        externs: what externs come to.
        functions: returns the names by which a kprobe's function is looked for, in order, given the name that the
            section has and the prefix of the architecture's system calls (``__x64_``).
        foreign_order: whether an object of the other byte order opens, and only its programs are refused.
        no_targets: the attach types that are loaded without what they attach to, though the section table says that
            it is a type of the kernel's BTF.
        asks_anyway: whether the kernel is asked about a program whose section names no target, or that is part of no
            operations struct.
        qualified: whether a target may say which module it is in (``MODULE:FUNCTION``).
        one_target: whether a target of which the kernel has several is refused.
        first: the steps of those in ``whole`` that are taken before any program is tried: what they refuse, no program
            survives.
        settable: the sizes of a map that a tool can set before it is created.
        untyped: the types of maps whose keys and values are not described by BTF.
        types_optional: whether a map is created without BTF where the kernel refuses it with.
        contexts: whether a program that is refused is tried with the context's type in the place of its tag.
        maps_known: the types of maps that an object may have, None: any.
        whole: the steps in which the object as a whole is judged, in order (`load.programs.whole`).
        extensions: whether programs that replace a function of another belong to the object as a whole; a tool loads
            them by hand if not.
        remembers: whether the programs of an object share one memory of candidates.
        answers: whether the loader has an errno for what it refuses by itself.
        skips_unknown: whether programs of unknown sections are left out of the object as a whole.
        kept_kinds: features of BTF (`btf.sanitise`) that are handed over though the kernel does not know them: what
            uses them is refused.
        structs_first: whether the programs of an operations struct need the map that it becomes.
        maps_arenas: whether an arena is mapped into memory when it is created, before programs use it.
        keeps_symbols: whether a function whose first instruction is poisoned is still found by those that call it.
    """

    name: str
    reading: Reading = field(default_factory=Reading)
    manner: Manner = field(default_factory=Manner)
    ask: Callable[[MapSpec, Machine], Asked] = lambda spec, machine: Asked(spec)
    externs: ExternRules = field(default_factory=ExternRules)
    functions: Callable[[str, str], tuple[str, ...]] = lambda name, prefix: (name,)
    foreign_order: bool = False
    no_targets: frozenset[str] = frozenset()
    asks_anyway: bool = False
    qualified: bool = True
    one_target: bool = False
    first: tuple[str, ...] = ()
    settable: frozenset[str] = frozenset({"max_entries", "key_size", "value_size"})
    untyped: frozenset[int] = UNTYPED
    types_optional: bool = True
    contexts: bool = True
    maps_known: Optional[frozenset[int]] = None
    whole: tuple[str, ...] = ()
    extensions: bool = True
    remembers: bool = True
    answers: bool = True
    skips_unknown: bool = False
    kept_kinds: frozenset[str] = frozenset()
    structs_first: bool = True
    maps_arenas: bool = True
    keeps_symbols: bool = True
