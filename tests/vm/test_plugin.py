"""pytest with real kernels, as a user has it: processes of their own, compiled objects, guests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from everykernel import cache, folders
from everykernel.compile import compile_all, jobs
from everykernel.report import schema

pytestmark = pytest.mark.vm

CASES = folders.data("cases")
CACHE = cache.root()  # pytester gives every test a home of its own, without a cache


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs())


@pytest.fixture(autouse=True)
def _cache(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(CACHE))


def example(pytester: pytest.Pytester, case: str, name: str = "") -> str:
    """Copy a case's object here, and return its name."""
    target = pytester.path / (name or f"{case}.bpf.o")
    target.write_bytes((CASES / case / "build/x86_64/prog.bpf.o").read_bytes())
    return target.name


def case(pytester: pytest.Pytester, name: str, *lines: str, of: str = "raw_tracepoint_hash", check: str = "") -> str:
    """Make a case of an object that loads and attaches everywhere."""
    folder = pytester.mkdir(name)
    (folder / "prog.bpf.o").write_bytes((CASES / of / "build/x86_64/prog.bpf.o").read_bytes())
    if check:
        (folder / "case.py").write_text(check)
        lines = ('check = "case.py"', *lines)
    (folder / "case.toml").write_text("\n".join(('object = "prog.bpf.o"', *lines)) + "\n")
    return name


def results(pytester: pytest.Pytester, folder: str = "out") -> list[dict[str, Any]]:
    data = json.loads((pytester.path / folder / "results.json").read_text())
    jsonschema.validate(data, schema.load())
    found: list[dict[str, Any]] = data["results"]
    return found


def guests_of(pid: int) -> list[int]:
    """Return the processes below ``pid`` whose program is QEMU."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            if name.startswith("qemu") and int(rest.split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def test_the_readmes_test(pytester: pytest.Pytester) -> None:
    """Ten lines load an object, attach it, make something happen and read the events that the kernel sent."""
    example(pytester, "ringbuf_events")
    pytester.makepyfile(
        """
        import os

        def test_it(kernel, load):
            obj = load("ringbuf_events.bpf.o")
            assert all(record["status"] == "passed" for record in obj.attach())
            assert kernel.run(["true"]).code == 0
            assert kernel.release.startswith("6.1.")
            assert set(obj.maps) and set(obj.programs)
            assert obj.globals["ek_failed_line"] == 0
            obj.globals["ek_pid"] = 1
            assert obj.globals["ek_pid"] == 1
        """
    )
    result = pytester.runpytest_subprocess("--kernels", "6.1")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_it *✓✓✓"])


def test_objects_without_a_test_file_and_a_second_run(pytester: pytest.Pytester) -> None:
    """Objects run on two kernels with no test file at all; the second run boots nothing, and says so."""
    arguments = ("--kernels", "5.10,6.12", example(pytester, "state_renamed"))
    pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=2)
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["state_renamed.bpf.o *✓✓✓*✓✓✓", "no kernels booted, 2 snapshots reused"])


def test_workers(pytester: pytest.Pytester) -> None:
    """Two workers of pytest-xdist share the machine, and one report has all of their cells."""
    names = [example(pytester, "state_renamed", f"o{number}.bpf.o") for number in range(4)]
    result = pytester.runpytest_subprocess("--kernels", "6.1", *names, "-n", "2", "--kernel-report", "out")
    result.assert_outcomes(passed=4)
    assert {r["object"] for r in results(pytester)} == set(names)


def test_how_cells_end(pytester: pytest.Pytester) -> None:
    """Panic, hang, lost agent and endless trigger are told apart, and each cell leaves the next one unharmed."""
    sh = 'trigger = ["sh", "-c", "{}"]'
    rows = [
        case(pytester, "a_panics", sh.format("echo c > /proc/sysrq-trigger")),
        case(pytester, "b_hangs", sh.format("kill -STOP $PPID"), "timeout = 1"),
        case(pytester, "c_never_ends", sh.format("sleep 100"), "timeout = 1"),
        case(pytester, "d_is_lost", sh.format("kill -9 $PPID; sleep 9")),
        case(
            pytester, "e_panics_as_expected", sh.format("echo c > /proc/sysrq-trigger"),
            "[[expect]]", 'stage = "run"', 'status = "failed"', 'code = "kernel-panic"',
        ),
        case(pytester, "f_is_well", sh.format("true")),
    ]  # fmt: skip
    result = pytester.runpytest_subprocess("--kernels", "6.1", *rows, "--kernel-report", "out")
    result.assert_outcomes(passed=2, failed=1, errors=3)
    ended = {r["case"]: (r["outcome"], r["code"]) for r in results(pytester)}
    assert ended == {
        "a_panics": ("error", "kernel-panic"),
        "b_hangs": ("error", "kernel-hung"),
        "c_never_ends": ("failed", "timeout"),
        "d_is_lost": ("error", "guest-lost"),
        "e_panics_as_expected": ("passed", ""),
        "f_is_well": ("passed", ""),
    }
    assert "Call Trace:" in (pytester.path / "out/cells/a_panics/6.1/console.txt").read_text()
    result.stdout.fnmatch_lines(["6 cells: 2 passed, 1 failed, 3 guest broke", "a_panics on 6.1: run: kernel-panic: *"])


DIRTY = """
import os

