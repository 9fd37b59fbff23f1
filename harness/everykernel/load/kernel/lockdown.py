"""What a kernel that is locked down denies to everybody, root too.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everykernel.load.system.door import System

_STATE = "/sys/kernel/security/lockdown"
# Helpers that a locked-down kernel does not have: by LOCKDOWN_BPF_READ_KERNEL, Linux commit ff40e51043af (v5.13, before
# it they failed when they were called), and by LOCKDOWN_BPF_WRITE_USER, 51e1bb9eeaf7 (v5.15).
_READING = ("probe_read", "probe_read_str", "probe_read_kernel", "probe_read_kernel_str")
_WRITING = ("probe_write_user",)
_DENIED = {"integrity": _WRITING, "confidentiality": (*_WRITING, *_READING)}


def state(system: System) -> str:
    """Return ``none``, ``integrity`` or ``confidentiality``; "" where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return chosen(system.text(_STATE))
    return ""


def chosen(text: str) -> str:
    """Return the choice in brackets of ``[none] integrity confidentiality``; "" if there is none."""
    return text.partition("[")[2].partition("]")[0]


def denies(state: str, helper: str) -> bool:
    """Return whether a kernel in that state has a helper (``bpf_probe_read_kernel``) denied."""
    return helper[4 if helper.startswith("bpf_") else 0 :] in _DENIED.get(state, ())
