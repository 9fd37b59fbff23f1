"""What came when: what Linux 4.14, 4.18 and 5.4 know of bpf(2), of instructions and of system calls.

Source: include/uapi/linux/bpf.h, kernel/bpf/syscall.c and arch/x86/entry/syscalls/syscall_64.tbl of each release, and
the commits that are named. From this one table come the seccomp filter, the double of the machine's door and the kernel
that answers as an old one. Vendors' kernels of these numbers have more: they brought things back.

This module is run in guests too: standard library only, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Commands of bpf(2) by number: where the attribute ends that each takes (CHECK_ATTR).
_ELEMENTS = {1: 24, 2: 32, 3: 16, 4: 24}  # LOOKUP, UPDATE, DELETE, GET_NEXT_KEY
_OLDEST = {0: 28, **_ELEMENTS, 5: 48, 6: 12, 7: 12, 8: 16, 9: 12, 10: 40, 11: 8, 12: 8, 13: 4, 14: 4, 15: 16}


@dataclass(frozen=True)
class Release:
    """A release as far as the tests need it; all numbers are the last ones that it knows.

    Attributes:
        name: its number.
        attr: bytes of union bpf_attr: what is behind them has to be zero (E2BIG).
        command, map, program, attach, helper: of enum bpf_cmd, bpf_map_type, bpf_prog_type, bpf_attach_type and
            bpf_func_id.
        map_flags, program_flags: those that exist.
        insns: of a program: BPF_MAXINSNS until Linux commit c04c0d2b968a (v5.2).
        pseudo: source register of a 64-bit load: 1 a map, 2 what is in one (Linux commit d8eca5bbb2be, v5.2).
        kind: of BTF, 0 where BPF_BTF_LOAD is not there (Linux commit f56a653c1fd1, v4.18).
        program_info, map_info: bytes that the kernel fills of struct bpf_prog_info and bpf_map_info.
        syscall: of x86_64.
        calls: functions in programs (Linux commit cc8b0b92a169, v4.16).
        jmp32: jumps by half a register (Linux commit 092ed0968bb6, v5.1).
        loops: loops that end (Linux commit 2589726d12a1, v5.3).
        versioned: kprobe programs name the kernel's version (until Linux commit 6c4fc209fcf9, v5.0).
        probe_pmu: perf events for probes (Linux commits e12f03d7031a, 33ea4b24277b, v4.17).
        semaphores: counters that switch probes on (Linux commit a6ca88b241d5, v4.20).
        syscall_info: PTRACE_GET_SYSCALL_INFO (Linux commit 201766a20e30, v5.3).
        ends: by command, the bytes of its attribute that it knows.
    """

    name: str
    attr: int
    command: int
    map: int
    program: int
    attach: int
    helper: int
    map_flags: int
    program_flags: int
    insns: int
    pseudo: int
    kind: int
    program_info: int
    map_info: int
    syscall: int
    calls: bool = True
    jmp32: bool = False
    loops: bool = False
    versioned: bool = True
    probe_pmu: bool = True
    semaphores: bool = False
    syscall_info: bool = False
    ends: dict[int, int] = field(default_factory=dict)


RELEASES = {
    row.name: row
    for row in (
        Release(
            "4.14", attr=48, command=15, map=15, program=14, attach=5, helper=53, map_flags=0x7, program_flags=0x1,
            insns=4096, pseudo=1, kind=0, program_info=40, map_info=24, syscall=332, calls=False, probe_pmu=False,
            ends=_OLDEST,
        ),
        Release(
            "4.18", attr=72, command=20, map=18, program=20, attach=16, helper=80, map_flags=0x3F, program_flags=0x1,
            insns=4096, pseudo=1, kind=11, program_info=128, map_info=80, syscall=334,
            ends={**_OLDEST, 0: 60, 5: 72, 6: 16, 7: 16, 14: 12, 13: 12, 16: 28, 17: 12, 18: 28, 19: 12, 20: 48},
        ),
        Release(
            "5.4", attr=112, command=23, map=25, program=25, attach=22, helper=110, map_flags=0x3FF, program_flags=0xF,
            insns=1000000, pseudo=2, kind=15, program_info=208, map_info=80, syscall=435, jmp32=True, loops=True,
            versioned=False, semaphores=True, syscall_info=True,
            ends={
                **_OLDEST, 0: 60, 1: 32, 5: 108, 6: 16, 7: 16, 10: 64, 13: 12, 14: 12, 16: 28, 17: 12, 18: 28, 19: 12,
                20: 48, 21: 24, 22: 4, 23: 8,
            },
        ),
    )
}  # fmt: skip
