"""How a loader opens an object: what its sections stand for, what it takes, and what it refuses before any kernel.

Reading is pure: a `Reading` is data and functions of what the object says. The defaults are libbpf's.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from everykernel.dataclass import dataclass
from everykernel.object import datasecs, maps, sections
from everykernel.object.sections import SectionRule

if TYPE_CHECKING:
    from everykernel.btf import Btf, kinds
    from everykernel.object.elf import Elf
    from everykernel.object.spec import MapSpec, ObjectSpec

    Check = Callable[[Elf, Optional[Btf], ObjectSpec], None]

Match = Callable[[str], tuple[Optional[SectionRule], str]]


@dataclass(frozen=True)
class Reading:
    """What is decided when an object is opened.

    Attributes:
        match: returns the rule for a section's name (without ``?``) and its target; no rule for one that is unknown.
        static_functions: whether functions of programs' sections may be static; the object is refused if not.
        static_maps: whether maps of .maps may be static.
        definition: returns what the struct of a map of .maps says, given the BTF, the map's name, the struct and where
            it is; raises ObjectMalformed or ObjectUnsupported.
        variables: whether a section of this name and size holds global variables, which become a map.
        exceptions: whether the functions that catch exceptions are linked to the programs that name them.
        any_section: whether functions of every section are linked to what calls them, not those of .text only.
        undefined: whether an object opens that refers to what nothing defines.
        aliases: whether each of several names of one function is a program; the last of the symbol table is, if not.
        structs: the sections whose variables are operations structs.
        optional: whether ``?`` before a section's name says that its programs need not load.
        no_license: what an object without a license has.
        checks: raise ObjectUnsupported or ObjectMalformed for what the loader refuses when it opens the object.
    """

    match: Match = sections.match
    static_functions: bool = False
    static_maps: bool = False
    definition: Callable[[Btf, str, kinds.Struct, str], MapSpec] = maps.definition
    variables: Callable[[str, int], bool] = datasecs.holds_variables
    exceptions: bool = True
    any_section: bool = False
    undefined: bool = False
    aliases: bool = True
    structs: frozenset[str] = frozenset({".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"})
    optional: bool = True
    no_license: str = ""
    checks: tuple[Check, ...] = ()


LIBBPF = Reading()
