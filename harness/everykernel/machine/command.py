"""The command line: a fold over the devices of a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.machine.devices import (
    Board,
    Boot,
    Channel,
    Console,
    Control,
    Device,
    Fragile,
    Hurried,
    Incoming,
    Memory,
    Processor,
    Sandbox,
)
from everykernel.machine.spec import MachineSpec


@dataclass(frozen=True)
class Place:
    """What differs between two runs of the same machine: paths and descriptors."""

    console: str | Path
    channel: int
    control: int


# A run's own paths, replaced: the command line of a snapshot's key (see `snapshots.boot_key`).
NOWHERE = Place(console="CONSOLE", channel=-1, control=-2)


def common(arch: Architecture, spec: MachineSpec, accelerator: str, place: Place) -> list[Device]:
    """Return the devices that a guest has whether it boots or is restored."""
    return [
        Board(arch),
        Processor(arch, accelerator, spec.cpus),
        Console(arch, place.console),
        Channel(arch, place.channel),
        Control(place.control),
        Fragile(arch),
        Hurried(arch),
        Sandbox(),
    ]


def booting(devices: Sequence[Device], memory: Memory, boot: Boot) -> list[Device]:
    """Return the devices of a guest that boots into ``memory``."""
    return [*devices, memory, boot]


def restoring(devices: Sequence[Device], spec: MachineSpec, file: str | Path) -> list[Device]:
    """Return the devices of a guest restored from a finished snapshot, whose memory file it must not change."""
    return [*devices, Memory.private(spec.memory, file), Incoming()]


def continuing(devices: Sequence[Device], spec: MachineSpec, file: str | Path) -> list[Device]:
    """Return the devices of a guest restored to become the next snapshot: ``file`` is its own copy, written to."""
    return [*devices, Memory(spec.memory, file, shared=True), Incoming()]


def arguments(devices: Sequence[Device]) -> list[str]:
    """Return QEMU's arguments for these devices; the kernel's command line only where one of them boots a kernel."""
    out = [argument for device in devices for argument in device.qemu()]
    if any(isinstance(device, Boot) for device in devices):
        out += ["-append", " ".join(argument for device in devices for argument in device.kernel())]
    return out
