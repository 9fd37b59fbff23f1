"""The table of architectures: a row holds all that differs between them, on the host and in the guest.

An ``if arch ==`` anywhere else is a question. This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """One guest architecture.

    Attributes:
        name: our name, the part after ``/`` in a kernel spec.
        debian: Debian's name for it.
        uname: what ``uname -m`` prints there.
        qemu: the QEMU system emulator.
        qemu_machine: its ``-M`` value, without the memory back end.
        qemu_cpu: its ``-cpu`` value under TCG.
        kvm_uname: the host's ``uname -m`` values on which KVM can run it.
        console: the kernel's ``console=`` device behind QEMU's first serial port.
        pointer_size: bytes in a pointer (and in the kernel's ``long``).
        byteorder: ``"little"`` or ``"big"``.
        flavours: the Debian kernel flavours that we take, the default first.
        syscall_bpf, syscall_perf_event_open: system call numbers (Linux arch/*/entry/syscalls/*.tbl).
        audit_arch: what seccomp(2) calls it: AUDIT_ARCH_* of include/uapi/linux/audit.h.
        syscall_prefix: prefix of system call functions in kallsyms (Linux v4.17, syscall wrappers).
        bpf_target_define: the ``__TARGET_ARCH_*`` that libbpf's bpf_tracing.h asks for.
        compile_flags: further clang flags for an object that is meant for this target.
    """

    name: str
    debian: str
    uname: str
    qemu: str
    qemu_machine: str
    qemu_cpu: str
    kvm_uname: tuple[str, ...]
    console: str
    pointer_size: int
    byteorder: str
    flavours: tuple[str, ...]
    syscall_bpf: int
    syscall_perf_event_open: int
    audit_arch: int
    syscall_prefix: str
    bpf_target_define: str
    compile_flags: tuple[str, ...]


# -cpu max,-avx: glibc's AVX memcpy is slow under TCG (measured 1.4 times); a model without RDRAND makes Python wait for
# entropy. i386 runs under the 64-bit emulator.
ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        Architecture(
            name="x86_64",
            debian="amd64",
            uname="x86_64",
            qemu="qemu-system-x86_64",
            qemu_machine="q35",
            qemu_cpu="max,-avx",
            kvm_uname=("x86_64",),
            console="ttyS0",
            pointer_size=8,
            byteorder="little",
            flavours=("cloud-amd64", "amd64"),
            syscall_bpf=321,
            syscall_perf_event_open=298,
            audit_arch=0xC000003E,
            syscall_prefix="__x64_",
            bpf_target_define="__TARGET_ARCH_x86",
            compile_flags=("-D__x86_64__",),
        ),
        Architecture(
            name="i386",
            debian="i386",
            uname="i686",
            qemu="qemu-system-x86_64",
            qemu_machine="q35",
            qemu_cpu="max,-avx",
            kvm_uname=("x86_64",),
            console="ttyS0",
            pointer_size=4,
            byteorder="little",
            flavours=("686-pae", "686"),
            syscall_bpf=357,
            syscall_perf_event_open=336,
            audit_arch=0x40000003,
            syscall_prefix="__ia32_",
            bpf_target_define="__TARGET_ARCH_x86",
            compile_flags=("-D__i386__",),
        ),
    )
}

DEFAULT = ARCHITECTURES["x86_64"]
