"""The accelerator: hardware virtualisation only where a guest really boots under it.

A /dev/kvm that opens, even one that creates a VM, proves nothing: some hosts have one under which QEMU aborts on an
MSR, or the guest hangs right after its firmware. So a stock kernel is booted once, and the verdict is kept until the
host boots again.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from everykernel import cache
from everykernel.architectures import Architecture
from everykernel.errors import EverykernelError, HarnessError, UsageError

DEVICE = Path("/dev/kvm")
CHOICES = ("auto", "kvm", "tcg")
Probe = Callable[[], None]


@dataclass(frozen=True)
class Verdict:
    """Which accelerator, and why: ``kvm`` or ``tcg``."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose(request: str, arch: Architecture, program: Path, probe: Probe) -> Verdict:
    """Return the accelerator for ``request`` (``auto``, ``kvm``, ``tcg``).

    ``probe`` boots a guest under KVM, and raises if it does not come up; it is called at most once per host boot and
    emulator.

    Raises:
        UsageError: no such accelerator.
        HarnessError: ``kvm`` was asked for by name, and does not work.
    """
    if request not in CHOICES:
        raise UsageError(f"unknown accelerator {request!r}", where="--accel", remedy=f"one of {', '.join(CHOICES)}")
    if request == "tcg":
        return Verdict("tcg", "as asked for")
    verdict = _kvm(arch, program, probe)
    if request == "kvm" and verdict.name != "kvm":
        raise HarnessError(f"KVM does not work: {verdict.reason}", where="--accel kvm", remedy="use --accel auto")
    return verdict


class _NotNow(Exception):
    """A probe was needed, and none was to be made."""


def known(request: str, arch: Architecture, program: Path) -> Verdict | None:
    """Return the verdict of `choose` without booting anything; None where only a probe can tell."""

    def probe() -> None:
        raise _NotNow

    try:
        return choose(request, arch, program, probe)
    except _NotNow:
        return None


def _kvm(arch: Architecture, program: Path, probe: Probe) -> Verdict:
    host = platform.machine()
    if host not in arch.kvm_uname:
        return Verdict("tcg", f"a host of type {host} cannot run {arch.name} on its own CPU")
    if not DEVICE.exists():
        return Verdict("tcg", f"no {DEVICE}")
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return Verdict("tcg", f"{DEVICE} is not ours to use")
    return _remembered(arch, program, probe)


def _remembered(arch: Architecture, program: Path, probe: Probe) -> Verdict:
    host_boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    status = program.stat()
    identity = [host_boot, str(program), status.st_size, status.st_mtime_ns]
    path = cache.folder("verdicts") / f"kvm-{arch.name}.json"
    with cache.lock(f"verdicts-kvm-{arch.name}"):
        try:
            known = json.loads(path.read_text())
            if known["identity"] == identity:
                return Verdict(**known["verdict"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        try:
            probe()
            verdict = Verdict("kvm", "a probe guest booted under it")
        except EverykernelError as e:
            cause = e.message.splitlines()[0]
            verdict = Verdict("tcg", f"a probe guest did not boot under KVM: {cause}")
        cache.write(path, json.dumps({"identity": identity, "verdict": asdict(verdict)}).encode())
        return verdict