OBJ_PIN = 6  # Linux include/uapi/linux/bpf.h, enum bpf_cmd

def check(obj):
    assert not os.path.exists("/root/left"), "the file of another cell"
    assert open("/proc/sys/kernel/hostname").read().strip() != "left", "the sysctl of another cell"
    assert os.listdir("/sys/fs/bpf") == [], "the pinned map of another cell"
    open("/root/left", "w").close()
    open("/proc/sys/kernel/hostname", "w").write("left")
    path = bytearray(b"/sys/fs/bpf/left\\0")
    obj.system.bpf(OBJ_PIN, ("QII", path, next(iter(obj.maps.values())).fd, 0))
    return os.listdir("/sys/fs/bpf")
"""


def test_no_cell_sees_what_another_left(pytester: pytest.Pytester) -> None:
    """A file, a sysctl and a pinned map end with their cell."""
    rows = [case(pytester, f"dirty_{number}", check=DIRTY) for number in range(3)]
    pytester.runpytest_subprocess("--kernels", "6.1", *rows, "--kernel-report", "out").assert_outcomes(passed=3)
    assert all(r["stages"]["run"]["evidence"]["check"] == ["left"] for r in results(pytester))


def test_a_test_that_kills_its_qemu(pytester: pytest.Pytester) -> None:
    """A QEMU that somebody kills is an error of the test that needed it, and of no other."""
    pytester.makepyfile(
        """
        import os, signal
        def test_a(kernel):
            os.kill(kernel.guest.qemu.pid, signal.SIGKILL)
            kernel.run("sleep 9")
        def test_b(kernel):
            assert kernel.run("true").code == 0
        """
    )
    result = pytester.runpytest_subprocess("--kernels", "6.1")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*guest-lost: *"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ended_half_way(pytester: pytest.Pytester, number: signal.Signals) -> None:
    """However pytest ends, the cells that had ended are in a valid results.json, and no QEMU is left."""
    rows = [case(pytester, f"c{number}", 'trigger = ["sleep", "1"]') for number in range(30)]
    # A shell that runs tests in the background has them ignore SIGINT.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "pytest", "-q", "--kernels", "6.1"]
    command += ["--kernel-report", "out", *rows]
    with subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):  # not there yet, or read while it is written
                if len(results(pytester)) >= 2 and guests_of(process.pid):
                    break
            time.sleep(0.1)
        running = guests_of(process.pid)
        assert running
        os.kill(process.pid, number)
        process.wait(30)
    ended = results(pytester)
    assert 2 <= len(ended) < 30
    assert all(r["outcome"] == "passed" for r in ended)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in running if Path(f"/proc/{pid}/exe").exists()]


def test_shell_in_the_guest_of_a_failure(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """--kernel-keep opens a shell where a cell or a test failed, before the guest is thrown away."""
    row = case(pytester, "fails", 'trigger = ["sh", "-c", "echo 42 > /root/left; false"]')
    command = [sys.executable, "-m", "pytest", "--kernels", "6.1", "--kernel-keep", row]
    ran = subprocess.run(
        command, cwd=pytester.path, input="cd /root\ncat left\nexit\n", stdout=subprocess.PIPE, text=True, check=False
    )
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "\n42\n" in ran.stdout


def test_unknown_kernel(pytester: pytest.Pytester) -> None:
    """An unknown series stops both commands in one line that names the nearest; the rest runs on request."""
    name = example(pytester, "state_renamed")
    result = pytester.runpytest_subprocess("--kernels", "5.10,6.1,6.8", name)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len([line for line in result.errlines if line]) == 1
    result.stderr.fnmatch_lines(["ERROR: everykernel: *6.8*6.*"])
    command = [sys.executable, "-m", "everykernel", "run", name, "--kernels", "6.1,6.8"]
    ran = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)
    assert "6.8" in ran.stderr
    result = pytester.runpytest_subprocess("--kernels", "6.1,6.8", "--kernels-missing", "skip", name)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["case*BTF*missing", "state_renamed.bpf.o *✓✓✓*missing"])
