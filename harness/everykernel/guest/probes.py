"""What this kernel is, from probes: never from its version."""

from __future__ import annotations

from everykernel import wire
from everykernel.load.kernel import lockdown, questions
from everykernel.load.system.door import System

LSM = "/sys/kernel/security/lsm"
UNPRIVILEGED = "/proc/sys/kernel/unprivileged_bpf_disabled"


def facts(system: System, python: str) -> wire.Facts:
    """Return the facts of a machine's kernel; ``python`` is its own, "" where it has none."""
    name = system.uname
    btf = sorted(path.rpartition("/")[2] for path in system.glob("/sys/kernel/btf/*"))
    return wire.Facts(
        release=name.release,
        version=name.version,
        machine=name.machine,
        cpus=len(system.cpus("online")),
        btf="vmlinux" in btf,
        module_btf=[module for module in btf if module != "vmlinux"],
        jit=questions.jit(system),
        lsm=[module for module in _text(system, LSM).split(",") if module],
        lockdown=lockdown.state(system),
        unprivileged_bpf=_text(system, UNPRIVILEGED),
        config=system.exists("/proc/config.gz") or system.exists("/boot/config-" + name.release),
        python=python,
    )


def _text(system: System, path: str) -> str:
    try:
        return system.read(path).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""
