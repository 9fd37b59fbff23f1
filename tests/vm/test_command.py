"""The command line with real kernels."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from everykernel import folders
from everykernel.compile import compile_all, jobs
from everykernel.report import schema

pytestmark = pytest.mark.vm

CASES = folders.data("cases")


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs())


def everykernel(*arguments: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "everykernel", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=cwd)


def test_shell_runs_a_command() -> None:
    """``shell KERNEL -- CMD`` gives its output on stdout, its errors on stderr, and its exit code."""
    ran = everykernel("shell", "6.1", "--", "sh", "-c", "uname -r; echo oh >&2; exit 7")
    assert ran.returncode == 7
    assert ran.stdout.startswith("6.1.0-")
    assert ran.stderr.endswith("oh\n")


def test_shell_shows_output_as_it_comes() -> None:
    """What a command writes is there before it ends."""
    argv = [sys.executable, "-m", "everykernel", "shell", "6.1", "--", "sh", "-c", "echo begun; sleep 600"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert process.poll() is None
        process.terminate()


def test_shell_prompt_keeps_its_state() -> None:
    """Lines of a prompt share folder and exported variables; the last exit code is the command's."""
    ran = everykernel("shell", "6.1", stdin="cd /sys/kernel\nexport X='a  b'\necho \"$X in $(pwd)\"\nfalse\n")
    assert (ran.returncode, ran.stdout) == (1, "a  b in /sys/kernel\n")


def test_shell_passes_files_and_input(tmp_path: Path) -> None:
    """``--push`` copies a file to the guest, ``-i`` passes standard input."""
    (tmp_path / "tool").write_text("#!/bin/sh\necho pushed; cat\n")
    ran = everykernel("shell", "6.1", "-i", "--push", "tool:/root/tool", "--", "/root/tool", stdin="in", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "pushed\nin")


def test_run_with_btf_and_without(tmp_path: Path) -> None:
    """A CO-RE object ends in btf-missing on the kernel without BTF, one without relocations runs on both."""
    ran = everykernel(
        "run", str(CASES / "state_renamed"), str(CASES / "raw_tracepoint_hash"),
        "--kernels", "6.1,6.1/i386", "--json", "out.json", cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    data = json.loads((tmp_path / "out.json").read_text())
    jsonschema.validate(data, schema.load())
    assert {k["spec"]: k["btf"] for k in data["kernels"]} == {"6.1": "kernel", "6.1/i386": "none"}
    stages = {
        (r["case"], r["kernel"]): [s["code"] if s["status"] == "failed" else s["status"] for s in r["stages"].values()]
        for r in data["results"]
    }
    assert stages == {
        ("state_renamed", "6.1"): ["passed", "passed", "passed"],
        ("state_renamed", "6.1/i386"): ["btf-missing", "not-reached", "not-reached"],
        ("raw_tracepoint_hash", "6.1"): ["passed", "passed", "passed"],
        ("raw_tracepoint_hash", "6.1/i386"): ["passed", "passed", "passed"],
    }


def test_run_until_load(tmp_path: Path) -> None:
    """``--until load`` attaches nothing: a case whose check needs it passes, its run is skipped, and so again."""
    ran = everykernel(
        "run", str(CASES / "exec_event"), "--kernels", "6.1", "--until", "load", "--memory", "300",
        "--json", "out.json", cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [s["status"] for s in result["stages"].values()] == ["passed", "passed", "skipped"]
    assert "programs" not in result["stages"]["run"]
    assert result["machine"]["memory"] == 300
    assert result["again"].endswith(" --kernels 6.1 --until load --memory 300")


def test_bare_object_that_is_refused(tmp_path: Path) -> None:
    """An object with programs that no kernel takes fails with exit code 1, and names each access."""
    ran = everykernel("run", str(CASES / "unresolved/build/x86_64/prog.bpf.o"), "--kernels", "6.12", cwd=tmp_path)
    assert ran.returncode == 1
    assert "relocation-unresolved" in ran.stdout
    assert "no_such_field" in ran.stdout
    assert re.search(r"again.*: everykernel run ", ran.stdout)
