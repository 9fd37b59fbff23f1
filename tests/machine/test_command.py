"""The command line is a fold over devices, tested without QEMU."""

from __future__ import annotations

from everykernel.architectures import ARCHITECTURES
from everykernel.machine import MachineSpec, command
from everykernel.machine.command import Place
from everykernel.machine.devices import Boot, Console, Memory

X86 = ARCHITECTURES["x86_64"]
PLACE = Place(console="/run/a, b", channel=7, control=8)


def test_a_guest_that_boots() -> None:
    """All arguments of a booting guest, in order."""
    spec = MachineSpec(cpus=3, memory=512, cmdline="lsm=bpf quiet")
    devices = command.booting(
        command.common(X86, spec, "tcg", PLACE), Memory(512, "/m", shared=True), Boot("/k", "/i", spec.cmdline)
    )
    assert command.arguments(devices) == [
        *("-machine", "q35,memory-backend=memory", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-accel", "tcg,thread=single", "-cpu", X86.qemu_cpu, "-smp", "3"),
        *("-chardev", "file,id=console,path=/run/a,, b", "-serial", "chardev:console"),
        *("-chardev", "socket,id=agent,fd=7", "-device", "virtio-serial-pci"),
        *("-device", "virtserialport,chardev=agent,name=everykernel.agent"),
        *("-chardev", "socket,id=control,fd=8", "-mon", "chardev=control,mode=control"),
        "-no-reboot",
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-m", "512", "-object", "memory-backend-file,id=memory,size=512M,mem-path=/m,share=on"),
        *("-kernel", "/k", "-initrd", "/i"),
        "-append",
        "console=ttyS0 loglevel=5 panic=-1 oops=panic unknown_nmi_panic cryptomgr.notests no_timer_check"
        " rdinit=/init lsm=bpf quiet",
    ]


def test_a_restored_guest_never_shares_the_snapshots_memory() -> None:
    """A finished snapshot's memory is mapped privately, and nothing boots."""
    devices = command.restoring(command.common(X86, MachineSpec(), "tcg", PLACE), MachineSpec(), "/m,emory")
    arguments = command.arguments(devices)
    assert "memory-backend-file,id=memory,size=256M,mem-path=/m,,emory,share=off" in arguments
    assert arguments[-2:] == ["-incoming", "defer"]
    assert not {"-kernel", "-initrd", "-append"} & set(arguments)


def test_a_guest_that_becomes_a_snapshot_shares_its_own_copy() -> None:
    """While a snapshot is made, what the guest writes reaches the file."""
    devices = command.continuing(command.common(X86, MachineSpec(), "tcg", PLACE), MachineSpec(), "/copy")
    assert "memory-backend-file,id=memory,size=256M,mem-path=/copy,share=on" in command.arguments(devices)


def test_kvm_runs_on_the_hosts_cpu() -> None:
    """Under KVM the guest's CPU is the host's."""
    arguments = command.arguments(command.common(X86, MachineSpec(), "kvm", PLACE))
    assert arguments[arguments.index("-accel") + 1] == "kvm"
    assert arguments[arguments.index("-cpu") + 1] == "host"


def test_what_both_have_is_the_same() -> None:
    """A state loads only into the machine that it was saved from: both start from the same devices."""
    common = command.common(X86, MachineSpec(), "tcg", PLACE)
    assert command.booting(common, Memory(256), Boot("k", "i"))[: len(common)] == common
    assert command.restoring(common, MachineSpec(), "m")[: len(common)] == common


def test_a_cold_guest_needs_no_memory_file() -> None:
    """Without a snapshot to make, memory is anonymous."""
    assert Memory(256).qemu() == ["-m", "256", "-object", "memory-backend-ram,id=memory,size=256M"]


def test_the_console_is_the_architectures() -> None:
    """The kernel is told the serial device that its architecture calls the first."""
    assert Console(X86, "/c").kernel()[0] == "console=ttyS0"
