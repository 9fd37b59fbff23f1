"""What a case may ask of its machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from everykernel.errors import UsageError
from everykernel.settings import BARE, QEMU

KINDS = (QEMU, BARE)


@dataclass(frozen=True)
class MachineSpec:
    """A machine as a case asks for it; every distinct one has snapshots of its own.

    Attributes:
        cpus: virtual CPUs. With one, per-CPU maps and perf buffers prove little.
        memory: MiB.
        cmdline: more of the kernel's command line.
        modules: kernel modules to load at boot, by name, dependencies included.
        sysctls: ``(name, value)`` pairs set at boot.
        kind: ``qemu``, or ``bare``: the same without Python and without programs, its loader on the host.
    """

    cpus: int = 2
    memory: int = 256
    cmdline: str = ""
    modules: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    kind: str = QEMU

    def __post_init__(self) -> None:
        if not 1 <= self.cpus <= 64:
            raise UsageError(f"cpus = {self.cpus} is not between 1 and 64", where="machine")
        if not 128 <= self.memory <= 65536:
            raise UsageError(f"memory = {self.memory} is not between 128 and 65536 (MiB)", where="machine")
        if "\n" in self.cmdline or len(self.cmdline) > 1500:
            raise UsageError("cmdline must be one line of at most 1500 characters", where="machine")

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> MachineSpec:
        """Return the spec that a case's ``[machine]`` table describes; raise UsageError for what is wrong."""
        known = {"cpus": int, "memory": int, "cmdline": str, "modules": list, "sysctls": dict}
        for key, value in table.items():
            if key not in known:
                raise UsageError(f"unknown key {key!r}", where="machine", remedy=f"known: {', '.join(known)}")
            if not isinstance(value, known[key]) or isinstance(value, bool):
                raise UsageError(f"{key} = {value!r} is not {known[key].__name__}", where="machine")
        return cls(
            cpus=table.get("cpus", 2),
            memory=table.get("memory", 256),
            cmdline=table.get("cmdline", ""),
            modules=tuple(str(m) for m in table.get("modules", ())),
            sysctls=tuple((str(k), str(v)) for k, v in table.get("sysctls", {}).items()),
        )

    def describe(self) -> dict[str, Any]:
        """Return the machine as results name it (schema ``everykernel/1``); its kind is its kernel's ``target``."""
        return {
            "cpus": self.cpus,
            "memory": self.memory,
            "cmdline": self.cmdline,
            "modules": list(self.modules),
            "sysctls": dict(self.sysctls),
        }
