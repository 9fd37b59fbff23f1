"""How snapshots are made: a kernel boots once, our code is pushed into it, and all is saved.

Where our code changes (`Plan.layered`), what has booted is saved before that too, and our code is pushed into a copy of
it. Each snapshot is made by one process, under a lock, and can be found only when it is complete.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from everykernel import cache, images, kernels, remembered, wire
from everykernel.errors import BootFailed, CacheError, EverykernelError, GuestError, HarnessError, UsageError
from everykernel.guest.stage0 import HEADER
from everykernel.kernels import image
from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import Progress
from everykernel.machine import command, console, snapshots
from everykernel.machine.channel import DeadlinePassed
from everykernel.machine.command import Place
from everykernel.machine.devices import Boot, Device, Memory
from everykernel.machine.qemu import Herd, Qemu
from everykernel.machine.scratch import run_folder
from everykernel.machine.slots import boot_slot
from everykernel.machine.snapshots import Plan, Snapshot

READY = wire.Hello(0, b"")  # what the agent's first message, number 0, would answer
REST = 0.5  # seconds in which a guest takes the interrupts that its machine's saved state does not hold
WARM_PATIENCE = 120.0  # seconds from the push of our code to its first answer

Booted = TypeVar("Booted")


@dataclass(frozen=True)
class Effort:
    """How hard a boot is tried: how often, and for how many seconds from QEMU's exec to the stage-0 agent."""

    attempts: int
    patience: float


# Two boots at once on two busy cores can leave a kernel with broken timers, under TCG: so more than once.
ORDINARY = Effort(attempts=3, patience=120.0)
# Where KVM works at all, a kernel is up in two seconds; where it hangs, nobody should wait for long.
PROBE = Effort(attempts=1, patience=30.0)


@dataclass
class Log:
    """What making a machine ready took: `boots` tried, `notes` for a reader of the results."""

    boots: int = 0
    notes: list[str] = field(default_factory=list)


