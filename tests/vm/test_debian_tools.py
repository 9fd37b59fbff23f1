"""Tools of the trade in guests, as Debian ships them: bpftool and libbpf's own, with BTF and without.

Those that bring a compiler along are in test_tracers.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.missing_btf import committed
from tests.vm.tools import packages, running
from tests.vm.tools.running import out, verdict

from everykernel import folders
from everykernel.architectures import ARCHITECTURES
from everykernel.compile import Job, compile_all, compile_one, jobs
from everykernel.kernels import debian
from everykernel.kernels.model import Kernel

pytestmark = pytest.mark.vm

OBJECTS = Path(__file__).parent / "objects"
SOURCES = Path(__file__).parent / "commands"
CASES = folders.data("cases")
BOTH = ("6.1", "6.1/i386")
LOAD = "{arch}/usr/sbin/bpftool prog load object.bpf.o /sys/fs/bpf/loaded"
_BPFTOOL = ("bpftool", "libc6", "libelf1", "zlib1g", "libcap2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root of packages and three objects for each architecture."""
    made = tmp_path_factory.mktemp("debian")
    archive = debian.Archive()
    packages.unpack(archive, made / "x86_64", (*_BPFTOOL, "libbpf-tools"))
    packages.unpack(archive, made / "i386", _BPFTOOL, "i386")
    compile_all(jobs(["socket_filter", "exec_event"]))
    for arch in ARCHITECTURES.values():
        compile_one(Job(OBJECTS / "refused.bpf.c", arch, made / arch.name / "refused.bpf.o"))
        for name in ("socket_filter", "exec_event"):
            data = (CASES / name / "build" / arch.name / "prog.bpf.o").read_bytes()
            (made / arch.name / f"{name}.bpf.o").write_bytes(data)
    return made


def run(folder: Path, command: str, kernels: tuple[str, ...], *more: str) -> dict[str, Any]:
    return running.run(folder, command, kernels, "--sysroot", "{arch}", *more)


def _object(name: str) -> tuple[str, str]:
    return "--push", f"{{arch}}/{name}.bpf.o:object.bpf.o"


def test_bpftool_loads_and_shows(folder: Path) -> None:
    """bpftool loads and pins a program, and shows it, on 64 and on 32 bits; the record has its call and its program."""
    found = run(folder, LOAD, BOTH, *_object("socket_filter"))
    for kernel, result in found.items():
        assert verdict(result) == ("passed", "", ""), result["message"]
        command = result["stages"]["run"]["command"]
        [loaded] = [c for c in command["calls"] if c["command"] == "PROG_LOAD" and c.get("name") == "up_to_mark"]
        assert (loaded["errno"], loaded["type"], loaded["insns"] > 10) == (None, "socket_filter", True), kernel
        assert [c["name"] for c in command["calls"] if c["command"] == "OBJ_PIN"] == ["/sys/fs/bpf/loaded"]
        assert [p["id"] for p in command["programs"] if p["name"] == "up_to_mark"] == [loaded["id"]]
    (folder / "show").write_text(
        "#!/bin/sh -e\nbpftool prog load object.bpf.o /sys/fs/bpf/loaded\nbpftool prog show pinned /sys/fs/bpf/loaded\n"
    )
    (folder / "show").chmod(0o755)
    pushed = (*_object("socket_filter"), "--push", "{arch}/usr/sbin/bpftool:/usr/sbin/bpftool")
    for result in run(folder, "./show", BOTH, *pushed, "--stdout", r"^\d+: socket_filter +name up_to_mark").values():
        assert verdict(result) == ("passed", "", ""), result["message"]


def test_what_bpftool_is_refused(folder: Path) -> None:
    """A program that the verifier refuses bpftool, on 64 and on 32 bits, fails the load stage with reason and log."""
    found = run(folder, LOAD, BOTH, *_object("refused"))
    for result in found.values():
        assert verdict(result) == ("failed", "load", "verifier-rejected"), result["message"]
        [program] = [p for p in result["stages"]["load"]["programs"] if p["decides"]]
        assert program["name"] in ("null_deref", "calls_global")
        assert program["log"]


def test_bpftool_reads_btf(folder: Path, columns: dict[str, Kernel]) -> None:
    """`btf dump` writes the kernel's types as C; where the kernel has none, the cell says so."""
    found = run(folder, "{arch}/usr/sbin/bpftool btf dump file /sys/kernel/btf/vmlinux format c", ("5.10", *BOTH))
    for kernel in ("5.10", "6.1"):
        assert verdict(found[kernel]) == ("passed", "", ""), found[kernel]["message"]
        assert "struct list_head {\n\tstruct list_head *next;\n" in out(found[kernel])
    assert verdict(found["6.1/i386"]) == ("failed", "run", "btf-missing")
    assert found["6.1/i386"]["message"].endswith(
        "ended with exit code 254: Error: failed to load BTF from /sys/kernel/btf/vmlinux: No such file or directory"
    )


