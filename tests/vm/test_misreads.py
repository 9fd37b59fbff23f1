"""Misreads of real kernels: said by a run, by strict reads, and by `explain`, once a guest told the tracepoints."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from everykernel import cli, folders
from everykernel.compile import compile_all, jobs
from everykernel.kernels import tracepoints
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

pytestmark = pytest.mark.vm

CASES = folders.data("cases")


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs())


def test_a_guest_tells_the_tracepoints_of_its_kernel(machines: Machines, columns: dict[str, Kernel]) -> None:
    """Where they are not known, they are read when a kernel is made ready, and kept."""
    kernel = columns["6.12"]
    tracepoints.path(kernel).unlink(missing_ok=True)
    machines.prepare(kernel)
    with Machines("tcg", timeout=30) as others:
        others.prepare(kernel)
    found = tracepoints.read(kernel)
    assert found is not None
    assert len(found) > 1000
    fork = {field.name: field.offset for field in found["sched/sched_process_fork"]}
    assert fork == {"parent_comm": 8, "parent_pid": 24, "child_comm": 28, "child_pid": 44}
    assert [f.name for f in found["syscalls/sys_enter_openat"]][1:] == ["dfd", "filename", "flags", "mode"]


def test_explain_knows_what_a_guest_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The same misreads as in the guest are said without booting one."""
    path = str(CASES / "misread_tracepoint" / "build" / "x86_64" / "prog.bpf.o")
    assert cli.main(["explain", path, "--kernels", "6.1,6.12"]) == 0
    out = capsys.readouterr().out
    assert "new_layout: struct new.child_pid is taken for __s32 child_pid at byte 20, 4 bytes; 6.1, 6.12: pid_t" in out
    assert "old_layout" not in out


def test_explain_says_which_tracepoints_it_does_not_know(
    columns: dict[str, Kernel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a kernel that never ran, an event that its types do not tell is not looked at, and that is said."""
    monkeypatch.setattr(tracepoints, "read", lambda _: None)
    path = str(CASES / "tracepoint_context" / "build" / "x86_64" / "prog.bpf.o")
    assert cli.main(["explain", path, "--kernels", "6.1"]) == 0
    assert "6.1: syscalls/sys_enter_openat: not looked at" in capsys.readouterr().out


def test_strict_reads_fail_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A case passes with a mark, and fails in the run stage where reads are strict; the refusal to attach says why."""
    case, out = str(CASES / "misread_tracepoint"), tmp_path / "out.json"
    assert cli.main(["run", case, "--kernels", "6.12", "--json", str(out)]) == 0
    (result,) = json.loads(out.read_text())["results"]
    assert [m["program"] for m in result["misreads"]] == ["new_layout"]
    assert cli.main(["run", case, "--kernels", "6.12", "--strict-reads", "--json", str(out)]) == 1
    (result,) = json.loads(out.read_text())["results"]
    assert (result["stage"], result["code"]) == ("run", "misread")
    assert "--strict-reads" in result["again"]
    assert cli.main(["run", case, "--kernels", "7.3", "--json", str(out)]) == 0
    (result,) = json.loads(out.read_text())["results"]
    refused = next(p for p in result["stages"]["run"]["programs"] if p["name"] == "old_layout")
    assert refused["message"].endswith("it reads 48 bytes of the tracepoint's context, and this kernel's event has 24")
    capsys.readouterr()


def test_a_module_that_would_have_a_type_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program that reaches a type of a module that is not loaded fails with module-missing and the module's name."""
    source, out = Path(__file__).with_name("objects") / "module_type.bpf.c", tmp_path / "module_type.o"
    flags = ["-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)
    assert cli.main(["run", str(out), "--kernels", "6.12", "--until", "load"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "load: module-missing: " in shown
    assert 'the kernel has no struct nfs_inode, its module nfs has [modules = ["nfs"] in the case\'s machine]' in shown
    (tmp_path / "case.toml").write_text('object = "module_type.o"\n[machine]\nmodules = ["nfs"]\n')
    assert cli.main(["run", str(tmp_path / "case.toml"), "--kernels", "6.12", "--until", "load"]) == 0
    capsys.readouterr()
