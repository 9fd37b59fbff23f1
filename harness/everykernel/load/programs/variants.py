"""Groups of variants of a loader contract: the first variant that the kernel takes is kept, as a tool would.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel import wire
from everykernel.dataclass import replace
from everykernel.load.programs import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from everykernel.load.kernel.reason import Reason
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.loaded import LoadedObject
    from everykernel.object import ProgramSpec
    from everykernel.object.contract import Variant


class Group:
    """One group on its way into the kernel.

    Args:
        name: its name in the contract.
        variants: in the order in which they are tried.
        loaded: the object; the outcome is in its programs' records.
        kernel: asked what variants need.
        load: loads one program into ``loaded``, or, given a reason, writes down why it was not tried.
    """

    def __init__(
        self,
        name: str,
        variants: Sequence[Variant],
        loaded: LoadedObject,
        kernel: KernelTypes,
        load: Callable[[ProgramSpec, Optional[Reason]], None],
    ) -> None:
        self.name = name
        self.notes: list[str] = []
        self._variants = variants
        self._loaded = loaded
        self._kernel = kernel
        self._load = load

    def keep_first(self) -> None:
        """Keep the first variant that loads; without one, the refusals of the last that was tried decide the stage.

        Where none could be tried, for what the kernel lacks, the first variant's programs say so.
        """
        first: Optional[Reason] = None
        tried: list[wire.ProgramRecord] = []
        for number, variant in enumerate(self._variants, 1):
            specs = self._specs(variant)
            lacks = needs.lacking(variant, specs[0] if specs else None, self._kernel)
            if lacks is not None:
                first = first or lacks
                self.notes.append(f"variants {self.name!r}: not {variant.title}: {lacks.message}")
                continue
            tried = self._try(specs, f"{self.name}: {variant.title}")
            refused = next((r for r in tried if r["status"] in (wire.FAILED, wire.NOT_REACHED)), None)
            if refused is None:
                self.notes.append(
                    f"variants {self.name!r}: {variant.title} ({number} of {len(self._variants)}) is kept"
                )
                return
            self.notes.append(f"variants {self.name!r}: not {variant.title}: {refused['name']}: {refused['message']}")
        if not tried:
            specs = self._specs(self._variants[0])
            tried = self._try(specs, f"{self.name}: {self._variants[0].title}", first)
        for record in tried:
            if record["status"] in (wire.FAILED, wire.NOT_REACHED):
                record["status"], record["decides"] = wire.FAILED, True

    def _specs(self, variant: Variant) -> list[ProgramSpec]:
        """Return a variant's programs in its order, with the targets that it gives them."""
        assert self._loaded.spec is not None
        found = {p.name: p for p in self._loaded.spec.programs}
        return [replace(found[n], target=variant.targets.get(n, found[n].target)) for n in variant.programs]

    def _try(
        self, specs: Sequence[ProgramSpec], title: str, lacks: Optional[Reason] = None
    ) -> list[wire.ProgramRecord]:
        """Load the programs of one variant, all or none, and return their records."""
        programs = self._loaded.programs
        for spec in specs:
            self._load(spec, lacks)
            programs[spec.name].record["variant"] = title
        records = [programs[spec.name].record for spec in specs]
        whole = all(r["status"] == wire.PASSED for r in records)
        for spec in specs:
            found = programs[spec.name]
            found.record["decides"] = whole
            if not whole and found.record["status"] == wire.PASSED:
                found.close()
                found.record["status"] = wire.SKIPPED
                found.record["message"] = "unloaded again: another program of its variant was refused"
        return records
