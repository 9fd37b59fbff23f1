"""What a variant of a loader contract asks of a kernel, found out by probes, never from its version.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.load.kernel import questions, tracefs
from everykernel.load.kernel.helpers import HELPERS
from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.releases import since
from everykernel.load.kernel.types import find_type
from everykernel.object import strict
from everykernel.object.contract import Variant
from everykernel.object.maps import MAP_TYPE
from everykernel.object.sections import PROGRAM_TYPE

if TYPE_CHECKING:
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.object import ProgramSpec

_TRACED = ("tracing", "lsm", "ext", "struct_ops")  # need a target to be tried: a kprobe program stands for them


def lacking(variant: Variant, program: Optional[ProgramSpec], kernel: KernelTypes) -> Optional[Reason]:
    """Return what a kernel lacks of a variant's needs, None if it has all.

    ``program`` is the variant's first: whether a helper is there depends on the type of program that calls it. Raises
    UsageError for a name that no kernel can have.
    """
    for key, name in variant.needs.items():
        reason = _lacks(key, name, program, kernel)
        if reason is not None:
            return reason
    return None


def _lacks(key: str, name: str, program: Optional[ProgramSpec], kernel: KernelTypes) -> Optional[Reason]:
    if key == "helper":
        short = name[4:] if name.startswith("bpf_") else name
        strict.known(short, HELPERS, "needs", "helper")
        type_ = program.rule.type if program is not None and program.rule is not None else "kprobe"
        number = PROGRAM_TYPE["kprobe" if type_ in _TRACED else type_]
        helper = HELPERS.index(short)
        there = kernel.probes.helper(number, helper)
        text = f"this kernel has no helper bpf_{short}{since('helper', helper)}"
        return None if there else Reason("helper-unsupported", text)
    if key == "function":
        there = questions.kprobe_exists(kernel.system, name)
        return None if there else Reason("attach-target-missing", f"this kernel has no function {name} to probe")
    if key == "tracepoint":
        there = kernel.system.exists(f"{tracefs.root(kernel.system)}/events/{name.replace(':', '/')}/id")
        return None if there else Reason("attach-target-missing", f"this kernel has no tracepoint {name}")
    if key == "map_type":
        strict.known(name, MAP_TYPE, "needs", "map type")
        number = MAP_TYPE[name]
        text = f"this kernel does not know map type {name}{since('map', number)}"
        return None if kernel.probes.map_type(number) else Reason("map-type-unsupported", text)
    if key == "program_type":
        strict.known(name, PROGRAM_TYPE, "needs", "program type")
        number = PROGRAM_TYPE[name]
        text = f"this kernel does not know program type {name}{since('program', number)}"
        return None if kernel.probes.program_type(number) else Reason("program-type-unsupported", text)
    return _lacks_type(name, kernel)


def _lacks_type(text: str, kernel: KernelTypes) -> Optional[Reason]:
    """``text`` is a type of the kernel's BTF with its kind first: ``func vfs_read``, ``struct bpf_ringbuf``."""
    kind, _, name = text.partition(" ")
    strict.known(kind, [k for k in kinds.KIND_NUMBERS if k != "void"], "needs: btf", "kind of type")
    if kernel.vmlinux is None:
        return Reason("btf-missing", f"this kernel has no BTF to look for {text}")
    if find_type(kernel, name.strip(), kind) is None:
        return Reason("attach-target-missing", f"this kernel's BTF has no {text}")
    return None