def test_a_co_re_object_by_bpftool(folder: Path, columns: dict[str, Kernel]) -> None:
    """libbpf relocates where there is BTF; where there is none, the cell says so; and what it says to do helps."""
    found = run(folder, LOAD, BOTH, *_object("exec_event"))
    assert verdict(found["6.1"]) == ("passed", "", ""), found["6.1"]["message"]
    assert verdict(found["6.1/i386"]) == ("failed", "run", "btf-missing")
    assert "libbpf: Error loading vmlinux BTF: -3 [push a BTF of this kernel" in found["6.1/i386"]["message"]
    kernel = columns["6.1/i386"]
    pushed = f"{committed(kernel)}:/boot/vmlinux-{kernel.release}"
    [helped] = run(folder, LOAD, ("6.1/i386",), *_object("exec_event"), "--push", pushed).values()
    assert verdict(helped) == ("passed", "", ""), helped["message"]


def test_a_tool_of_libbpf(folder: Path) -> None:
    """runqlat measures on each kernel; where the kernel's BTF cannot be read, one line says why it does not."""
    kernels = ("5.10", "6.12")
    for result in run(folder, "{arch}/usr/sbin/runqlat 1 1", kernels, "--stdout", r"usecs +: count").values():
        assert verdict(result) == ("passed", "", ""), result["message"]
        command = result["stages"]["run"]["command"]
        assert {"sched_wakeup", "sched_switch"} <= {p["name"] for p in command["programs"]}
    (folder / "hidden").write_text("#!/bin/sh -e\nmount -t tmpfs none /sys/kernel/btf\nexec runqlat 1 1\n")
    (folder / "hidden").chmod(0o755)
    for result in run(folder, "./hidden", kernels, "--push", "{arch}/usr/sbin/runqlat:/usr/sbin/runqlat").values():
        assert verdict(result) == ("failed", "run", "btf-missing")
        assert result["message"].startswith("./hidden ended with exit code 1: libbpf: Error loading vmlinux BTF: -3 [")


def test_a_static_tool_of_32_bits(folder: Path) -> None:
    """Its bpf(2) calls, by the system call numbers of i386, are seen on a kernel of 32 bits and on one of 64."""
    flags = ["-m32", "-O1", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-fuse-ld=lld-19"]
    subprocess.run(["clang-19", *flags, "-o", folder / "bare", SOURCES / "bare.c"], check=True)
    for result in run(folder, "./bare", ("6.1/i386", "6.12")).values():
        assert verdict(result) == ("passed", "", ""), result["message"]
        [made] = result["stages"]["run"]["command"]["calls"]
        assert (made["command"], made["name"], made["type"], made["errno"]) == ("MAP_CREATE", "bare", "array", None)
        assert (made["key_size"], made["value_size"], made["max_entries"]) == (4, 8, 3)
        assert [m["name"] for m in result["stages"]["run"]["command"]["maps"]] == ["bare"]


def test_a_dynamic_tool_of_32_bits_on_a_kernel_of_64(folder: Path) -> None:
    """It finds its interpreter and libraries, and its calls are seen."""
    pushed = ("--sysroot", "i386", "--push", "i386/socket_filter.bpf.o:object.bpf.o")
    [result] = running.run(folder, LOAD.replace("{arch}", "i386"), ("6.1",), *pushed).values()
    assert verdict(result) == ("passed", "", ""), result["message"]
    assert [p["name"] for p in result["stages"]["load"]["programs"]] == ["up_to_mark"]


def test_headers_travel(folder: Path) -> None:
    """Those of the kernel itself are found where what compiles looks for them."""
    (folder / "look").write_text(
        "#!/bin/sh -e\ncd /lib/modules/$(uname -r)\n"
        "grep -h 'define CONFIG_DEBUG_INFO_BTF ' build/include/generated/autoconf.h\n"
        "grep -h '^struct task_struct {' source/include/linux/sched.h\n"
    )
    (folder / "look").chmod(0o755)
    [result] = running.run(folder, "./look", ("6.12",), "--headers").values()
    assert verdict(result) == ("passed", "", ""), result["message"]
    assert out(result) == "#define CONFIG_DEBUG_INFO_BTF 1\nstruct task_struct {\n"


def test_a_tool_that_only_the_host_has(folder: Path) -> None:
    """A name without a path is the guest's; the message says how this host's would travel."""
    (folder / "here").mkdir()
    (folder / "here" / "onlyhere").write_text("#!/bin/sh\n")
    (folder / "here" / "onlyhere").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'here'}:{os.environ['PATH']}"}
    argv = [sys.executable, "-m", "everykernel", "run", "--cmd", "onlyhere", "--kernels", "6.1"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert f"[to push this host's, name it by its path: {folder}/here/onlyhere]" in done.stdout.replace("\n", " ")
