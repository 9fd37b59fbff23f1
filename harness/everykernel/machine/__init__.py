"""Machines: QEMU guests restored from snapshots, each with a fresh kernel, and what tells how they ended.

Law: only this package starts QEMU or any other machine.
"""

from everykernel.machine.fleet import Fleet, assemble, reach
from everykernel.machine.guest import COLD_BOOT, CONNECTED, RESTORED, Guest, MachineSource, Prepared
from everykernel.machine.machines import Machines
from everykernel.machine.spec import MachineSpec

__all__ = [
    "COLD_BOOT",
    "CONNECTED",
    "RESTORED",
    "Fleet",
    "Guest",
    "MachineSource",
    "MachineSpec",
    "Machines",
    "Prepared",
    "assemble",
    "reach",
]
