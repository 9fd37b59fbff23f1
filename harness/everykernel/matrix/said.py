"""What tools of others say when they give up, as a table: so their reason becomes a code and a line.

A tool's last line is seldom its reason: BCC ends in a traceback of Python's, libbpf's tools in a number. The first row
of which a line is found in what the tool wrote explains it, so the more particular stand first. What the kernel refused
by bpf(2) explains more, and is asked first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LONGEST = 300  # characters of a line that are told


class Saying(NamedTuple):
    """One thing that tools say.

    Attributes:
        says: found in a line of what they write.
        code: the reason code that it comes to.
        remedy: what to do, "" where the hint of the code says it.
    """

    says: re.Pattern[str]
    code: str
    remedy: str = ""


_PUSH = "push what is missing (--push); where it is in a folder of unpacked packages, name that (--sysroot)"
_LIBBPF = "push a BTF of this kernel to where libbpf looks: --push FILE:/boot/vmlinux-RELEASE"
_TYPE = "give it a BTF that has it: --env BPFTRACE_BTF=/sys/kernel/btf/vmlinux, or a file that is pushed"
_TYPES = "it found no BTF either; where the kernel has one: --env BPFTRACE_BTF=/sys/kernel/btf/vmlinux"

_TABLE = tuple(
    Saying(re.compile(says), code, remedy)
    for says, code, remedy in (
        # BCC: src/cc/frontends/clang/kbuild_helper.cc
        (r"[Uu]nable to find kernel headers", "kernel-headers-missing", ""),
        # bpftrace, which falls back on headers where it finds no BTF
        (r"bpftrace/include/clang_workarounds\.h.*: fatal error: ", "kernel-headers-missing", _TYPES),
        # ld.so(8), Python's import and ctypes
        (r"error while loading shared libraries: ", "command-not-started", _PUSH),
        (r"^(ModuleNotFoundError|ImportError): ", "command-not-started", _PUSH),
        (r"^OSError: .*cannot open shared object file", "command-not-started", _PUSH),
        # libbpf: src/libbpf.c; bpftool. What libbpf only notes (btf.c) is not here: its tool may do without.
        (r"Error loading vmlinux BTF", "btf-missing", _LIBBPF),
        (r"failed to load BTF from /sys/kernel/btf/vmlinux: No such file", "btf-missing", ""),
        # bpftrace: its last line is a mark below the script
        (r": ERROR: Unknown struct/union: ", "command-failed", _TYPE),
        (r": ERROR: tracepoint not found: ", "attach-target-missing", ""),
        (r"^cannot attach kprobe, probe entry may not exist", "attach-target-missing", ""),
        (r":\d+:\d+(-\d+)?: ERROR: ", "command-failed", ""),
    )
)


def explain(written: str) -> tuple[str, str, str] | None:
    """Return reason code, line and remedy of what a tool wrote; None where it is not known."""
    lines = written.splitlines()
    for row in _TABLE:
        for line in lines:
            if row.says.search(line):
                return row.code, line.strip()[:_LONGEST], row.remedy
    return None
