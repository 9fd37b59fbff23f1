"""What objects would misread on kernels that are looked at and not booted: what is known of them, for `core.reads`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from everykernel import core
from everykernel.btf import SizeUnknown
from everykernel.cli.sources import Source
from everykernel.core import reads
from everykernel.core.reads import formats
from everykernel.load.kernel.kconfig import Unfit, setting_bytes
from everykernel.load.programs.link import reached
from everykernel.object import ObjectSpec
from everykernel.object.spec import ProgramSpec

if TYPE_CHECKING:
    from everykernel import wire
    from everykernel.kernels.model import Kernel

_VERSION = "LINUX_KERNEL_VERSION"


class Looking:
    """Looks at one object on one kernel.

    Attributes:
        misreads: what was found so far, each once.
        unknown: the tracepoints whose layout is not known, because no guest has told it yet.
        counts: of programs, of accesses looked at, and of those not judged.
    """

    def __init__(self, spec: ObjectSpec, source: Source) -> None:
        self._spec = spec
        self._source = source
        self._kept = _layouts(source.kernel) if source.kernel is not None else None
        functions = (e.name for e in spec.externs.values() if e.function)
        symbols = {name: True for name in functions if source.btf.find(name, "func") is not None}
        self._finder = reads.Finder(
            spec, settings=_settings(spec, source), symbols=symbols, events=self._event, count=True
        )
        self.misreads: list[wire.Misread] = []
        self.unknown: dict[str, None] = {}
        self.counts: Counter[str] = Counter()

    def add(self, program: ProgramSpec, relocated: core.RelocatedProgram) -> None:
        """Look at one program, unless libbpf would refuse it."""
        if relocated.failed is not None:
            return
        parts = reached(self._spec.functions[program.function], self._spec.functions)
        found = self._finder.find(program, parts, relocated)
        self.counts.update({"programs": 1, "looked at": found.looked_at, "not judged": len(found.unjudged)})
        self.misreads += [m for m in found.describe(program, parts) if m not in self.misreads]
        if not found.event and self._kept is None:
            self.unknown[program.target] = None

    def dead(self, program: ProgramSpec, relocated: core.RelocatedProgram) -> set[tuple[str, int]]:
        """Return the instructions with a record (function, index) that no path of a program leads to here."""
        parts = reached(self._spec.functions[program.function], self._spec.functions)
        return (
            self._finder.dead(parts, relocated)
            if any(a.fixup.outcome != core.PATCHED for a in relocated.applied)
            else set()
        )

    def _event(self, target: str) -> formats.Format | None:
        if self._kept is not None:
            return self._kept.get(target)
        return formats.from_btf(self._source.btf, target.rpartition("/")[2])


def _layouts(kernel: Kernel) -> Mapping[str, formats.Format] | None:
    """Return the layouts of a kernel's tracepoints; None where no guest has told them yet."""
    from everykernel.kernels import tracepoints  # with the cache, which a BTF in a file needs not

    return tracepoints.read(kernel)


def _settings(spec: ObjectSpec, source: Source) -> dict[str, bytes]:
    """Return the bytes of the externs of the kernel's configuration and version, as far as its package tells them."""
    kernel, found = source.kernel, {}
    if kernel is None or spec.btf is None:
        return {}
    lines = kernel.config.read_text(errors="replace").splitlines() if kernel.config is not None else []
    config = dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_") and "=" in line)
    from everykernel.matrix.ranges import numbers

    major, minor, patch, *_ = (*numbers(kernel.release, f"Debian {kernel.version}"), 0, 0)
    config[_VERSION] = str((major << 16) + (minor << 8) + min(patch, 255))
    for extern in spec.externs.values():
        text = config.get(extern.name)
        known = text is not None or (kernel.config is not None and extern.weak and extern.name.startswith("CONFIG_"))
        if extern.section == ".kconfig" and known:
            type_id = spec.btf.type(extern.type_id).type  # type: ignore[union-attr]
            try:
                found[extern.name] = setting_bytes(spec.btf, type_id, spec.btf.size_of(type_id), text)
            except (Unfit, SizeUnknown):
                continue
    return found
