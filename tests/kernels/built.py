"""A kernel that no distribution has: 6.8 by its number, built small from Debian's source of another series.

``python -m tests.kernels.built`` (``nox -s kernel68``) leaves ``built/6.8/vmlinuz`` and ``config`` in the cache. It
takes some minutes of two processors, and needs gcc, make, flex, bison, bc and libelf's headers.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from everykernel import cache
from everykernel.kernels.debian import Archive
from everykernel.kernels.twins import tree

SOURCE = "linux-source-6.1"
VERSION = {"VERSION": "6", "PATCHLEVEL": "8", "SUBLEVEL": "12"}
RELEASE = "6.8.12-060812-generic"  # as Ubuntu's mainline builds are called
_ENABLED = """
64BIT SMP PRINTK TTY SERIAL_8250 SERIAL_8250_CONSOLE BLK_DEV_INITRD RD_GZIP RD_XZ RD_ZSTD RD_LZ4 BINFMT_ELF
BINFMT_SCRIPT PROC_FS PROC_SYSCTL SYSFS DEVTMPFS TMPFS SHMEM PCI ACPI VIRTIO_MENU VIRTIO_PCI VIRTIO_CONSOLE HW_RANDOM
HW_RANDOM_VIRTIO NET UNIX INET BPF BPF_SYSCALL BPF_JIT PERF_EVENTS KPROBES UPROBES FTRACE FUNCTION_TRACER
KPROBE_EVENTS UPROBE_EVENTS DEBUG_KERNEL DEBUG_FS SECURITY SECURITYFS CGROUPS CGROUP_BPF FUTEX EPOLL EVENTFD TIMERFD
SIGNALFD POSIX_TIMERS MULTIUSER FILE_LOCKING ADVISE_SYSCALLS MEMBARRIER RSEQ AIO KALLSYMS KALLSYMS_ALL
HIGH_RES_TIMERS HYPERVISOR_GUEST PARAVIRT KVM_GUEST IKCONFIG IKCONFIG_PROC INOTIFY_USER SYSVIPC POSIX_MQUEUE
NAMESPACES MODULES UNIX98_PTYS KERNEL_XZ DEVMEM RTC_CLASS
"""


def place() -> Path:
    """Return where the kernel is kept, whether it is there or not."""
    return cache.folder("built") / "6.8"


def build(folder: Path) -> Path:
    """Build the kernel in ``folder``, where it is not there yet; return the path of its image."""
    image = folder / "vmlinuz"
    if image.exists():
        return image
    folder.mkdir(parents=True, exist_ok=True)
    archive = Archive()
    package = archive.fetch(archive.newest(["bookworm-security", "bookworm"], SOURCE, "amd64"))
    with tempfile.TemporaryDirectory(prefix="everykernel-", dir=folder) as work:
        top = source(package, Path(work), VERSION)
        configure(top, local=RELEASE.removeprefix("6.8.12"))
        tree.make(top, "bzImage", f"-j{os.cpu_count()}")
        shutil.copy(top / ".config", folder / "config")
        shutil.copy(top / "arch/x86/boot/bzImage", folder / "vmlinuz.new")
    return (folder / "vmlinuz.new").rename(image)


def source(package: Path, work: Path, version: Mapping[str, str]) -> Path:
    """Unpack the kernel's source into an empty folder, the variables of its Makefile set that are its version."""
    tree.unpack(package, work)
    number(work, version)
    return work


def number(top: Path, version: Mapping[str, str]) -> None:
    """Set the variables of a source tree's Makefile that are its version."""
    makefile = top / "Makefile"
    text = makefile.read_text()
    for name, value in version.items():
        text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
    makefile.write_text(text)


def configure(top: Path, *, local: str, enabled: str = "", disabled: str = "", texts: Sequence[str] = ()) -> None:
    """Write the configuration: small, with what a guest needs, and what else is named.

    ``local`` ends the kernel's release, ``texts`` are settings that are no switches: ``NAME="text"``.
    """
    tree.make(top, "tinyconfig")
    lines = [f"CONFIG_{name}=y" for name in f"{_ENABLED} {enabled}".split()]
    lines += [f"# CONFIG_{name} is not set" for name in f"KERNEL_GZIP EXPERT EMBEDDED {disabled}".split()]
    lines += [f"CONFIG_{text}" for text in texts]
    lines += [f'CONFIG_LOCALVERSION="{local}"', "# CONFIG_LOCALVERSION_AUTO is not set"]
    with (top / ".config").open("a") as file:
        file.write("\n".join(lines) + "\n")
    tree.make(top, "olddefconfig")


if __name__ == "__main__":
    sys.stdout.write(f"{build(place())}\n")
