"""A fresh kernel for everyone: restored guests work, and none sees what another did."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from everykernel import cache, folders, wire
from everykernel.errors import KernelModuleMissing, RequestFailed, UsageError
from everykernel.kernels.model import Kernel
from everykernel.machine import COLD_BOOT, RESTORED, Guest, Machines, MachineSpec, snapshots
from everykernel.machine.running import QemuGuest

pytestmark = pytest.mark.vm


@pytest.mark.parametrize("spec", ["5.10", "6.1", "6.12", "6.1/i386"])
def test_runs_programs_of_its_own_kernel(machines: Machines, columns: dict[str, Kernel], spec: str) -> None:
    """Every column boots once, is restored after that, and runs the kernel that it says."""
    kernel = columns[spec]
    with machines.start(kernel) as guest:
        assert guest.start_kind == RESTORED
        assert guest.run(["/bin/uname", "-r"]).stdout.decode().strip() == kernel.release
        assert guest.facts.release == kernel.release
        assert guest.facts.machine == kernel.arch.uname
        assert guest.facts.cpus == 2
        assert guest.facts.btf is (spec != "6.1/i386")
        assert guest.facts.config


def test_run_gives_code_output_and_signal(guest: Guest) -> None:
    """A program's exit code, output and death by a signal all come back."""
    ran = guest.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin=b"in\0put")
    assert (ran.code, ran.stdout, ran.stderr) == (3, b"in\0put", b"oops\n")
    assert guest.run(["sh", "-c", "kill -9 $$"]).code == -9
    assert guest.run(["sh", "-c", "echo $X"], env={"X": "y"}).stdout == b"y\n"


def test_run_of_a_program_that_is_not_there(guest: Guest) -> None:
    """A program that cannot be started is an error that names it."""
    with pytest.raises(RequestFailed, match="/no/such: no such file or directory"):
        guest.run(["/no/such"])


def test_push_and_pull(guest: Guest) -> None:
    """Files of every size and name travel both ways, and folders are made for them."""
    data = bytes(range(256)) * 20_000
    guest.push("/new/folder/a file,with=signs", data, mode=0o755)
    assert guest.pull("/new/folder/a file,with=signs") == data
    guest.push("/new/empty", b"")
    assert guest.pull("/new/empty") == b""
    with pytest.raises(RequestFailed, match="/no/such: no such file or directory"):
        guest.pull("/no/such")


def test_the_clock_and_the_random_pool_are_fresh(machines: Machines, linux: Kernel) -> None:
    """Two guests of one snapshot have the right time and draw different numbers."""
    draws = set()
    for _ in range(2):
        with machines.start(linux) as guest:
            assert abs(float(guest.run(["date", "+%s"]).stdout) - time.time()) < 5
            draws.add(guest.run(["head", "-c", "16", "/dev/urandom"]).stdout)
    assert len(draws) == 2


def test_a_guest_does_not_see_what_another_did(machines: Machines, linux: Kernel) -> None:
    """A file, a sysctl and a pinned object left by one guest are not there in the next."""
    with machines.start(linux) as first:
        first.push("/tmp/left", b"behind")
        before = first.run(["cat", "/proc/sys/kernel/pid_max"]).stdout
        assert first.run(["sh", "-c", "echo 4242 > /proc/sys/kernel/pid_max && mkdir /sys/fs/bpf/left"]).code == 0
    with machines.start(linux) as second:
        assert second.run(["ls", "/tmp/left"]).code != 0
        assert second.run(["cat", "/proc/sys/kernel/pid_max"]).stdout == before
        assert second.run(["ls", "/sys/fs/bpf"]).stdout == b""


