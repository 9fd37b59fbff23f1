"""What virtme-ng needs of this host and of a kernel, looked at before anything boots; each lack has its remedy."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.errors import HarnessError, ToolMissing, UsageError
from everykernel.kernels.model import Kernel
from everykernel.settings import machine_of

RUN = "virtme-run"
SYSTEM = "/usr/sbin:/sbin"  # of the PATH of root, where depmod and modprobe are
# Beside virtme-ng: what makes modules.dep, and what tells a kernel's version (either of two).
_TOOLS = (("depmod", "kmod"), ("modprobe", "kmod"))
_VERSION_TOOLS = ("file", "strings")
HIDDEN = ("/tmp", "/run", "/dev", "/proc", "/sys", "/boot", "/var/tmp", "/var/log", "/var/cache")  # of the guest's own
# What shares the host's files. QEMU itself serves 9p. virtiofs is served by a daemon, which virtme-ng starts and ends
# with its dry run; on Debian 12 it finds QEMU's own of 7.2, which refuses its options and cannot export read-only.
_OPTIONS = ("NET_9P_VIRTIO", "9P_FS")
_OVERLAY = "OVERLAY_FS"


def path() -> str:
    """Return the PATH that virtme-ng is looked for, and run, with."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), SYSTEM])


def command() -> str:
    """Return the path of virtme-ng's program; raise ToolMissing where it, or what it calls, is not installed."""
    found = shutil.which(RUN, path=path())
    if found is None:
        raise ToolMissing("virtme-ng is not installed", where=RUN, remedy="pip install 'everykernel[vng]'")
    for tool, package in _TOOLS:
        if shutil.which(tool, path=path()) is None:
            raise ToolMissing(f"virtme-ng needs {tool}", where=RUN, remedy=f"install {package}")
    if not any(shutil.which(tool, path=path()) for tool in _VERSION_TOOLS):
        raise ToolMissing("virtme-ng needs file, or strings of binutils", where=RUN, remedy="install file")
    return found


@functools.cache
def version() -> str:
    """Return virtme-ng's name and version, "" where it does not say; raise as `command` does."""
    vng = str(Path(command()).with_name("vng"))
    try:
        said = subprocess.run([vng, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return said if re.fullmatch(r"[\w. +~-]{1,60}", said) else ""


def interpreter() -> str:
    """Return this Python's file, which runs our agent in the guest; raise HarnessError where that does not see it."""
    found = os.path.realpath(sys.executable)
    hidden = next((folder for folder in HIDDEN if found.startswith(f"{folder}/")), "")
    if hidden:
        text = f"this Python is in {hidden}, where a guest of virtme-ng has a folder of its own"
        raise HarnessError(text, where=found, remedy="run everykernel by a Python elsewhere")
    return found


def check_host(arch: Architecture, spec: str) -> None:
    """Raise UsageError where a kernel is of another architecture than this host, whose programs have to run on it."""
    if arch.uname != platform.machine():
        text = f"its architecture is {arch.name}, and the host's programs are for {platform.machine()}"
        raise UsageError(text, where=spec, remedy=f"leave @vng out: {machine_of(spec)[0]}")


def check_flavour(flavour: str, spec: str) -> None:
    """Raise UsageError for a flavour that is known to have no 9p, before it is fetched."""
    if flavour.startswith("cloud-"):
        raise _without(spec, "Debian's cloud kernels have no 9p", virtiofs=True)


def check_kernel(kernel: Kernel) -> None:
    """Raise UsageError for a kernel that cannot have this host's files; one without a configuration is believed."""
    if kernel.config is None:
        return
    text = kernel.config.read_text(errors="replace")
    lacking = [name for name in (*_OPTIONS, _OVERLAY) if not re.search(rf"^CONFIG_{name}=[ym]$", text, re.MULTILINE)]
    if lacking:
        virtiofs = lacking != [_OVERLAY] and re.search(r"^CONFIG_VIRTIO_FS=[ym]$", text, re.MULTILINE) is not None
        raise _without(kernel.spec, f"it has no CONFIG_{' and no CONFIG_'.join(lacking)}", virtiofs=virtiofs)


def _without(spec: str, why: str, *, virtiofs: bool) -> UsageError:
    text = f"{why}, by which virtme-ng gives a guest the host's files"
    if virtiofs:
        text += "; for virtiofs it would have to keep a daemon beside the guest, which ends with its dry run"
    plain = re.sub(r"\+[a-z0-9.-]+", "", machine_of(spec)[0])
    remedy = f"{plain}+generic@vng" if re.fullmatch(r"[\d.]+", plain) else "a Debian kernel, like 6.1@vng"
    return UsageError(text, where=spec, remedy=f"use {remedy}")
