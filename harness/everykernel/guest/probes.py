"""What this kernel is, from probes: never from its version."""

from __future__ import annotations

from everykernel import wire
from everykernel.load.system.door import System

JIT = "/proc/sys/net/core/bpf_jit_enable"
LSM = "/sys/kernel/security/lsm"
LOCKDOWN = "/sys/kernel/security/lockdown"
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
        jit=_text(system, JIT) not in ("", "0"),
        lsm=[module for module in _text(system, LSM).split(",") if module],
        lockdown=_chosen(_text(system, LOCKDOWN)),
        unprivileged_bpf=_text(system, UNPRIVILEGED),
        config=system.exists("/proc/config.gz") or system.exists("/boot/config-" + name.release),
        python=python,
    )


def _text(system: System, path: str) -> str:
    try:
        return system.read(path).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""


def _chosen(text: str) -> str:
    """Return the choice in brackets of ``[none] integrity confidentiality``; "" if there is none."""
    return text.partition("[")[2].partition("]")[0]
