"""Kernels made ready, and guests started from them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from dataclasses import dataclass, replace
from typing import Self

from everykernel import cache, images, wire
from everykernel.errors import EverykernelError, GuestError, GuestLost
from everykernel.kernels import tracepoints
from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import SILENT, Progress
from everykernel.machine import bare, command, process
from everykernel.machine.accel import Verdict, choose
from everykernel.machine.bare import BareGuest, BareMaker
from everykernel.machine.channel import DeadlinePassed
from everykernel.machine.command import Place
from everykernel.machine.devices import Device
from everykernel.machine.guest import COLD_BOOT, RESTORED, Guest, Prepared
from everykernel.machine.line import draw
from everykernel.machine.making import ORDINARY, PROBE, Effort, Maker
from everykernel.machine.qemu import Herd, Qemu
from everykernel.machine.running import Begun, QemuGuest
from everykernel.machine.slots import boot_slot
from everykernel.machine.snapshots import Plan, Snapshot, discard, find
from everykernel.machine.spec import MachineSpec
from everykernel.remote.agent import Learnt
from everykernel.settings import BARE, QEMU

_TRACEPOINTS_PATIENCE = 60.0  # seconds; two under TCG
RESTORE_PATIENCE = 15.0  # seconds from resuming a restored guest to its first answer


@dataclass(frozen=True)
class _Ready:
    plan: Plan
    snapshot: Snapshot
    learnt: Learnt | None = None  # of a guest that has no agent itself


class Machines:
    """QEMU guests of this host. Use `close` (or the context manager) when done; nothing survives the process anyway.

    Args:
        accel: ``auto``, ``kvm`` or ``tcg``.
        timeout: seconds that a request may take where the caller names no time of its own.
        progress: where boots are shown.
    """

    def __init__(self, accel: str = "auto", timeout: float = 60.0, progress: Progress | None = None) -> None:
        self.timeout = timeout
        self._request = accel
        self._progress = progress if progress is not None else SILENT
        self._verdicts: dict[str, Verdict] = {}
        self._ready: dict[tuple[Kernel, MachineSpec], _Ready] = {}
        self._lock = threading.Lock()
        self._herd = Herd()
        self._guests: weakref.WeakSet[QemuGuest] = weakref.WeakSet()

    @property
    def accelerator(self) -> str:
        """The accelerator in use with its reason, for a report's header; "" before anything was prepared."""
        return ", ".join(sorted({str(verdict) for verdict in self._verdicts.values()}))

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        """Make or reuse the snapshots of ``kernel`` on such a machine (None: the default one).

        Raises:
            ToolMissing: QEMU is not installed.
            BootFailed, KernelPanic, KernelOops: the kernel does not come up, however often it is tried.
            KernelModuleMissing, UsageError: the machine asks for what the kernel does not have.
            CacheError, DownloadError, HarnessError: as their texts say.
        """
        spec = _asked(kernel, spec)
        ready = self._ready.get((kernel, spec))
        if ready is not None and find(ready.snapshot.folder) is not None:
            return Prepared(booted=False)
        started = time.monotonic()
        maker = _maker(self.plan(kernel, spec), self._progress, self._herd)
        ready = _Ready(maker.plan, maker.warm())
        if spec.kind == BARE:
            ready = self._learn_of(ready, maker)
        with self._lock:
            self._ready[kernel, spec] = ready
        if spec.kind != BARE:
            self._keep_tracepoints(ready)
        return Prepared(maker.log.boots > 0, maker.log.boots, time.monotonic() - started, maker.log.notes)

    def _learn_of(self, ready: _Ready, maker: Maker) -> _Ready:
        """Find out what each guest will know, once more from a new snapshot where one does not come back."""
        try:
            return self._learn(ready)
        except GuestError as e:
            self._herd.check(ready.plan.kernel.spec)
            maker.log.notes.append(f"the boot snapshot did not come back ({e.message}): booted again")
            discard(ready.snapshot.folder)
            return self._learn(_Ready(maker.plan, maker.warm()))

    def _learn(self, ready: _Ready) -> _Ready:
        """Find out in a guest of its own what the agent of each will know from the beginning."""
        kernel = ready.plan.kernel
        self._progress.note(f"{kernel.spec}: learning what its kernel is")
        qemu = _restore(ready.plan, ready.snapshot, self._herd)
        try:
            qemu.control.resume()
            return replace(ready, learnt=bare.learnt(qemu, kernel.arch.name))
        finally:
            qemu.close()

    def _keep_tracepoints(self, ready: _Ready) -> None:
        """Have a guest tell the layouts of the kernel's tracepoints, unless they are known; go on where it does not."""
        kernel = ready.plan.kernel
        if tracepoints.path(kernel).exists():
            return
        with contextlib.suppress(EverykernelError), self._start(ready) as guest:
            told = guest.run(tracepoints.COMMAND, timeout=_TRACEPOINTS_PATIENCE)
            tracepoints.keep(kernel, told.stdout.decode(errors="replace"))

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        """Return a guest with a fresh kernel; ``ahead``: restore it in the background, paused until it is used.

        Raises what `prepare` raises (with ``ahead``, a guest that does not come up raises at its first use).
        """
        spec = _asked(kernel, spec)
        self.prepare(kernel, spec)
        return self._start(self._ready[kernel, spec], ahead=ahead)

    def snapshot(self, kernel: Kernel, spec: MachineSpec | None = None) -> Snapshot:
        """Return the warm snapshot that guests of a prepared machine start from."""
        spec = _asked(kernel, spec)
        self.prepare(kernel, spec)
        return self._ready[kernel, spec].snapshot

    def start_from(self, snapshot: Snapshot, kernel: Kernel, spec: MachineSpec | None = None) -> Guest:
        """Return a guest started from this very snapshot."""
        spec = _asked(kernel, spec)
        self.prepare(kernel, spec)
        return self._start(_Ready(self._ready[kernel, spec].plan, snapshot))

    def boot(self, kernel: Kernel, spec: MachineSpec | None = None) -> Guest:
        """Return a guest booted cold though its snapshot is there: to measure what snapshots save."""
        spec = _asked(kernel, spec)
        self.prepare(kernel, spec)
        return self._start(self._ready[kernel, spec], cold=True)

    def _start(self, ready: _Ready, *, ahead: bool = False, cold: bool = False) -> Guest:
        start = _Start(ready, self._progress, self._herd)
        kernel, spec = ready.plan.kernel, ready.plan.spec
        begin = start.boot if cold else start.begin
        guest = _GUESTS[spec.kind](kernel, spec, begin=begin, abandon=start.abandon, timeout=self.timeout)
        self._guests.add(guest)
        if ahead:
            start.ahead()
            return guest
        try:
            guest.wake()
        except BaseException:  # also Ctrl-C: nobody has the guest yet
            guest.close()
            raise
        return guest

    def plan(self, kernel: Kernel, spec: MachineSpec) -> Plan:
        """Return everything that decides the snapshots of such a machine; tries KVM if that is not settled."""
        spec = _asked(kernel, spec)
        program = process.find(kernel.arch.qemu)
        bare_ = spec.kind == BARE
        image = images.bare.build(kernel.arch) if bare_ else images.build(kernel.arch, self._progress)
        modules = images.modules_cpio(kernel, spec.modules, spec.sysctls)

        def under(accelerator: str) -> Plan:
            return Plan(kernel, spec, accelerator, program, image, modules)

        def probe() -> None:
            self._progress.note(f"{kernel.spec}: trying KVM")
            _maker(under("kvm"), SILENT, self._herd, PROBE).boot(None).close()

        if kernel.arch.name not in self._verdicts:
            self._verdicts[kernel.arch.name] = choose(self._request, kernel.arch, program, probe)
        return under(self._verdicts[kernel.arch.name].name)

    def decides(self, kernel: Kernel, spec: MachineSpec) -> str:
        """Return the name of the warm snapshot, whether it is there or not; raises what `plan` does."""
        return self.plan(kernel, spec).warm_key

    def close(self) -> None:
        """End every guest that is still running, also one that another thread waits for; none can be started after."""
        self._herd.close()
        for guest in list(self._guests):
            guest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Start:
    """One guest on its way: restored, perhaps ahead of its use, then woken; booted cold where that fails."""

    def __init__(self, ready: _Ready, progress: Progress, herd: Herd) -> None:
        self._ready = ready
        self._herd = herd
        self._progress = progress
        self._thread: threading.Thread | None = None
        self._restored: Qemu | None = None
        self._error: EverykernelError | None = None

    def ahead(self) -> None:
        """Begin to restore in the background."""
        self._thread = threading.Thread(target=self._try_restore, name="everykernel-ahead", daemon=True)
        self._thread.start()

    def begin(self) -> Begun:
        """Return the guest with its agent answering."""
        if self._thread is None:
            self._try_restore()
        else:
            self._thread.join()
        try:
            if self._error is not None:
                raise self._error
            assert self._restored is not None
            self._restored.control.resume()
            return self._begun(self._restored, RESTORED, [])
        except GuestError as e:
            if self._restored is not None:
                self._restored.close()
            self._herd.check(self._ready.plan.kernel.spec)
            discard(self._ready.snapshot.folder)
            return self.boot(f"the snapshot did not come back ({e.message}): booted cold instead")

    def abandon(self) -> None:
        """End a guest that nobody used."""
        if self._thread is not None:
            self._thread.join()
        if self._restored is not None:
            self._restored.close()

    def _try_restore(self) -> None:
        try:
            self._restored = _restore(self._ready.plan, self._ready.snapshot, self._herd)
        except EverykernelError as e:
            self._error = e

    def _begun(self, qemu: Qemu, kind: str, notes: list[str]) -> Begun:
        """Return a guest that runs as begun: the agent in it greeted, or its own on this side."""
        if self._ready.learnt is None:
            return Begun(qemu, _greet(qemu), kind, notes)
        arch = self._ready.plan.kernel.arch.name
        known = self._ready.learnt if kind == RESTORED else bare.learnt(qemu, arch)  # addresses are of a boot
        agent = bare.wake(qemu, arch, known, RESTORE_PATIENCE)
        return Begun(qemu, agent.facts, kind, notes, agent)

    def boot(self, *notes: str) -> Begun:
        """Return the guest booted cold, its agent answering."""
        maker = _maker(self._ready.plan, self._progress, self._herd)
        with boot_slot():
            qemu = maker.boot(None)
        try:
            if self._ready.learnt is None:
                maker.push_agent(qemu)
            return self._begun(qemu, COLD_BOOT, [*notes, *maker.log.notes])
        except BaseException:
            qemu.close()
            raise


