"""Machines of every kind, as one: guests of this host, and machines that run already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from everykernel.errors import ToolMissing
from everykernel.kernels.model import GUEST, Kernel
from everykernel.kernels.progress import Progress
from everykernel.machine.guest import Guest, MachineSource, Prepared
from everykernel.machine.spec import MachineSpec
from everykernel.settings import TARGET

if TYPE_CHECKING:
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
    return Targets(Terms(may_load, accept_new, timeout), named, progress)


class Fleet:
    """A source of machines that asks another one for each kernel: by where it runs.

    Args:
        guests: of this host.
        targets: what runs already.
    """

    def __init__(self, guests: MachineSource, targets: MachineSource) -> None:
        self._guests = guests
        self._targets = targets

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
        for one in (self._guests, self._targets):
            one.close()

    def _of(self, kernel: Kernel) -> MachineSource:
        return self._guests if kernel.target == GUEST else self._targets