class Maker:
    """Makes the snapshots of one plan; its QEMUs belong to ``herd``."""

    def __init__(self, plan: Plan, progress: Progress, herd: Herd, effort: Effort = ORDINARY) -> None:
        self.plan = plan
        self._effort = effort
        self._herd = herd
        self.log = Log()
        self._progress = progress
        self._where = plan.kernel.spec

    def warm(self) -> Snapshot:
        """Return the warm snapshot, made if it is not there (the boot snapshot too, where there is one).

        Raises:
            BootFailed, KernelPanic, KernelOops: the kernel does not come up, however often it is tried.
            CacheError: the disk is full, or not writable.
            HarnessError: QEMU does not start, or our own code does not.
        """
        folder = self.plan.warm_folder
        cache.hold(folder)  # before it is looked for: what a run has found, or made, stays for as long as the run
        if found := snapshots.find(folder):
            return found
        with cache.lock(f"snapshots/{folder.name}"), cache.held(self.plan.boot_folder):
            if found := snapshots.find(folder):
                return found
            if self.plan.layered:
                self._warm_on_boot(folder)
            else:
                self._warm_at_once(folder)
        cache.prune(keep=[folder, self.plan.boot_folder])
        return Snapshot(folder)

    def _warm_at_once(self, folder: Path) -> None:
        with self._new(folder) as temporary:
            qemu = self._boot_into(temporary)
            try:
                self._save_warm(qemu, temporary)
            except GuestError as e:
                self._note_again(f"the agent did not come up ({e.message})")
                self._save_warm(self._boot_into(temporary), temporary)

    def _warm_on_boot(self, folder: Path) -> None:
        boot = self.booted()
        try:
            self._warm_from(boot, folder)
        except GuestError as e:
            self._note_again(f"the boot snapshot did not come back ({e.message})")
            snapshots.discard(self.plan.boot_folder)
            self._warm_from(self.booted(), folder)

    def _note_again(self, cause: str) -> None:
        self._herd.check(self._where)
        self.log.notes.append(f"{cause}: booted again")

    def _warm_from(self, boot: Snapshot, folder: Path) -> None:
        with cache.using(boot.folder), self._new(folder) as temporary:
            self._make_warm(boot, temporary)

    def booted(self) -> Snapshot:
        """Return the boot snapshot, made if it is not there; raise as `warm` does."""
        folder = self.plan.boot_folder
        if found := snapshots.find(folder):
            return found
        with cache.lock(f"snapshots/{folder.name}"):
            if found := snapshots.find(folder):
                return found
            with self._new(folder) as temporary:
                qemu = self._boot_into(temporary)
                try:
                    state = self._saved(qemu)
                finally:
                    qemu.close()
                snapshots.finish(temporary, state, self._about())
        return Snapshot(folder)

    def _saved(self, qemu: Qemu) -> bytes:
        """Return the state of a guest whose first words were just heard: the interrupt that ends them is still due."""
        if self.plan.kernel.arch.forgets:
            time.sleep(REST)
        return qemu.control.save()

    def _boot_into(self, folder: Path) -> Qemu:
        """Return a guest that has booted, its memory in ``folder``."""
        memory = folder / "memory"
        with memory.open("wb") as file:
            file.truncate(self.plan.spec.memory << 20)  # QEMU, whose files have a limit, finds it made
        with boot_slot():
            return self.boot(memory)

    @contextlib.contextmanager
    def _new(self, folder: Path) -> Iterator[Path]:
        """Yield the folder that becomes a snapshot; raise CacheError before the disk is full, not by SIGBUS."""
        needed = (self.plan.spec.memory + 32) << 20
        free = shutil.disk_usage(folder.parent).free
        if free < needed:
            message = f"no space left for a snapshot: {needed >> 20} MiB are needed, {free >> 20} MiB are free"
            remedy = f"free some space, or set {cache.ROOT_SETTING} to a folder on another disk"
            raise CacheError(message, where=str(folder.parent), remedy=remedy)
        with cache.make_folder(folder) as temporary:
            yield temporary

    def _about(self) -> dict[str, object]:
        return {
            "spec": self.plan.kernel.spec,
            "release": self.plan.kernel.release,
            "machine": self.plan.spec.describe(),
            "accelerator": self.plan.accelerator,
            "boots": self.log.boots,
            "notes": self.log.notes,
        }

    def boot(self, memory: Path | None) -> Qemu:
        """Return a guest that has booted as far as its stage-0 agent; retries are counted in `log`."""
        plan = self.plan
        initrd = run_folder() / f"initrd-{os.getpid()}-{time.monotonic_ns()}"
        kernel = initrd.with_name(f"kernel-{initrd.name}")
        try:
            with cache.explained(initrd):
                initrd.write_bytes(plan.image.path.read_bytes() + plan.modules.read_bytes())
                unpacked = image.elf(plan.kernel.image.read_bytes()) if plan.unpacks else None
                if unpacked is not None:
                    kernel.write_bytes(unpacked)
            return self._boot_patiently(memory, initrd, kernel if unpacked is not None else plan.kernel.image)
        finally:
            initrd.unlink(missing_ok=True)
            kernel.unlink(missing_ok=True)

    def _boot_patiently(self, memory: Path | None, initrd: Path, kernel: Path) -> Qemu:
        kernels = iter([kernel])  # one that was unpacked is tried once

        def boot() -> Qemu:
            file = next(kernels, self.plan.kernel.image)
            return self._boot(memory, Boot(file, initrd, self.plan.spec.cmdline))

        return patiently(boot, self.plan.kernel, self._effort, self._herd, self._progress, self.log)

    def _boot(self, memory: Path | None, boot: Boot) -> Qemu:
        plan = self.plan

        def devices(place: Place) -> list[Device]:
            common = command.common(plan.kernel.arch, plan.spec, plan.accelerator, place)
            return command.booting(common, Memory(plan.spec.memory, memory, shared=memory is not None), boot)

        qemu = Qemu(plan.program, devices, self._where, self._herd)
        try:
            qemu.connect()
            self._hear(qemu)
        except BaseException:
            qemu.close()
            raise
        return qemu

    def _hear(self, qemu: Qemu) -> None:
        with booting(qemu, self._effort.patience):
            problems = self.hear(qemu, self._effort.patience)
        if problems:
            raise UsageError("; ".join(problems), where=f"{self._where}: machine")

    def hear(self, qemu: Qemu, patience: float) -> list[str]:
        """Wait for the first words of a kernel that boots; return what of its spec it does not have."""
        return qemu.receive_stage0(time.monotonic() + patience)["problems"]

    def _make_warm(self, boot: Snapshot, folder: Path) -> None:
        plan = self.plan
        memory = folder / "memory"
        with cache.explained(memory):
            snapshots.copy_sparsely(boot.memory, memory)

        def devices(place: Place) -> list[Device]:
            common = command.common(plan.kernel.arch, plan.spec, plan.accelerator, place)
            return command.continuing(common, plan.spec, memory)

        qemu = Qemu(plan.program, devices, self._where, self._herd)
        try:
            qemu.connect()
            qemu.restore(boot.state)
            qemu.control.resume()
        except BaseException:
            qemu.close()
            raise
        self._save_warm(qemu, folder)

    def _save_warm(self, qemu: Qemu, folder: Path) -> None:
        """Push our code into a guest whose memory is in ``folder``, and complete its snapshot; it ends."""
        self._progress.note(f"{self._where}: warming up the agent")
        try:
            self.push_agent(qemu)
            state = self._saved(qemu)
        finally:
            qemu.close()
        snapshots.finish(folder, state, self._about())

    def push_agent(self, qemu: Qemu) -> wire.Facts:
        """Hand our code to the stage-0 agent and wait until it is ready; return the guest's facts."""
        deadline = time.monotonic() + WARM_PATIENCE
        told, sent = images.agent_sent(_learnt(self.plan.kernel))
        try:
            qemu.send_frame(HEADER.pack(len(told), len(sent)) + told + sent, deadline)
            _, ready = qemu.receive(deadline, {0: READY})
        except DeadlinePassed as e:
            text = console.tail(qemu.console())
            message = f"the agent was not ready within {WARM_PATIENCE:.0f} s"
            raise BootFailed(message, console=text, where=self._where) from e
        return check_ready(qemu, ready, self.plan.kernel.release)


