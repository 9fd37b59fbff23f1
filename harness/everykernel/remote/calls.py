"""The numbers of system calls: Linux arch/*/kernel/syscalls/syscall*.tbl, and include/uapi/asm-generic/unistd.h.

bpf(2) and perf_event_open(2) are in `architectures`, whose rows travel. `mmap2` counts its offset in 4096 bytes;
on s390x `mmap` takes one pointer to its arguments.
"""

from __future__ import annotations

from everykernel.architectures import ARCHITECTURES, Architecture

_NAMES = ("x86_64", "i386", "arm64", "armhf", "s390x", "riscv64", "ppc64el")
_ROWS: dict[str, tuple[int | None, ...]] = {
    "read": (0, 3, 63, 3, 3, 63, 3),
    "write": (1, 4, 64, 4, 4, 64, 4),
    "close": (3, 6, 57, 6, 6, 57, 6),
    "openat": (257, 295, 56, 322, 288, 56, 286),
    "mmap": (9, None, 222, None, 90, 222, 90),
    "mmap2": (None, 192, None, 192, None, None, None),
    "munmap": (11, 91, 215, 91, 91, 215, 91),
    "ioctl": (16, 54, 29, 54, 54, 29, 54),
    "dup": (32, 41, 23, 41, 41, 23, 41),
    "nanosleep": (35, 162, 101, 162, 162, 101, 162),
    "getpid": (39, 20, 172, 20, 20, 172, 20),
    "socket": (41, 359, 198, 281, 359, 198, 326),
    "setsockopt": (54, 366, 208, 294, 366, 208, 339),
    "uname": (63, 122, 160, 122, 122, 160, 122),
    "mount": (165, 21, 40, 21, 21, 40, 21),
    "clock_settime": (227, 264, 112, 262, 259, 112, 245),
    "exit_group": (231, 252, 94, 248, 248, 94, 234),
    "mkdirat": (258, 296, 34, 323, 289, 34, 287),
    "unlinkat": (263, 301, 35, 328, 294, 35, 292),
    "ppoll": (271, 309, 73, 336, 302, 73, 281),
    "sched_setaffinity": (203, 241, 122, 241, 239, 122, 222),
    "getdents64": (217, 220, 61, 217, 220, 61, 202),
    "timerfd_create": (283, 322, 85, 350, 319, 85, 306),
    "timerfd_settime": (286, 325, 86, 353, 320, 86, 311),
    "prlimit64": (302, 340, 261, 369, 334, 261, 325),
    "finit_module": (313, 350, 273, 379, 344, 273, 353),
    "statx": (332, 383, 291, 397, 379, 291, 383),
    "fchmod": (91, 94, 52, 94, 94, 52, 94),
}


def numbers(arch: Architecture) -> dict[str, int]:
    """Return the numbers of an architecture's system calls by name."""
    column = _NAMES.index(arch.name)
    found = {name: row[column] for name, row in _ROWS.items()}
    known = {name: number for name, number in found.items() if number is not None}
    return known | {"bpf": arch.syscall_bpf, "perf_event_open": arch.syscall_perf_event_open}


NUMBERS = {arch.name: numbers(arch) for arch in ARCHITECTURES.values()}
