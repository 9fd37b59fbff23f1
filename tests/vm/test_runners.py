"""Test binaries of Go and Rust in guests, as their own runners start them; and tools of theirs, static ones.

These need toolchains that nothing else here does: ``nox -s runners``. Without one of them they fail, and say so.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.toolchains]

SOURCES = Path(__file__).parent / "commands"
EVERYKERNEL = shlex.join([sys.executable, "-m", "everykernel"])
MUSL = "x86_64-unknown-linux-musl"


def need(program: str) -> str:
    """Return a toolchain's program; fail without it."""
    found = shutil.which(program)
    assert found is not None, f"{program} is not installed: these tests need it"
    return found


def ran(argv: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **env})


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go module, with its tool built static."""
    made = tmp_path_factory.mktemp("go")
    shutil.copytree(SOURCES / "go", made, dirs_exist_ok=True)
    built = ran([need("go"), "build", "-o", "tool", "."], made, CGO_ENABLED="0")
    assert built.returncode == 0, built.stderr
    return made


def results(folder: Path) -> dict[str, Any]:
    """Return the results of a run by kernel."""
    return {r["kernel"]: r for r in json.loads((folder / "out.json").read_text())["results"]}


def run(folder: Path, command: str, kernels: str, *more: str) -> dict[str, Any]:
    """Run a command on kernels and return its results."""
    argv = [sys.executable, "-m", "everykernel", "run", "--cmd", command, "--kernels", kernels, "--json", "out.json"]
    done = ran([*argv, *more], folder)
    assert done.returncode in (0, 1), done.stderr
    return results(folder)


def test_a_static_go_tool(go: Path) -> None:
    """It travels as it is; its program's verdict and statistics are told, its refused program explained."""
    for kernel, result in run(go, "./tool", "5.10,6.12", "--stdout", "^the program returned 7$").items():
        assert result["outcome"] == "passed", (kernel, result["message"])
        [program] = [p for p in result["stages"]["run"]["command"]["programs"] if p["name"] == "go_prog"]
        assert program["type"] == "socket_filter"
        assert (program["runs"], program["verified_insns"]) == (1, 2 if kernel == "6.12" else None)
    for kernel, result in run(go, "./tool refused", "5.10,6.12").items():
        assert (result["stage"], result["code"]) == ("load", "verifier-rejected"), kernel
        assert "R5 !read_ok" in result["message"]


def test_go_test_exec(go: Path) -> None:
    """``go test -exec``: each package's tests in a fresh guest, with testdata, streams and exit code."""
    runner = f"{EVERYKERNEL} exec --kernel 6.12,5.10 --env TOOL_FAILS --"
    passed = ran([need("go"), "test", "-v", "-count=1", "-exec", runner, "."], go, CGO_ENABLED="0")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "6.12: --- PASS: TestReturnsWhatTestdataSays" in passed.stdout
    assert "5.10: --- PASS: TestReturnsWhatTestdataSays" in passed.stdout
    assert "returned 42 on 6.12." in passed.stdout
    failed = ran(
        [need("go"), "test", "-count=1", "-exec", runner.replace("6.12,5.10", "6.12"), "."], go,
        CGO_ENABLED="0", TOOL_FAILS="1",
    )  # fmt: skip
    assert failed.returncode == 1
    assert "--- FAIL: TestFailsWhereItIsAsked" in failed.stdout


def test_cargo_test(tmp_path: Path) -> None:
    """cargo's runner: a dynamically linked test binary, with its folder and its exit code."""
    shutil.copytree(SOURCES / "rust", tmp_path, dirs_exist_ok=True)
    runner = {"CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER": f"{EVERYKERNEL} exec --kernel 6.12 --env TOOL_FAILS --"}
    cargo = [need("cargo"), "test", "--offline", "--lib", "--target", "x86_64-unknown-linux-gnu", "--", "--nocapture"]
    passed = ran(cargo, tmp_path, **runner)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "this is 6.12" in passed.stdout
    assert "2 passed" in passed.stdout
    failed = ran(cargo, tmp_path, TOOL_FAILS="1", **runner)
    assert failed.returncode == 101
    assert "1 passed; 1 failed" in failed.stdout


def test_a_static_tool_of_aya(tmp_path: Path) -> None:
    """A Rust tool, built for musl, loads and attaches by aya on each kernel; its calls are told."""
    shutil.copytree(SOURCES / "aya", tmp_path, dirs_exist_ok=True)
    built = ran([need("cargo"), "build", "--release", "--locked", "--target", MUSL], tmp_path)
    assert built.returncode == 0, built.stderr + f"\n(rustup target add {MUSL})"
    shutil.copy(tmp_path / "target" / MUSL / "release/aya-tool", tmp_path)
    source = SOURCES / "counts.bpf.c"
    flags = [
        "-O2",
        "-g",
        "-target",
        "bpf",
        "-D__x86_64__",
        "-I/usr/include/x86_64-linux-gnu",
        "-c",
        str(source),
        "-o",
        "counts.bpf.o",
    ]
    subprocess.run(["clang-19", *flags], cwd=tmp_path, check=True)
    for kernel, result in run(
        tmp_path, "./aya-tool", "5.10,6.12", "--push", "counts.bpf.o", "--stdout", "^seen 3$"
    ).items():
        assert result["outcome"] == "passed", (kernel, result["message"])
        told = result["stages"]["run"]["command"]
        [program] = [p for p in told["programs"] if p["name"] == "count"]
        assert (program["type"], program["left"]) == ("tracepoint", False)
        assert [c["errno"] for c in told["calls"] if c.get("name") == "count" and c["command"] == "PROG_LOAD"] == [None]
