"""Kernels made ready, and guests started from them."""

from __future__ import annotations

from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import SILENT, Progress
from everykernel.machine.guest import Guest, Prepared
from everykernel.machine.spec import MachineSpec


class Machines:
    """QEMU guests of this host. Use `close` (or the context manager) when done; nothing survives the process anyway.

    Args:
        accel: ``auto``, ``kvm`` or ``tcg``.
        timeout: seconds that a request may take where the caller names no time of its own.
        progress: where boots are shown.
    """

    def __init__(self, accel: str = "auto", timeout: float = 60.0, progress: Progress | None = None) -> None:
        self.timeout = timeout
        self._accel = accel
        self._progress = progress if progress is not None else SILENT

    @property
    def accelerator(self) -> str:
        """The accelerator in use with its reason, for a report's header."""
        raise NotImplementedError

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        """Make or reuse the snapshots of ``kernel`` on such a machine."""
        raise NotImplementedError

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        """Return a guest with a fresh kernel; ``ahead``: restore it in the background, paused until it is used."""
        raise NotImplementedError

    def close(self) -> None:
        """End every guest that is still running."""