def patiently(
    boot: Callable[[], Booted], kernel: Kernel, effort: Effort, herd: Herd, progress: Progress, log: Log
) -> Booted:
    """Return what ``boot`` returns, tried as often as ``effort`` says; retries are counted in ``log``."""
    for attempt in range(1, effort.attempts + 1):
        log.boots += 1
        again = f" (attempt {attempt})" if attempt > 1 else ""
        progress.note(f"{kernel.spec}: booting {kernel.release}{again}")
        try:
            return boot()
        except GuestError as e:
            herd.check(kernel.spec)
            log.notes.append(f"boot {attempt} of {effort.attempts} failed: {e.message}")
            if attempt == effort.attempts:
                raise
    raise AssertionError("unreachable")


@contextlib.contextmanager
def booting(qemu: Qemu, patience: float) -> Iterator[None]:
    """Have a guest that says nothing, or nonsense, while its first words are waited for, be one that did not boot."""
    try:
        yield
    except DeadlinePassed as e:
        text = console.tail(qemu.console())
        raise BootFailed(f"no sign of life within {patience:.0f} s", console=text, where=qemu.where) from e
    except GuestError as e:
        if e.code == "guest-lost":
            raise BootFailed(e.message, console=e.console, where=qemu.where) from e
        raise


@functools.lru_cache(maxsize=4)
def _learnt(kernel: Kernel) -> bytes:
    """Return what a guest of this kernel need not find out about its BTF; nothing where its image does not tell."""
    try:
        raw = kernels.btf(kernel)
        return b"" if raw is None else remembered.btf(raw).learn()
    except EverykernelError:
        return b""


def check_ready(qemu: Qemu, ready: wire.Facts | wire.Failed | wire.Broke, claimed: str) -> wire.Facts:
    """Return the facts with which an agent begins; raise HarnessError where it does not, BootFailed as `check_release`.

    No object was in this guest: the agent is ours.
    """
    if not isinstance(ready, wire.Facts):
        raise HarnessError(f"the agent does not start: {ready.message}\n{ready.trace}", where=qemu.where)
    check_release(qemu, ready.release, claimed)
    return ready


def check_release(qemu: Qemu, release: str, claimed: str) -> None:
    """Raise BootFailed where what booted is not what its image says."""
    if release != claimed:
        text = console.tail(qemu.console())
        message = f"its image says that it is {claimed}, and what boots is {release}"
        raise BootFailed(message, console=text, where=qemu.where)
