"""What a virtual machine is made of: one small type for each need, with both of its halves and its reason.

A device gives QEMU arguments and kernel arguments; `command.arguments` folds a list of them into one command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from everykernel.architectures import Architecture
from everykernel.guest.stage0 import PORT


class Device(Protocol):
    """One need of a machine."""

    def qemu(self) -> list[str]:
        """Return its arguments for QEMU."""

    def kernel(self) -> list[str]:
        """Return its arguments for the kernel's command line."""


class _NoKernelArguments:
    def kernel(self) -> list[str]:
        """Return nothing: the kernel finds the device by itself."""
        return []


def value(text: str | Path) -> str:
    """Return a value for one of QEMU's comma-separated options: a comma is doubled (qemu(1), "-drive")."""
    return str(text).replace(",", ",,")


@dataclass(frozen=True)
class Board(_NoKernelArguments):
    """The machine type and nothing on it that we did not ask for; no configuration file of the user's."""

    arch: Architecture

    def qemu(self) -> list[str]:
        """Return the board; its memory is the back end that `Memory` makes."""
        machine = f"{self.arch.qemu_machine},memory-backend={Memory.ID}"
        return ["-machine", machine, "-nodefaults", "-no-user-config", "-display", "none"]


@dataclass(frozen=True)
class Processor(_NoKernelArguments):
    """The accelerator, and as many CPUs as the case asks for."""

    arch: Architecture
    accelerator: str
    cpus: int

    def qemu(self) -> list[str]:
        """Return accelerator, model and number."""
        if self.accelerator == "kvm":
            return ["-accel", "kvm", "-cpu", "host", "-smp", str(self.cpus)]
        return ["-accel", f"tcg,thread={self.arch.tcg_threads}", "-cpu", self.arch.qemu_cpu, "-smp", str(self.cpus)]


@dataclass(frozen=True)
class Memory(_NoKernelArguments):
    """The guest's memory: a file that a snapshot keeps, a private view of one, or no file (``file`` None).

    ``shared`` writes to the file: right only while a snapshot is being made, on its own copy. Restored guests come
    from `private`, the only way to open a finished snapshot: a shared view, even a read-only file mode (root may write,
    and QEMU before 8.2 opens it for writing anyway), would let a guest change the snapshot of all later ones.
    """

    ID = "memory"

    mib: int
    file: str | Path | None = None
    shared: bool = False

    @classmethod
    def private(cls, mib: int, file: str | Path) -> Memory:
        """Return a copy-on-write view of a finished snapshot's memory."""
        return cls(mib, file, shared=False)

    def qemu(self) -> list[str]:
        """Return the size and the back end."""
        if self.file is None:
            return ["-m", str(self.mib), "-object", f"memory-backend-ram,id={self.ID},size={self.mib}M"]
        share = "on" if self.shared else "off"
        backend = f"memory-backend-file,id={self.ID},size={self.mib}M,mem-path={value(self.file)},share={share}"
        return ["-m", str(self.mib), "-object", backend]


@dataclass(frozen=True)
class Console:
    """The kernel's console, kept in a file: what a guest that broke said last is the evidence.

    ``loglevel=5`` shows warnings (a WARN is printed at KERN_WARNING) and leaves out the boot's small talk, which costs
    a slow guest time on the serial line.
    """

    arch: Architecture
    file: str | Path

    def qemu(self) -> list[str]:
        """Return the first serial port, written to the file."""
        return ["-chardev", f"file,id=console,path={value(self.file)}", "-serial", "chardev:console"]

    def kernel(self) -> list[str]:
        """Send the kernel's messages there."""
        return [f"console={self.arch.console}", "loglevel=5"]


@dataclass(frozen=True)
class Channel(_NoKernelArguments):
    """The agent's channel: a virtio-serial port on a socket that QEMU inherits.

    A descriptor needs no path (a Unix socket's holds 107 bytes), nobody else can connect to it, and it is connected
    from the start: a restored agent finds its host there.
    """

    arch: Architecture
    descriptor: int

    def qemu(self) -> list[str]:
        """Return the bus and the port."""
        port = f"virtserialport,chardev=agent,name={PORT}"
        return ["-chardev", f"socket,id=agent,fd={self.descriptor}", "-device", self.arch.serial_bus, "-device", port]


@dataclass(frozen=True)
class Control(_NoKernelArguments):
    """QEMU's control protocol (QMP) on a socket that QEMU inherits."""

    descriptor: int

    def qemu(self) -> list[str]:
        """Return the monitor."""
        return ["-chardev", f"socket,id=control,fd={self.descriptor}", "-mon", "chardev=control,mode=control"]


@dataclass(frozen=True)
class Fragile:
    """A kernel that panics or oopses ends its guest at once: no reboot, no kernel that limps on."""

    arch: Architecture

    def qemu(self) -> list[str]:
        """Make a reset end QEMU."""
        return ["-no-reboot"]

    def kernel(self) -> list[str]:
        """Make an oops panic, and a panic reset, and what asks a hung kernel where it is a panic."""
        return ["panic=-1", "oops=panic", *self.arch.nmi.split()]


@dataclass(frozen=True)
class Hurried:
    """A kernel that leaves out what costs an emulated CPU time as it boots, and that no program can see.

    The crypto API tests each algorithm as it is registered: a tenth of a boot, a third of a 32-bit one.
    """

    arch: Architecture

    def qemu(self) -> list[str]:
        """Return nothing: it is the kernel's."""
        return []

    def kernel(self) -> list[str]:
        """Leave out self-tests, and what its architecture can do without."""
        return ["cryptomgr.notests", *self.arch.hurry.split()]


@dataclass(frozen=True)
class Sandbox(_NoKernelArguments):
    """QEMU's own system call filter: it needs no other program, no other user, no resource control."""

    def qemu(self) -> list[str]:
        """Turn it on."""
        return ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]


@dataclass(frozen=True)
class Boot:
    """The kernel, booted directly, with its initramfs."""

    image: str | Path
    initrd: str | Path
    cmdline: str = ""

    def qemu(self) -> list[str]:
        """Return both files; `command.arguments` adds the command line."""
        return ["-kernel", str(self.image), "-initrd", str(self.initrd)]

    def kernel(self) -> list[str]:
        """Return what a case asks for, after our own so that it wins."""
        return ["rdinit=/init", *self.cmdline.split()]


@dataclass(frozen=True)
class Incoming(_NoKernelArguments):
    """A guest that waits for a saved state instead of booting: it needs no kernel image, that is in its memory."""

    def qemu(self) -> list[str]:
        """Wait for ``migrate-incoming``."""
        return ["-incoming", "defer"]
