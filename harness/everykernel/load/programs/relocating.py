"""Against which types an object is relocated: the kernel's own, or those of a BTF that was supplied.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Union

from everykernel import wire
from everykernel.btf import Btf
from everykernel.core import Target
from everykernel.errors import BtfMalformed
from everykernel.load.kernel.supplied import supplied
from everykernel.load.programs.relocate import Relocated, relocate

if TYPE_CHECKING:
    from collections.abc import Collection

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.programs.decide import Decided
    from everykernel.load.rules.rules import Rules


def relocate_for(
    decided: Decided,
    kernel: KernelTypes,
    grouped: Collection[str],
    btf: Optional[Union[Btf, bytes]],
    btf_name: str,
    rules: Rules,
) -> Relocated:
    """Relocate the programs that are wanted, and the variants of a contract (``grouped``); see `load` for the rest."""
    spec = decided.spec
    target, used, rejected = kernel.target, "none" if kernel.vmlinux is None else "kernel", ""
    if btf is not None:
        name = btf_name or (btf.name if isinstance(btf, Btf) else "supplied")
        try:
            target, used = Target(supplied(btf, name, kernel.system.architecture)), f"supplied:{name}"
        except BtfMalformed as e:
            target, used, rejected = Target(None), f"supplied:{name}", str(e)
    tried = [*decided.programs, *(p for p in spec.programs if p.name in grouped)]
    relocated = relocate(spec, tried, target, used, rejected, rules.manner)
    if btf is not None and any(r["kind"] == "target_type_id" for r in relocated.stage["relocations"]):
        relocated.stage["notes"].append("target type ids are the supplied BTF's: the kernel knows no type by them")
    return relocated


def not_loaded() -> wire.Stage:
    """Return the load stage of an object that was not to be loaded."""
    return {
        "status": wire.SKIPPED,
        "code": "",
        "message": "not asked for",
        "seconds": 0.0,
        "maps": [],
        "programs": [],
        "notes": [],
    }
