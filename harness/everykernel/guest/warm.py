"""What is done once, before the warm snapshot: every cell that is restored from it finds it done.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import mmap
import select
import sys
from typing import TYPE_CHECKING

from everykernel import load
from everykernel.btf import sanitise
from everykernel.guest import timers
from everykernel.load.attach import dispatch, usdt
from everykernel.load.maps import perfbuf, ringbuf, userring
from everykernel.object import elf
from everykernel.object.sections import PROGRAM_TYPE

if TYPE_CHECKING:
    from everykernel.load import KernelTypes

_MODULES = (dispatch, usdt, perfbuf, ringbuf, userring, elf, fcntl, mmap, select)  # imported late elsewhere

# What checks of cases import as a rule: a second and a half under TCG, spent once here instead of in each cell.
_OF_CHECKS = ("ctypes", "pathlib", "re", "shutil", "signal", "socket", "struct", "subprocess", "tempfile", "threading")

# Asked of nearly every object: a tracing program, a packet program, the maps that hold variables.
_PROGRAM_TYPES = ("kprobe", "tracepoint", "raw_tracepoint", "xdp", "socket_filter", "tracing")


def warm(kernel: KernelTypes) -> None:
    """Import what is imported late, learn what most objects need to know, and set the timers of all CPUs."""
    for name in load.__all__:
        getattr(load, name)
    elf.layouts(sys.byteorder == "little")  # imports pyelftools and builds its parsers
    importlib.import_module("elftools.elf.elffile")  # programs and libraries with probes are read by it
    learn(kernel)
    if kernel.system.architecture.forgets:
        timers.arm()
    for name in _OF_CHECKS:
        with contextlib.suppress(ImportError):  # a Python without all of its library
            importlib.import_module(name)


def learn(kernel: KernelTypes) -> None:
    """Index the kernel's BTF, read its symbols, and ask the probes that most objects need."""
    if kernel.vmlinux is not None:
        _ = kernel.vmlinux.index
        _ = kernel.vmlinux.pointer_size
        _ = kernel.target.modules
    kernel.symbols.read()
    for feature in sanitise.FEATURES:
        kernel.probes.btf(feature)
    for name in _PROGRAM_TYPES:
        kernel.probes.program_type(PROGRAM_TYPE[name])
    kernel.probes.expected_attach_type()
    kernel.probes.names()
    kernel.probes.global_data()
    kernel.probes.read_kernel()
