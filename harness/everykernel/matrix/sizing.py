"""How much memory a cell's guest is given: what was asked for, else what its maps take; more where it runs out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.errors import EverykernelError
from everykernel.kernels import headers
from everykernel.machine.spec import MachineSpec
from everykernel.matrix import footprint
from everykernel.matrix.case import Case
from everykernel.matrix.plan import Column
from everykernel.matrix.records import PASSED, CellReport

_MEMINFO = Path("/proc/meminfo")


@dataclass
class Granted:
    """What a cell is run with.

    Attributes:
        case: the cell's.
        machine: the machine that its guest is given, this time.
        need: the bytes that its maps take, as far as the object tells.
        fixed: whether its machine runs already, and is as large as it is.
        notes: why the guest is as large as it is.
    """

    case: Case
    machine: MachineSpec
    need: int = 0
    fixed: bool = False
    notes: list[str] = field(default_factory=list)

    def grow(self, memory: int, report: CellReport) -> None:
        """Give it more than the guest of ``report`` had."""
        self.notes.append(f"{self.machine.memory} MiB were too few ({report['starved']}): run again with {memory}")
        self.machine = replace(self.machine, memory=memory)


def largest(need: int) -> int:
    """Return MiB of a guest with room for ``need`` bytes, as large as this host has one at most."""
    return footprint.fitting(need, min(footprint.available(_MEMINFO.read_text(encoding="ascii")), footprint.CEILING))


class Sizing:
    """Decides how large guests are. A memory that a user or a case asks for is an order, and never changed.

    Args:
        ceiling: MiB that a guest gets at most; None: `footprint.CEILING`, less where this host has less.
    """

    def __init__(self, ceiling: int | None = None) -> None:
        here = footprint.available(_MEMINFO.read_text(encoding="ascii"))
        self.ceiling = ceiling if ceiling is not None else min(here, footprint.CEILING)
        self._why = "memory-ceiling" if ceiling is not None or here >= footprint.CEILING else "this host has no more"
        self._needs: dict[tuple[str, str, str, str], int] = {}
        self._lock = threading.Lock()

    def grant(self, case: Case, column: Column) -> Granted:
        """Return what a case is run with at first on a kernel."""
        granted = Granted(case, case.machine, fixed=column.is_target)
        if granted.fixed or case.sized or column.resolved is None:
            return granted
        granted.need = self._need(case, column)
        library = footprint.LIBRARY if case.adapter is not None else 0
        memory = footprint.fitting(granted.need + library, self.ceiling)
        if memory != footprint.fitting(library, self.ceiling):
            what = "maps" if case.command is None else "files"
            granted.notes.append(f"its {what} take {granted.need >> 20} MiB: a guest of {memory} MiB")
        granted.machine = replace(case.machine, memory=memory)
        return granted

    def larger(self, granted: Granted, report: CellReport) -> int | None:
        """Return how much memory the cell is to be run again with; None where it is not."""
        if granted.fixed or granted.case.sized or granted.case.command is not None or not report.get("starved"):
            return None
        return footprint.larger(granted.machine.memory, self.ceiling)

    def tell(self, granted: Granted, report: CellReport) -> None:
        """Put into a cell's record why its guest was as large as it was, and what limit it met."""
        result = report["result"]
        result["notes"] = [*granted.notes, *result.get("notes", [])]
        if granted.fixed or granted.case.sized or granted.case.command is not None or not report.get("starved"):
            return
        memory = granted.machine.memory
        if footprint.room(memory) < granted.need:
            limit = f"its maps take {granted.need >> 20} MiB, and {memory} MiB is the largest guest ({self._why})"
        else:
            limit = f"a guest of {memory} MiB has room: the limit is the kernel's own (on 32 bits, its address space)"
        result["notes"].append(limit)
        if result.get("outcome") != PASSED:
            result["message"] = f"{result.get('message', '')}; {limit}"

    def _need(self, case: Case, column: Column) -> int:
        """Return what a case takes, worked out once for each object or command, architecture and number of CPUs."""
        assert column.resolved is not None
        try:
            arch = column.resolved.arch
            what = str(case.command or case.contract)
            key = (case.object_shown(arch), str(case.beside), what, f"{arch.name} {case.machine.cpus}")
            with self._lock:
                if key not in self._needs:
                    self._needs[key] = _need(case, arch)
                return self._needs[key]
        except (EverykernelError, OSError):
            return 0  # the cell itself says so


def _need(case: Case, arch: Architecture) -> int:
    """Return the bytes that a case's objects take with their maps, or a command with its files."""
    if case.command is not None:
        size = case.command.tree(arch).bytes + (headers.SIZE if case.command.headers else 0)
        return 2 * size  # a guest's files take up to half its memory
    objects = dict([case.object_data(arch)]) | case.beside_data(arch)
    contract, cpus = dict(case.contract), case.machine.cpus
    return sum(footprint.need(data, name, contract, cpus) for name, data in objects.items())