def _asked(kernel: Kernel, spec: MachineSpec | None) -> MachineSpec:
    """Return the machine that is asked for (None: the default one), of the kind that its kernel's guests are."""
    spec = spec or MachineSpec()
    return replace(spec, kind=BARE) if kernel.target == BARE else spec


def _maker(plan: Plan, progress: Progress, herd: Herd, effort: Effort = ORDINARY) -> Maker:
    """Return what makes the snapshots of a plan."""
    return (BareMaker if plan.spec.kind == BARE else Maker)(plan, progress, herd, effort)


_GUESTS = {QEMU: QemuGuest, BARE: BareGuest}


def _restore(plan: Plan, snapshot: Snapshot, herd: Herd) -> Qemu:
    """Return a guest restored from a finished snapshot, paused."""

    def devices(place: Place) -> list[Device]:
        common = command.common(plan.kernel.arch, plan.spec, plan.accelerator, place)
        return command.restoring(common, plan.spec, snapshot.memory)

    with cache.using(snapshot.folder):
        qemu = Qemu(plan.program, devices, plan.kernel.spec, herd)
        try:
            qemu.connect()
            qemu.restore(snapshot.state)
        except BaseException:
            qemu.close()
            raise
    return qemu


def _greet(qemu: Qemu) -> wire.Facts:
    deadline = time.monotonic() + RESTORE_PATIENCE
    try:
        number, hello = draw(), wire.Hello(time.time_ns(), os.urandom(32))
        qemu.send(number, hello, deadline)
        _, reply = qemu.receive(deadline, {number: hello})
    except DeadlinePassed as e:
        raise GuestLost(f"no answer within {RESTORE_PATIENCE:g} s of its restore", where=qemu.where) from e
    if not isinstance(reply, wire.Facts):
        raise GuestLost(f"its first answer is {reply.kind!r}: {reply.message}", where=qemu.where)
    return reply
