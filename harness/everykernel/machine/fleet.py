"""Machines of every kind, as one: guests of this host, and machines that run already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from everykernel.errors import ToolMissing
from everykernel.kernels.model import GUEST, Kernel
from everykernel.kernels.progress import Progress
from everykernel.machine.guest import Guest, MachineSource, Prepared
from everykernel.machine.spec import MachineSpec
from everykernel.settings import BARE, TARGET, VNG

if TYPE_CHECKING:
    from everykernel.machine.machines import Machines
    from everykernel.machine.ssh import Targets


def reach(
    specs: Iterable[str],
    named: Mapping[str, Mapping[str, Any]],
    progress: Progress,
    *,
    may_load: bool,
    accept_new: bool,
    timeout: float,
) -> Targets | None:
    """Return what reaches the targets among specs; None where there are none. Nothing is connected to yet.

    Args:
        specs: kernels and targets.
        named: what pyproject.toml says of targets.
        progress: where notes are shown.
        may_load, accept_new, timeout: as of `machine.ssh.Terms`.

    Raises ToolMissing without paramiko, which not everybody needs.
    """
    if not any(spec.startswith(TARGET) for spec in specs):
        return None
    try:
        from everykernel.machine.ssh import Targets, Terms
    except ModuleNotFoundError as e:
        if e.name is None or e.name.startswith("everykernel"):
            raise
        remedy = "pip install 'everykernel[ssh]'"
        raise ToolMissing(f"targets are reached by paramiko: {e}", where="ssh://", remedy=remedy) from e
    return Targets(Terms(may_load, accept_new, timeout, patience=max(20.0, timeout / 3)), named, progress)


class Fleet:
    """A source of machines that asks another one for each kernel: by where it runs.

    Args:
        guests: of this host.
        targets: what runs already; None where there are none.
        by_vng: guests of this host with its own user space; None where there are none.
    """

    def __init__(
        self, guests: MachineSource, targets: MachineSource | None = None, by_vng: MachineSource | None = None
    ) -> None:
        self._guests = guests
        self._targets = targets
        self._by_vng = by_vng

    @property
    def accelerator(self) -> str:
        """The accelerator of the guests."""
        return self._guests.accelerator

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        """Make a kernel ready; see `MachineSource`."""
        return self._of(kernel).prepare(kernel, spec)

    def decides(self, kernel: Kernel, spec: MachineSpec) -> str | None:
        """Return what decides a guest, None for a target; see `MachineSource`."""
        return self._of(kernel).decides(kernel, spec)

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        """Return a machine with a kernel; see `MachineSource`."""
        return self._of(kernel).start(kernel, spec, ahead=ahead)

    def close(self) -> None:
        """End all of them."""
        for one in (self._guests, self._targets, self._by_vng):
            if one is not None:
                one.close()

    def _of(self, kernel: Kernel) -> MachineSource:
        found = {GUEST: self._guests, BARE: self._guests, VNG: self._by_vng}.get(kernel.target, self._targets)
        assert found is not None, kernel.target
        return found


def assemble(guests: Machines, targets: MachineSource | None, progress: Progress) -> Fleet:
    """Return all machines of a run: guests of this host, of virtme-ng beside them, and targets if there are any."""
    from everykernel.machine.vng import VngMachines

    return Fleet(guests, targets, VngMachines(guests, progress))
