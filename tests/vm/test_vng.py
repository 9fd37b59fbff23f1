"""Guests with this host's user space around another kernel, by virtme-ng.

A column of them agrees with others of its kernel, its failures are told as all are, and nothing of the host changes.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.targets.server import Server
from tests.targets.test_columns import User, agreed

from everykernel import wire
from everykernel.errors import BootFailed, CaseTimeout, GuestLost, KernelPanic, UsageError
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines, MachineSpec, vng
from everykernel.machine.making import Effort
from everykernel.machine.running import QemuGuest
from everykernel.machine.scratch import run_folder
from everykernel.machine.vng import VngMachines, needs, share

pytestmark = pytest.mark.vm

CASES = Path(__file__).parents[2] / "cases"
NAMES = ("fentry", "field_exists")
SPEC, PLAIN = "6.1@vng", "6.1+generic"
PATIENCE = 300.0  # seconds for an answer


@pytest.fixture(scope="module")
def ours() -> Kernel:
    return vng.resolve([SPEC])[0].fetch()


@pytest.fixture(scope="module")
def hosts() -> Iterator[VngMachines]:
    """What starts guests with the host's user space."""
    with Machines("tcg", timeout=PATIENCE) as machines:
        made = VngMachines(machines)
        yield made
        made.close()


def qemus(folder: Path) -> list[int]:
    """Return the processes that have the host's files and what is in a folder: of who made that, whoever else runs."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            said = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if b"mount_tag=/dev/root" in said and b"path=%s/" % os.fsencode(folder) in said:
                found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No QEMU of a test is there when it ends."""
    yield
    assert qemus(run_folder()) == []


# --- what it is


def test_one_command_three_machines(ours: Kernel, tmp_path: Path) -> None:
    """One command: a guest, a host over SSH and a guest of virtme-ng with the same kernel agree in every cell."""
    from everykernel import kernels

    server = Server(kernels.resolve(PLAIN)[0].fetch(), "bookworm", tmp_path)
    try:
        home = tmp_path / "home"
        home.mkdir()
        user = User(home, lab=server)
        cases = [str(CASES / name) for name in NAMES]
        columns = ["--kernels", f"{PLAIN},{SPEC}", "--target", "lab", "--target-may-load", "--timeout", "300"]
        shown = user.run("everykernel", "run", *cases, *columns, "--json", "results.json")
    finally:
        server.close()
    assert f"{3 * len(NAMES)} cells: {3 * len(NAMES)} passed" in shown
    results = user.results()
    each = [(PLAIN, "guest"), (SPEC, "vng"), ("ssh://lab", "ssh")]
    assert agreed(results) == dict.fromkeys(NAMES, each)
    told = {kernel["spec"]: kernel for kernel in results["kernels"]}
    assert {kernel["release"] for kernel in told.values()} == {ours.release}
    assert told[SPEC]["target"] == "vng"
    assert "each cell boots it anew" in " ".join(told[SPEC]["notes"])
    assert {one["start"] for one in results["results"] if one["kernel"] == SPEC} == {"cold-boot"}


def test_the_hosts_programs_around_another_kernel(hosts: VngMachines, ours: Kernel) -> None:
    """The host's files are there and stay as they are; what is asked of a machine is had; objects load.

    What does not end in time is a timeout, as the last that is asked of a guest.
    """
    name = f"everykernel-{os.getpid()}"
    spec = MachineSpec(modules=("dummy",), sysctls=(("kernel.panic_on_warn", "0"),), cmdline="everykernel.test=1")
    with hosts.start(ours, spec) as guest:
        assert guest.facts.release == ours.release != os.uname().release
        assert guest.facts.config
        assert re.search(rb"^\S+ / 9p ", guest.pull("/proc/mounts"), re.MULTILINE)
        assert guest.run(["cat", os.__file__]).stdout == Path(os.__file__).read_bytes()
        for folder in ("/etc", "/usr", "/root"):
            assert guest.run(["touch", f"{folder}/{name}"]).code == 0  # into the guest's memory
            assert not Path(folder, name).exists()
        again = "mkdir /run/m; mount -t 9p -o trans=virtio,version=9p2000.L /dev/root /run/m"
        refused = guest.run(["sh", "-c", f"mount -o remount,rw / && touch /{name}; {again}; touch /run/m/{name}"])
        assert b"Read-only file system" in refused.stderr
        assert not Path("/", name).exists()
        assert guest.run(["test", "-d", "/sys/module/dummy"]).code == 0
        assert b"everykernel.test=1" in guest.pull("/proc/cmdline")
        assert set(guest.run(["ls", "/sys/class/net"]).stdout.split()) == {b"lo", b"dummy0"}
        loaded = guest.request(wire.Load("prog.bpf.o", (CASES / "fentry/build/x86_64/prog.bpf.o").read_bytes()))
        assert (loaded.relocate["status"], loaded.load["status"]) == ("passed", "passed")
        with pytest.raises(CaseTimeout, match="'sleep 600' did not end within 5 s"):
            guest.run(["sleep", "600"], timeout=5)


DAEMON = """\
#!/bin/sh
[ "$1" = --version ] && exit
[ "$1" = --help ] && { echo --readonly; exit; }
echo "$*" > FOLDER/asked
while [ "$1" != --socket-path ]; do shift; done
echo $$ > FOLDER/pid; echo $$ > "$2.pid"
exec sleep 600
"""


