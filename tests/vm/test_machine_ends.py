"""How a guest ends is told apart: panic, oops, hang, loss, and a request that takes too long."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from everykernel.errors import CaseTimeout, GuestLost, KernelHung, KernelOops, KernelPanic
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines, MachineSpec, snapshots
from everykernel.machine.running import QemuGuest

pytestmark = pytest.mark.vm

PUSH_ES = b"\x06"  # is not an instruction of x86-64
CLI_AND_SPIN = b"\xfa\xeb\xfe"


def test_panic(machines: Machines, linux: Kernel) -> None:
    """A panic is a kernel-panic with the kernel's own trace, and the next guest is unharmed."""
    with machines.start(linux) as guest, pytest.raises(KernelPanic) as caught:
        guest.run(["sh", "-c", "echo c > /proc/sysrq-trigger"])
    assert "sysrq triggered crash" in str(caught.value)
    assert "Call Trace:" in caught.value.console
    assert "sysrq_handle_crash" in caught.value.console
    with machines.start(linux) as guest:
        assert guest.run(["true"]).code == 0


def test_what_is_asked_of_a_dead_guest(guest: Guest) -> None:
    """Every later request says that the guest is gone, and why; its console can still be read."""
    with pytest.raises(KernelPanic):
        guest.run(["sh", "-c", "echo c > /proc/sysrq-trigger"])
    with pytest.raises(GuestLost, match="not there any more: the kernel panicked"):
        guest.run(["true"])
    assert "Kernel panic" in guest.console()


def test_oops(machines: Machines, linux: Kernel) -> None:
    """An oops ends the guest at once, is not taken for a panic, and has its trace.

    sysrq-c panics; so a module of the kernel's own is loaded whose first instruction, the one after the call of
    __fentry__, was replaced by one that x86-64 does not have.
    """
    with machines.start(linux, MachineSpec(modules=("dummy",))) as guest:
        put_broken_module(guest, PUSH_ES)
        with pytest.raises(KernelOops, match=r"6.1: the kernel oopsed: .*invalid opcode") as caught:
            guest.run(["insmod", "/broken.ko"])
    assert "Call Trace:" in caught.value.console
    assert "do_init_module" in caught.value.console


def put_broken_module(guest: Guest, instructions: bytes) -> None:
    """Put a copy of the dummy module, its init function broken, into the guest as /broken.ko."""
    path = guest.run(["find", "/lib/modules", "-name", "dummy.ko"]).stdout.decode().strip()
    guest.push("/broken.ko", with_init(guest.pull(path), instructions))
    guest.run(["rmmod", "dummy"])


def with_init(module: bytes, instructions: bytes) -> bytes:
    """Return the module with its init function beginning so, after its call of __fentry__, and unsigned."""
    elf = ELFFile(io.BytesIO(module))
    symbols = elf.get_section_by_name(".symtab")
    assert isinstance(symbols, SymbolTableSection)
    [symbol] = symbols.get_symbol_by_name("init_module") or []
    call_fentry = 5
    offset = elf.get_section(symbol["st_shndx"])["sh_offset"] + symbol["st_value"] + call_fentry
    unsigned = module.removesuffix(b"~Module signature appended~\n")  # a wrong signature is refused, none is not
    return unsigned[:offset] + instructions + unsigned[offset + len(instructions) :]


def test_hang(machines: Machines, linux: Kernel) -> None:
    """A guest whose agent neither answers nor dies is hung by its deadline, and its QEMU is ended."""
    with machines.start(linux) as guest:
        assert isinstance(guest, QemuGuest)
        pid = guest.qemu.pid
        started = time.monotonic()
        with pytest.raises(KernelHung, match=r"6.1: no answer within 1 s, nor to a ping"):
            guest.run(["sh", "-c", "kill -STOP $PPID"], timeout=1)
        assert time.monotonic() - started < 15
        assert gone(pid)


def test_hung_kernel(machines: Machines, linux: Kernel) -> None:
    """A kernel that spins with interrupts off is hung too, and its console says where."""
    with machines.start(linux, MachineSpec(cpus=1, modules=("dummy",))) as guest:
        put_broken_module(guest, CLI_AND_SPIN)
        with pytest.raises(KernelHung) as caught:
            guest.run(["insmod", "/broken.ko"], timeout=1)
    assert "do_init_module" in caught.value.console


def test_timeout(machines: Machines, linux: Kernel) -> None:
    """A program that never ends, while the agent answers, is a timeout of the case and no fault of the guest."""
    with machines.start(linux) as guest:
        started = time.monotonic()
        with pytest.raises(CaseTimeout, match=r"6.1: 'sleep 60' did not end within 1 s, while the guest still answers"):
            guest.run(["sleep", "60"], timeout=1)
        assert time.monotonic() - started < 10


