"""The table of architectures: a row holds all that differs between them, on the host and in the guest.

An ``if arch ==`` anywhere else is a question. This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from everykernel.dataclass import dataclass


@dataclass(frozen=True)
class Architecture:
    """One guest architecture.

    Attributes:
        name: our name, the part after ``/`` in a kernel spec.
        debian: Debian's name for it.
        uname: what ``uname -m`` prints there.
        qemu: the QEMU system emulator.
        qemu_packages: what brings it to Debian 12 (and Ubuntu), Fedora and Arch.
        qemu_machine: its ``-M`` value, without the memory back end.
        qemu_cpu: its ``-cpu`` value under TCG.
        kvm_uname: the host's ``uname -m`` values on which KVM can run it.
        console: the kernel's ``console=`` device behind QEMU's first serial port.
        pointer_size: bytes in a pointer (and in the kernel's ``long``).
        byteorder: ``"little"`` or ``"big"``.
        flavours: the Debian kernel flavours that we take, the default first.
        syscall_bpf, syscall_perf_event_open: system call numbers (Linux arch/*/entry/syscalls/*.tbl).
        audit_arch: what seccomp(2) calls it: AUDIT_ARCH_* of include/uapi/linux/audit.h.
        elf_machine: what an ELF file of it is marked with: EM_* of include/uapi/linux/elf-em.h.
        triplet: its GNU name, as compilers and Debian's folders of libraries have it.
        syscall_prefix: prefix of system call functions in kallsyms (Linux v4.17, syscall wrappers), as libbpf looks for
            it (arch_specific_syscall_pfx); where none has it, there are no wrappers.
        bpf_target_define: the ``__TARGET_ARCH_*`` that libbpf's bpf_tracing.h asks for.
        compile_flags: further clang flags for an object that is meant for this target.
        serial_bus: QEMU's virtio-serial device: how this machine finds what is attached to it.
        elf: QEMU's ``-kernel`` takes the ELF file that is compressed in an image, where it has the note that says where
            to enter it (PVH): an emulated CPU need not unpack it.
        hurry: for the kernel's command line: checks that an emulated machine passes, or fails because its host is busy.
        nmi: what QEMU's ``inject-nmi`` needs on the kernel's command line to make a hung kernel panic; "" for nothing.
        tcg_threads: all virtual CPUs in one thread (``single``: with a guest a core that beats a thread each, 16 fresh
            guests on 2 cores in 0.52 s against 0.64 s), or ``multi`` where a kernel does not come up so.
        forgets: a saved machine does not hold when its CPUs' timers are due (QEMU before 8.1 on powerpc, 7.2 on
            RISC-V and, at times, on s390x), nor, on s390x, which interrupts of virtio devices are: without the one that
            is due (virtio_ccw_notify asks for none while the summary indicator is set) the device stays silent.
        ioctl_size_bits, ioctl_directions: how an ioctl's number is made: the bits of its size, _IOC_NONE and _IOC_WRITE
            (include/uapi/asm-generic/ioctl.h, arch/powerpc/include/uapi/asm/ioctl.h).
    """

    name: str
    debian: str
    uname: str
    qemu: str
    qemu_packages: tuple[str, str, str]
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
    elf_machine: int
    triplet: str
    syscall_prefix: str
    bpf_target_define: str
    compile_flags: tuple[str, ...]
    serial_bus: str = "virtio-serial-pci"
    elf: bool = False
    hurry: str = ""
    nmi: str = ""
    tcg_threads: str = "single"
    forgets: bool = False
    ioctl_size_bits: int = 14
    ioctl_directions: tuple[int, int] = (0, 1)

    def ioctl(self, kind: str, number: int, size: int = 0) -> int:
        """Return the number of an ioctl that takes nothing, or ``size`` bytes: ``_IO`` or ``_IOW`` of the kernel's."""
        direction = self.ioctl_directions[size > 0]
        return direction << 16 + self.ioctl_size_bits | size << 16 | ord(kind) << 8 | number

    @property
    def bpf_target(self) -> str:
        """clang's ``-target`` for BPF of this byte order."""
        return "bpfel" if self.byteorder == "little" else "bpfeb"


# -cpu max,-avx: glibc's AVX memcpy is slow under TCG (measured 1.4 times); a model without RDRAND makes Python wait for
# entropy. -erms,-fsrm: with them the kernel copies and clears memory by `rep movsb`, which TCG does byte by byte (a
# boot takes 6 % longer, warming up 9). i386 runs under the 64-bit emulator.
ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        Architecture(
            name="x86_64",
            debian="amd64",
            uname="x86_64",
            qemu="qemu-system-x86_64",
            qemu_packages=("qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86"),
            qemu_machine="q35",
            qemu_cpu="max,-avx,-erms,-fsrm",
            kvm_uname=("x86_64",),
            console="ttyS0",
            pointer_size=8,
            byteorder="little",
            flavours=("cloud-amd64", "amd64"),
            syscall_bpf=321,
            syscall_perf_event_open=298,
            audit_arch=0xC000003E,
            elf_machine=62,
            triplet="x86_64-linux-gnu",
            syscall_prefix="__x64_",
            bpf_target_define="__TARGET_ARCH_x86",
            compile_flags=("-D__x86_64__",),
            elf=True,
            hurry="no_timer_check",  # or "IO-APIC + timer doesn't work!" where the host leaves QEMU no time
            nmi="unknown_nmi_panic",
        ),
        Architecture(
            name="i386",
            debian="i386",
            uname="i686",
            qemu="qemu-system-x86_64",
            qemu_packages=("qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86"),
            qemu_machine="q35",
            qemu_cpu="max,-avx,-erms,-fsrm",
            kvm_uname=("x86_64",),
            console="ttyS0",
            pointer_size=4,
            byteorder="little",
            flavours=("686-pae", "686"),
            syscall_bpf=357,
            syscall_perf_event_open=336,
            audit_arch=0x40000003,
            elf_machine=3,
            triplet="i386-linux-gnu",
            syscall_prefix="__ia32_",
            bpf_target_define="__TARGET_ARCH_x86",
            compile_flags=("-D__i386__",),
            elf=True,
            hurry="no_timer_check",  # or "IO-APIC + timer doesn't work!" where the host leaves QEMU no time
            nmi="unknown_nmi_panic",
        ),
        Architecture(
            name="arm64",
            debian="arm64",
            uname="aarch64",
            qemu="qemu-system-aarch64",
            qemu_packages=("qemu-system-arm", "qemu-system-aarch64-core", "qemu-system-aarch64"),
            qemu_machine="virt",
            qemu_cpu="max,pauth=off,sve=off",
            kvm_uname=("aarch64",),
            console="ttyAMA0",
            pointer_size=8,
            byteorder="little",
            flavours=("cloud-arm64", "arm64"),
            syscall_bpf=280,
            syscall_perf_event_open=241,
            audit_arch=0xC00000B7,
            elf_machine=183,
            triplet="aarch64-linux-gnu",
            syscall_prefix="__arm64_",
            bpf_target_define="__TARGET_ARCH_arm64",
            compile_flags=("-D__aarch64__",),
        ),
        Architecture(
            name="armhf",
            debian="armhf",
            uname="armv7l",
            qemu="qemu-system-arm",
            qemu_packages=("qemu-system-arm", "qemu-system-arm-core", "qemu-system-arm"),
            qemu_machine="virt,highmem=off",
            qemu_cpu="cortex-a15",
            tcg_threads="multi",  # 6.12 with two CPUs in one thread stops before init, with QEMU 7.2
            kvm_uname=(),
            console="ttyAMA0",
            pointer_size=4,
            byteorder="little",
            flavours=("armmp", "armmp-lpae"),
            syscall_bpf=386,
            syscall_perf_event_open=364,
            audit_arch=0x40000028,
            elf_machine=40,
            triplet="arm-linux-gnueabihf",
            syscall_prefix="__arm_",
            bpf_target_define="__TARGET_ARCH_arm",
            compile_flags=("-D__arm__",),
        ),
        Architecture(
            name="s390x",
            debian="s390x",
            uname="s390x",
            qemu="qemu-system-s390x",
            qemu_packages=("qemu-system-misc", "qemu-system-s390x-core", "qemu-system-s390x"),
            qemu_machine="s390-ccw-virtio",
            qemu_cpu="max,vx=off",  # with them QEMU 7.2 sums up some TCP segments wrongly, which the peer drops
            kvm_uname=("s390x",),
            console="ttysclp0",
            pointer_size=8,
            byteorder="big",
            flavours=("s390x",),
            syscall_bpf=351,
            syscall_perf_event_open=331,
            audit_arch=0x80000016,
            elf_machine=22,
            triplet="s390x-linux-gnu",
            syscall_prefix="__s390x_",
            bpf_target_define="__TARGET_ARCH_s390",
            compile_flags=("-D__s390x__",),
            serial_bus="virtio-serial-ccw",
            forgets=True,
        ),
        Architecture(
            name="riscv64",
            debian="riscv64",
            uname="riscv64",
            qemu="qemu-system-riscv64",
            qemu_packages=("qemu-system-misc", "qemu-system-riscv-core", "qemu-system-riscv"),
            qemu_machine="virt",
            qemu_cpu="rv64",
            kvm_uname=("riscv64",),
            console="ttyS0",
            pointer_size=8,
            byteorder="little",
            flavours=("riscv64",),
            syscall_bpf=280,
            syscall_perf_event_open=241,
            audit_arch=0xC00000F3,
            elf_machine=243,
            triplet="riscv64-linux-gnu",
            syscall_prefix="__riscv_",
            bpf_target_define="__TARGET_ARCH_riscv",
            compile_flags=("-D__riscv", "-D__riscv_xlen=64"),
            forgets=True,
        ),
        Architecture(
            name="ppc64el",
            debian="ppc64el",
            uname="ppc64le",
            qemu="qemu-system-ppc64",
            qemu_packages=("qemu-system-ppc", "qemu-system-ppc-core", "qemu-system-ppc"),
            qemu_machine="pseries",
            qemu_cpu="power9",
            kvm_uname=("ppc64le", "ppc64"),
            console="hvc0",
            pointer_size=8,
            byteorder="little",
            flavours=("powerpc64le",),
            syscall_bpf=361,
            syscall_perf_event_open=319,
            audit_arch=0xC0000015,
            elf_machine=21,
            triplet="powerpc64le-linux-gnu",
            syscall_prefix="__powerpc_",
            bpf_target_define="__TARGET_ARCH_powerpc",
            compile_flags=("-D__powerpc64__",),
            forgets=True,
            ioctl_size_bits=13,
            ioctl_directions=(1, 4),
        ),
    )
}

BY_UNAME = {row.uname: row for row in ARCHITECTURES.values()}
DEFAULT = ARCHITECTURES["x86_64"]
