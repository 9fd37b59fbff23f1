"""What this kernel is, from probes: never from its version."""

from __future__ import annotations

import os
import sys

from everykernel import wire

JIT = "/proc/sys/net/core/bpf_jit_enable"
LSM = "/sys/kernel/security/lsm"
LOCKDOWN = "/sys/kernel/security/lockdown"
UNPRIVILEGED = "/proc/sys/kernel/unprivileged_bpf_disabled"


def facts() -> wire.Facts:
    """Return the facts of the running kernel."""
    name = os.uname()
    try:
        btf = sorted(os.listdir("/sys/kernel/btf"))
    except OSError:
        btf = []
    return wire.Facts(
        release=name.release,
        version=name.version,
        machine=name.machine,
        cpus=os.cpu_count() or 1,
        btf="vmlinux" in btf,
        module_btf=[module for module in btf if module != "vmlinux"],
        jit=_text(JIT) not in ("", "0"),
        lsm=[module for module in _text(LSM).split(",") if module],
        lockdown=_chosen(_text(LOCKDOWN)),
        unprivileged_bpf=_text(UNPRIVILEGED),
        config=os.path.exists("/proc/config.gz") or os.path.exists("/boot/config-" + name.release),
        python=sys.version.split()[0],
    )


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip("\0\n ")
    except OSError:
        return ""


def _chosen(text: str) -> str:
    """Return the choice in brackets of ``[none] integrity confidentiality``; "" if there is none."""
    return text.partition("[")[2].partition("]")[0]