HELD = """
from everykernel.load.kernel.numbers import ids
from everykernel.load.system import abi

def check(obj):
    return [len(ids(obj.system, kind)) for kind in (abi.PROG_GET_NEXT_ID, abi.MAP_GET_NEXT_ID, abi.LINK_GET_NEXT_ID)]
"""
LEARNT = """
import sys
from everykernel.btf import Btf

def check(obj):
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("agent"), "_requests"):
        frame = frame.f_back
    known = frame.f_locals["agent"]._requests._kernel.vmlinux
    return [known.learnt, known.learn() == Btf.parse(known.raw).learn()]
"""


def _inside(machines: Machines, kernel: Kernel, source: str) -> tuple[wire.Loaded, object]:
    """Return what a fresh guest's kernel has loaded of an object, and what a check of it says."""
    data = (folders.data("cases") / "ringbuf_events" / "build" / kernel.arch.name / "prog.bpf.o").read_bytes()
    with machines.start(kernel) as guest:
        loaded = guest.request(wire.Load("prog.bpf.o", data))
        assert isinstance(loaded, wire.Loaded)
        checked = guest.request(wire.Check(loaded.handle, source, "inside.py"))
        assert isinstance(checked, wire.Checked)
        assert checked.passed, checked.message
        return loaded, checked.evidence


@pytest.mark.parametrize("spec", ["6.1", "6.12"])
def test_a_fresh_guest_holds_no_objects(machines: Machines, columns: dict[str, Kernel], spec: str) -> None:
    """Nothing is left of the object that was rehearsed before the snapshot: the kernel has what was loaded since."""
    loaded, held = _inside(machines, columns[spec], HELD)
    assert held == [len(loaded.load["programs"]), len(loaded.load["maps"]), 0]


@pytest.mark.parametrize("spec", ["6.1", "6.12"])
def test_what_the_host_knows_of_the_kernels_types(machines: Machines, columns: dict[str, Kernel], spec: str) -> None:
    """It is of the BTF that the guest has, and what the guest would find out."""
    assert _inside(machines, columns[spec], LEARNT)[1] == [True, True]


def test_a_program_may_run_as_somebody_else(guest: Guest) -> None:
    """There is an ordinary user, for what must be tried without privileges."""
    ran = guest.run(["su", "nobody", "-s", "/bin/sh", "-c", "id -u; echo 1 > /proc/sys/kernel/pid_max"])
    assert ran.stdout == b"65534\n"
    assert b"Permission denied" in ran.stderr


def test_what_bpf_needs_is_mounted(guest: Guest) -> None:
    """The file systems that loaders look for are where they look."""
    mounts = dict(line.split()[1:3] for line in guest.pull("/proc/mounts").decode().splitlines())
    for path, kind in {
        "/sys/fs/bpf": "bpf",
        "/sys/fs/cgroup": "cgroup2",
        "/sys/kernel/debug": "debugfs",
        "/sys/kernel/security": "securityfs",
        "/sys/kernel/tracing": "tracefs",
    }.items():
        assert mounts[path] == kind


def test_restores_leave_the_snapshot_alone(machines: Machines, linux: Kernel) -> None:
    """However much a guest writes, the snapshot's files stay the same bytes."""
    machines.prepare(linux)
    folder = machines.snapshot(linux).folder
    before = {name: snapshots.digest(folder / name) for name in ("memory", "state")}
    with machines.start(linux) as guest:
        guest.push("/tmp/much", bytes(8 << 20))
        guest.run(["sync"])
    snapshots._digest.cache_clear()
    assert {name: snapshots.digest(folder / name) for name in ("memory", "state")} == before


def test_a_machine_of_ones_own(machines: Machines, linux: Kernel) -> None:
    """CPUs, memory, command line, modules and sysctls are what a case asked for."""
    spec = MachineSpec(
        cpus=1, memory=384, cmdline="quiet audit=0", modules=("dummy",), sysctls=(("kernel.pid_max", "12345"),)
    )
    with machines.start(linux, spec) as guest:
        assert guest.facts.cpus == 1
        assert 300_000 < int(guest.pull("/proc/meminfo").split()[1]) < 384 << 10
        assert b"quiet audit=0" in guest.pull("/proc/cmdline")
        assert b"\ndummy " in b"\n" + guest.pull("/proc/modules")
        assert guest.pull("/proc/sys/kernel/pid_max") == b"12345\n"