def test_busy_timeout(machines: Machines, linux: Kernel) -> None:
    """A program that keeps every CPU busy is a timeout too."""
    with machines.start(linux) as guest, pytest.raises(CaseTimeout):
        guest.run(["sh", "-c", "while :; do :; done & while :; do :; done"], timeout=1)


def test_qemu_killed(machines: Machines, linux: Kernel) -> None:
    """A QEMU that somebody kills is a lost guest, and the error says by which signal."""
    with machines.start(linux) as guest:
        assert isinstance(guest, QemuGuest)
        os.kill(guest.qemu.pid, signal.SIGTERM)
        with pytest.raises(GuestLost, match=r"6.1: QEMU"):
            guest.run(["sleep", "5"])
    with machines.start(linux) as guest:
        assert isinstance(guest, QemuGuest)
        os.kill(guest.qemu.pid, signal.SIGKILL)
        with pytest.raises(GuestLost, match=r"6.1: QEMU was killed by signal 9, and the kernel did not say why"):
            guest.run(["sleep", "5"])


def test_the_agent_killed(guest: Guest) -> None:
    """A guest whose agent ended is lost, and the console says so."""
    with pytest.raises(GuestLost) as caught:
        guest.run(["sh", "-c", "kill -9 $PPID; sleep 5"])
    assert "the agent ended" in caught.value.console


def test_out_of_memory(guest: Guest) -> None:
    """A guest whose agent the kernel killed for memory is lost for that reason, and the error says what to do.

    Another program that takes it all is killed alone, and the guest goes on.
    """
    eat = "a = []\nwhile True: a.append(b'x' * (1 << 20))\n"
    assert guest.run(["python3", "-c", eat]).code == -signal.SIGKILL
    with pytest.raises(GuestLost, match=r"6.1: the guest ran out of memory: .* its agent \[.*memory = 512"):
        guest.run(["sh", "-c", f'echo 1000 > /proc/$PPID/oom_score_adj; python3 -c "{eat}"'])


def test_warnings(guest: Guest) -> None:
    """A splat in the console of a guest that goes on is found; an ordinary line is not."""
    lines = "WARNING: CPU: 1 PID: 7 at kernel/bpf/x.c:1 f+0x1/0x2\nCall Trace:\n f+0x1\n---[ end trace 1 ]---\nother\n"
    guest.run(["sh", "-c", 'while read -r l; do echo "<4>$l" > /dev/kmsg; done'], stdin=lines.encode())
    deadline = time.monotonic() + 10
    while "other" not in guest.console() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [splat.splitlines()[0] for splat in guest.warnings()] == [
        "WARNING: CPU: 1 PID: 7 at kernel/bpf/x.c:1 f+0x1/0x2"
    ]
    assert "other" not in guest.warnings()[0]


def test_closing_ends_what_others_wait_for(linux: Kernel) -> None:
    """Closing the machines ends a request that another thread waits for, at once, and no guest is started after."""
    machines = Machines("tcg")
    guest = machines.start(linux)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(guest.run, ["sleep", "60"])
        time.sleep(0.3)
        started = time.monotonic()
        machines.close()
        with pytest.raises(GuestLost):
            waiting.result(10)
        assert time.monotonic() - started < 5
    snapshot = machines.snapshot(linux)
    with pytest.raises(GuestLost, match="the machines were closed"):
        machines.start(linux)
    assert snapshots.find(snapshot.folder)


START = """
import sys, time
from everykernel import kernels
from everykernel.machine import Machines
machines = Machines("tcg")
guests = [machines.start(kernels.resolve(["6.1"])[0].fetch()) for _ in range(2)]
print(*(guest.qemu.pid for guest in guests), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_qemu_outlives_us(machines: Machines, linux: Kernel, number: signal.Signals) -> None:
    """However the process ends, its guests end with it."""
    machines.prepare(linux)
    # A shell that runs tests in the background has them ignore SIGINT.
    command = ["env", "--default-signal=INT", sys.executable, "-c", START]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    assert process.stdout is not None
    with process, process.stdout:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid, patience=0) for pid in pids)
        os.killpg(process.pid, number)
        process.wait(10)
        assert all(gone(pid) for pid in pids)


def gone(pid: int, patience: float = 5.0) -> bool:
    """Return whether process ``pid`` has ended (a zombie has)."""
    deadline = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            if state not in "ZX" and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            return state in "ZX"
        return True
