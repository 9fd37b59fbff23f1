"""Guests of virtme-ng started: each boots anew, our agent in it, and is ended as all guests are."""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import SILENT, Progress
from everykernel.machine import making, process
from everykernel.machine.command import Place
from everykernel.machine.devices import Channel, Control, Device, Sandbox
from everykernel.machine.guest import COLD_BOOT, Guest, Prepared
from everykernel.machine.machines import Machines
from everykernel.machine.making import READY, Effort, Log
from everykernel.machine.qemu import Herd, Qemu
from everykernel.machine.running import Begun, QemuGuest
from everykernel.machine.slots import boot_slot
from everykernel.machine.spec import MachineSpec
from everykernel.machine.vng import command, share

# From QEMU's exec to the agent's first word: some twenty seconds of a core under TCG.
EFFORT = Effort(attempts=2, patience=300.0)


@dataclass(frozen=True)
class _Ready:
    program: Path
    arguments: tuple[str, ...]


class VngMachines:
    """Guests with this host's user space. Use `close` when done; nothing survives the process anyway.

    Args:
        guests: the machines of this host beside them, whose accelerator and image are theirs.
        progress: where boots are shown.
        effort: how hard a boot is tried.
    """

    def __init__(self, guests: Machines, progress: Progress | None = None, effort: Effort = EFFORT) -> None:
        self._machines = guests
        self._progress = progress if progress is not None else SILENT
        self._effort = effort
        self._herd = Herd()
        self._ready: dict[tuple[Kernel, MachineSpec], _Ready] = {}
        self._lock = threading.Lock()
        self._guests: weakref.WeakSet[QemuGuest] = weakref.WeakSet()

    @property
    def accelerator(self) -> str:
        """The accelerator, that of other guests."""
        return self._machines.accelerator

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        """Ask virtme-ng what such a machine is; nothing boots before a guest is started.

        Raises:
            ToolMissing: virtme-ng or QEMU is not installed.
            HarnessError, UsageError, KernelModuleMissing: as their texts say.
        """
        spec = spec or MachineSpec()
        with self._lock:
            if (kernel, spec) not in self._ready:
                self._progress.note(f"{kernel.spec}: asking virtme-ng")
                self._ready[kernel, spec] = self._ask(kernel, spec)
        return Prepared(booted=True)

    def _ask(self, kernel: Kernel, spec: MachineSpec) -> _Ready:
        plan = self._machines.plan(kernel, MachineSpec())
        image = share.tree(kernel) / "boot" / f"vmlinuz-{kernel.release}"
        ours = share.ours(kernel, spec, plan.image.path)
        arguments = command.ask(kernel.arch, spec, kernel.spec, image, ours, plan.accelerator)
        return _Ready(process.find(kernel.arch.qemu), arguments)

    def decides(self, kernel: Kernel, spec: MachineSpec) -> str | None:
        """Return None: what is installed here decides too, and nobody has its digest."""
        return None

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        """Return a guest with a fresh kernel; ``ahead``: it boots when it is first used.

        Raises what `prepare` raises, and BootFailed, KernelPanic, KernelOops: it does not come up.
        """
        spec = spec or MachineSpec()
        self.prepare(kernel, spec)
        start = _Start(kernel, self._ready[kernel, spec], self._herd, self._effort, self._progress)
        guest = QemuGuest(kernel, spec, begin=start.begin, abandon=lambda: None, timeout=self._machines.timeout)
        self._guests.add(guest)
        if not ahead:
            try:
                guest.wake()
            except BaseException:  # also Ctrl-C: nobody has the guest yet
                guest.close()
                raise
        return guest

    def close(self) -> None:
        """End every guest, also one that another thread waits for; none can be started after."""
        self._herd.close()
        for guest in list(self._guests):
            guest.close()


@dataclass(frozen=True)
class _Start:
    """One guest on its way."""

    kernel: Kernel
    ready: _Ready
    herd: Herd
    effort: Effort
    progress: Progress

    def begin(self) -> Begun:
        """Return the guest booted, its agent answering."""
        log = Log()
        with boot_slot():
            begun = making.patiently(self._boot, self.kernel, self.effort, self.herd, self.progress, log)
        begun.notes.extend(log.notes)
        return begun

    def _boot(self) -> Begun:
        qemu = Qemu(self.ready.program, self._devices, self.kernel.spec, self.herd)
        try:
            qemu.connect()
            with making.booting(qemu, self.effort.patience):
                _, facts = qemu.receive(time.monotonic() + self.effort.patience, {0: READY})
            making.check_ready(qemu, facts, self.kernel.release)
        except BaseException:
            qemu.close()
            raise
        return Begun(qemu, facts, COLD_BOOT, [])

    def _devices(self, place: Place) -> list[Device]:
        arch = self.kernel.arch
        return [
            command.Virtme(self.ready.arguments, place.console),
            Channel(arch, place.channel),
            Control(place.control),
            Sandbox(),
        ]
