"""bpftrace and BCC in guests, as Debian ships them: what they see, what they need, and what is said where it lacks.

They compile in the guest. With LLVM they take 200 to 260 MB, so their guests have 1 GiB: ``nox -s tracers``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.vm.tools import packages, running
from tests.vm.tools.running import out, verdict

from everykernel.kernels import debian

pytestmark = [pytest.mark.vm, pytest.mark.tracers]

_PACKAGES = (
    "bpftrace", "bpfcc-tools", "python3-bpfcc", "libbpfcc", "libbpf-tools", "bpftool", "libbpf1", "libc6", "libelf1",
    "zlib1g", "libdw1", "libgcc-s1", "libstdc++6", "libllvm14", "libclang1-14", "libclang-cpp14", "libedit2", "libffi8",
    "libtinfo6", "libxml2", "libz3-4", "libcap2", "liblzma5", "libbz2-1.0", "libicu72", "libbsd0", "libmd0",
)  # fmt: skip
_LIBRARY = "usr/lib/x86_64-linux-gnu/libbcc.so.0"
_PYTHON = "usr/lib/python3/dist-packages"
_BCC = ("--push", f"root/{_LIBRARY}:/{_LIBRARY}", "--push", f"root/{_PYTHON}:/{_PYTHON}")
_HISTOGRAM = r"usecs +: count +distribution\n( +\d+ -> \d+ +: \d+ +\|[* ]+\|\n)+"
KERNELS = ("5.10", "6.1", "6.12")
PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
COMMAND = re.compile(r"^    \$ everykernel (run --cmd .*\broot/.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root of packages, and scripts."""
    made = tmp_path_factory.mktemp("tracers")
    packages.unpack(debian.Archive(), made / "root", _PACKAGES)
    (made / "opens.bt").write_text(
        "kprobe:vfs_open {\n"
        "  $path = (struct path *)arg0; $task = (struct task_struct *)curtask;\n"
        '  printf("%s of %s opens %s\\n", comm, $task->real_parent->comm, str($path->dentry->d_name.name));\n'
        "}\n"
    )
    return made


def run(folder: Path, command: str, kernels: tuple[str, ...], *more: str) -> dict[str, Any]:
    return running.run(folder, command, kernels, "--sysroot", "root", "--deadline", "300", *more)


BPFTRACE = "root/usr/bin/bpftrace opens.bt -c '/bin/cat /proc/uptime'"


def test_bpftrace_reads_structs_by_btf(folder: Path) -> None:
    """A script's struct task_struct and struct path are the kernel's, by its BTF: who opens what, and whose child."""
    found = run(folder, BPFTRACE, KERNELS, "--push", "opens.bt", "--env", "BPFTRACE_BTF=/sys/kernel/btf/vmlinux")
    for kernel, result in found.items():
        assert verdict(result) == ("passed", "", ""), (kernel, result["message"])
        assert "cat of bpftrace opens uptime\n" in out(result), kernel
        command = result["stages"]["run"]["command"]
        assert ("vfs_open", "kprobe") in {(p["name"], p["type"]) for p in command["programs"]}


def test_bpftrace_without_btf(folder: Path) -> None:
    """bpftrace 0.17 asks for BTF by number, which 5.10 does not answer: one line says so, and what to do."""
    [result] = run(folder, BPFTRACE, ("5.10",), "--push", "opens.bt").values()
    assert verdict(result) == ("failed", "run", "kernel-headers-missing")
    assert re.search(
        r"ended with exit code 1: \S+clang_workarounds\.h\S* fatal error: 'linux/types\.h' file not found "
        r"\[it found no BTF either; where the kernel has one: --env BPFTRACE_BTF=/sys/kernel/btf/vmlinux\]$",
        result["message"],
    ), result["message"]


def test_bcc_beside_its_twin(folder: Path) -> None:
    """With the kernel's headers runqlat of BCC compiles and measures as that of libbpf-tools does."""
    for argv in ("root/usr/sbin/runqlat-bpfcc 1 1", "root/usr/sbin/runqlat 1 1"):
        more = ("--headers", *_BCC) if "bpfcc" in argv else ()
        for kernel, result in run(folder, argv, KERNELS, *more).items():
            assert verdict(result) == ("passed", "", ""), (argv, kernel, result["message"])
            assert re.search(_HISTOGRAM, out(result)), (argv, kernel, out(result))
            appeared = {p["name"] for p in result["stages"]["run"]["command"]["programs"]}
            assert {"sched_wakeup", "sched_switch"} <= appeared, (argv, kernel)


def test_bcc_without_headers(folder: Path) -> None:
    """Without them one line says what BCC lacks, not where its traceback ended."""
    for result in run(folder, "root/usr/sbin/runqlat-bpfcc 1 1", ("6.1", "6.12"), *_BCC).values():
        assert verdict(result) == ("failed", "run", "kernel-headers-missing")
        assert "ended with exit code 1: Unable to find kernel headers. " in result["message"]


def test_bcc_without_its_packages(folder: Path) -> None:
    """A script whose packages, or whose package's library, were not pushed says which."""
    [result] = run(folder, "root/usr/sbin/runqlat-bpfcc 1 1", ("6.1",)).values()
    assert verdict(result) == ("failed", "run", "command-not-started")
    assert "ModuleNotFoundError: No module named 'bcc' [push what is missing" in result["message"]
    [result] = run(folder, "root/usr/sbin/runqlat-bpfcc 1 1", ("6.1",), *_BCC[2:]).values()
    assert verdict(result) == ("failed", "run", "command-not-started")
    assert "OSError: libbcc.so.0: cannot open shared object file" in result["message"]


def test_what_bpftool_probes(folder: Path) -> None:
    """`feature probe` asks the kernel thousands of times; none of these calls is blamed for anything."""
    for result in run(folder, "root/usr/sbin/bpftool feature probe kernel", ("5.10", "6.12")).values():
        assert verdict(result) == ("passed", "", ""), result["message"]
        assert "eBPF program_type socket_filter is available\n" in out(result)
        assert "eBPF map_type hash is available\n" in out(result)
        command = result["stages"]["run"]["command"]
        assert command["calls_left_out"] > 1000


@pytest.mark.parametrize("number", range(3))
def test_the_commands_of_the_page(folder: Path, number: int) -> None:
    """What docs/commands.md shows works as it stands there, in a folder with packages in ``root``."""
    commands = COMMAND.findall(PAGE.read_text())
    assert len(commands) == 3
    argv = [sys.executable, "-m", "everykernel", *shlex.split(commands[number])]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