def test_a_module_that_the_kernel_does_not_have(machines: Machines, linux: Kernel) -> None:
    """Asking for it is an error with its own code, before anything boots."""
    with pytest.raises(KernelModuleMissing, match=r"6.1: this kernel has no module 'no_such_module'"):
        machines.prepare(linux, MachineSpec(modules=("no-such-module",)))


def test_a_sysctl_that_the_kernel_does_not_have(machines: Machines, linux: Kernel) -> None:
    """Asking for it is an error that names it."""
    with pytest.raises(UsageError, match=r"6.1: machine: sysctl no.such = 1: No such file or directory"):
        machines.prepare(linux, MachineSpec(sysctls=(("no.such", "1"),)))


def test_a_second_run_boots_nothing(linux: Kernel, machines: Machines) -> None:
    """What one process made, the next one uses."""
    machines.prepare(linux)
    with Machines("tcg") as others:
        assert not others.prepare(linux).booted


def test_restored_ahead(machines: Machines, linux: Kernel) -> None:
    """A guest that was restored ahead waits, paused, until it is used, and is no slower than any other."""
    with machines.start(linux, ahead=True) as guest, machines.start(linux, ahead=True) as unused:
        assert guest.run(["echo", "hello"]).stdout == b"hello\n"
        unused.close()
        assert abs(float(guest.run(["date", "+%s"]).stdout) - time.time()) < 5


def test_a_snapshot_that_does_not_come_back(machines: Machines, linux: Kernel, tmp_path: Path) -> None:
    """Where a restore fails, the guest is booted cold, and says so."""
    machines.prepare(linux)
    good = machines.snapshot(linux)
    broken = cache.folder("snapshots") / f"broken-{tmp_path.name}"
    with cache.make_folder(broken) as folder:
        (folder / "memory").symlink_to(good.memory)
        (folder / "state").write_bytes(good.state[:5000])
    try:
        with machines.start_from(snapshots.Snapshot(broken), linux) as guest:
            assert guest.start_kind == COLD_BOOT
            assert any("booted cold instead" in note for note in guest.notes)
            assert guest.run(["true"]).code == 0
    finally:
        cache.remove(cache.Entry(f"snapshots/{broken.name}", broken, 0, 0))


def test_a_boot_snapshot_that_does_not_come_back(
    linux: Kernel, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged boot snapshot is made again, and the notes say so."""
    monkeypatch.delenv(folders.UNCHANGED_SETTING, raising=False)
    spec = MachineSpec(cpus=1, modules=("dummy",), sysctls=(("kernel.sysrq", "1"),))  # no other test's
    machines.prepare(linux, spec)
    boot = machines.plan(linux, spec).boot_folder
    (boot / "state").write_bytes(b"damaged")
    snapshots.discard(machines.snapshot(linux, spec).folder)
    prepared = machines.prepare(linux, spec)
    assert prepared.booted
    assert any("the boot snapshot did not come back" in note for note in prepared.notes)
    with machines.start(linux, spec) as guest:
        assert guest.start_kind == RESTORED


def test_a_cache_whose_path_has_spaces_and_commas(
    linux: Kernel, machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache may be anywhere: its path is quoted for QEMU."""
    import shutil

    machines.prepare(linux)
    images = cache.folder("images")
    root = tmp_path / "a cache, of sorts"
    monkeypatch.setenv(cache.ROOT_SETTING, str(root))
    shutil.copytree(images, root / "images")
    with Machines("tcg") as elsewhere:
        assert elsewhere.prepare(linux).booted
        with elsewhere.start(linux) as guest:
            assert isinstance(guest, QemuGuest)
            assert guest.run(["true"]).code == 0
