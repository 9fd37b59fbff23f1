"""A static Rust tool with aya, in guests with BTF, without it, and where it cannot run at all.

`parent/` embeds a CO-RE object and asks the kernel who its parent is. What it needs on a kernel without BTF it says
itself, in one line.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel.errors import RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.loaders.program import built_for
from everykernel.machine import Guest, Machines

SOURCES = Path(__file__).with_name("parent")
TARGET = "x86_64-unknown-linux-musl"
TOOL, BTF, HELD = "/tmp/parent", "/sys/kernel/btf", "/tmp/kernel.btf"


@pytest.fixture(scope="module")
def tool(pytestconfig: pytest.Config) -> bytes:
    """The tool, built where an earlier build may have left something to start from."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("parent-target")
    command = ["cargo", "build", "--release", "--locked", "--target", TARGET, "--target-dir", str(folder)]
    environment = {**os.environ, "RUSTFLAGS": ""}
    ran = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return (folder / TARGET / "release" / "parent").read_bytes()


@pytest.fixture(params=["5.10", "6.12"])
def guest(
    request: pytest.FixtureRequest, columns: dict[str, Kernel], machines: Machines, tool: bytes
) -> Iterator[Guest]:
    """A fresh guest with the tool in it."""
    with machines.start(columns[request.param]) as guest:
        guest.push(TOOL, tool, mode=0o755)
        yield guest


def test_the_tool_is_one_static_file(tool: bytes) -> None:
    """It asks for no interpreter and no library, so one file is all that a guest needs."""
    assert built_for(tool) == "x86_64"


def test_it_relocates_itself_by_the_kernel_s_btf(guest: Guest) -> None:
    """On kernels years apart, the program finds the parent in the kernel's structs."""
    ran = guest.run([TOOL])
    assert (ran.code, ran.stderr) == (0, b"")
    assert ran.stdout.startswith(b"parent ")
    assert ran.stdout.endswith(b": right\n")


def test_without_btf_it_says_what_it_needs_and_works_with_that(guest: Guest) -> None:
    """Where nothing is in /sys/kernel/btf, it wants a file with the kernel's types, and is right with one."""
    guest.push(HELD, guest.pull(f"{BTF}/vmlinux"))
    assert guest.run(["mount", "-t", "tmpfs", "none", BTF]).code == 0
    ran = guest.run([TOOL])
    assert (ran.code, ran.stdout) == (3, b"")
    said = b"parent: this kernel has no BTF (/sys/kernel/btf/vmlinux): give the one made for it, --btf FILE\n"
    assert ran.stderr == said
    ran = guest.run([TOOL, "--btf", HELD])
    assert (ran.code, ran.stderr) == (0, b"")
    assert ran.stdout.endswith(b": right\n")


def test_a_kernel_of_another_machine_does_not_run_it(
    columns: dict[str, Kernel], machines: Machines, tool: bytes
) -> None:
    """A 32-bit kernel refuses the file: aya has no bindings for i386, so there is none for it."""
    with machines.start(columns["6.1/i386"]) as guest:
        guest.push(TOOL, tool, mode=0o755)
        with pytest.raises(RequestFailed, match="exec format error"):
            guest.run([TOOL])