def test_a_daemon_of_virtiofs_ends_with_the_dry_run(tmp_path: Path, ours: Kernel) -> None:
    """Why 9p is what is taken: virtme-ng's command names a daemon that is gone when it could be started."""
    image = share.tree(ours) / "boot" / f"vmlinuz-{ours.release}"
    daemon = tmp_path / "virtiofsd"
    daemon.write_text(DAEMON.replace("FOLDER", str(tmp_path)))
    daemon.chmod(0o755)
    argv = [needs.command(), "--kimg", str(image), "--mods", "auto", "--dry-run", "--show-command", "--disable-kvm"]
    argv += ["--memory", "256M", "--busybox", "/bin/true", "--save-initramfs", f"{tmp_path}/initramfs"]
    environment = {**os.environ, "PATH": f"{tmp_path}:{needs.path()}", "TMPDIR": str(tmp_path)}
    argv += ["--force-initramfs", "--script-sh", "true"]
    done = subprocess.run(argv, cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "vhost-user-fs-pci" in done.stdout, done.stdout + done.stderr
    assert "--readonly" in (tmp_path / "asked").read_text()
    deadline = time.monotonic() + PATIENCE
    while Path("/proc", (tmp_path / "pid").read_text().strip()).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_pytest_takes_it(tmp_path: Path) -> None:
    """``pytest --kernels 6.1@vng`` gives a test's fixture such a guest, in which this host's files are."""
    test = tmp_path / "test_host.py"
    test.write_text(f"def test_host(kernel):\n    assert b'def ' in kernel.run(['cat', {os.__file__!r}]).stdout\n")
    options = ["-p", "no:cacheprovider", "-q", "--kernel-timeout", f"{PATIENCE:g}"]
    argv = [sys.executable, "-m", "pytest", "--kernels", SPEC, *options]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


# --- how it ends


def test_a_panic(hosts: VngMachines, ours: Kernel) -> None:
    """A panic is a kernel-panic with the kernel's own trace."""
    with hosts.start(ours) as guest, pytest.raises(KernelPanic) as caught:
        guest.run(["sh", "-c", "echo c > /proc/sysrq-trigger"])
    assert "sysrq triggered crash" in str(caught.value)
    assert "Call Trace:" in caught.value.console


def test_a_lost_guest(hosts: VngMachines, ours: Kernel) -> None:
    """A guest whose QEMU is killed is guest-lost, and says by which signal."""
    with hosts.start(ours) as guest:
        assert isinstance(guest, QemuGuest)
        os.kill(guest.qemu.pid, signal.SIGKILL)
        with pytest.raises(GuestLost, match="QEMU was killed by signal 9"):
            guest.run(["true"])


def test_a_kernel_that_does_not_come_up(hosts: VngMachines, ours: Kernel) -> None:
    """What keeps a guest from starting is boot-failed with the end of the console; every try is counted."""
    hasty = VngMachines(hosts._machines, effort=Effort(attempts=2, patience=3.0))
    with pytest.raises(BootFailed, match="no sign of life within 3 s") as caught:
        hasty.start(ours)
    assert caught.value.code == "boot-failed"
    hasty.close()
    with pytest.raises(GuestLost, match="the machines were closed"):
        hasty.start(ours)


def test_an_init_that_is_not_there(hosts: VngMachines, ours: Kernel) -> None:
    """A kernel that finds no init panics, and that is why it did not boot."""
    hasty = VngMachines(hosts._machines, effort=Effort(attempts=1, patience=PATIENCE))
    with pytest.raises(KernelPanic) as caught:
        hasty.start(ours, MachineSpec(cmdline="rdinit=/nowhere root=/dev/nothing"))
    assert "VFS" in str(caught.value)
    hasty.close()


def test_ctrl_c_leaves_nothing(tmp_path: Path, ours: Kernel) -> None:
    """Ctrl-C while a guest boots ends the run with 130, and leaves neither QEMU nor files."""
    assert ours.release
    argv = [
        sys.executable,
        "-m",
        "everykernel",
        "run",
        str(CASES / "field_exists"),
        "--machine",
        "vng",
        "--kernels",
        "6.1",
    ]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    running = subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not qemus(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert qemus(tmp_path), "no guest was started"
        os.killpg(running.pid, signal.SIGINT)
        said = running.communicate(timeout=60)[0].decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 130, said
    assert qemus(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_cannot_be(hosts: VngMachines, ours: Kernel) -> None:
    """A module that the kernel does not have, and a command line without room, are said before anything boots."""
    from everykernel.errors import KernelModuleMissing

    with pytest.raises(KernelModuleMissing, match="this kernel has no module 'none_such'"):
        hosts.prepare(ours, MachineSpec(modules=("none_such",)))
    with pytest.raises(UsageError, match="the kernel's command line has"):
        hosts.prepare(ours, MachineSpec(cmdline="x" * 1500))


def test_a_guest_type(hosts: VngMachines, ours: Kernel) -> None:
    """A guest that is asked for ahead boots when it is first used, and not at all where it is not."""
    guest: Guest = hosts.start(ours, ahead=True)
    guest.close()
    with pytest.raises(GuestLost, match="the guest is closed"):
        guest.run(["true"])
