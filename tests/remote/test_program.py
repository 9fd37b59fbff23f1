"""The static program: for every architecture, from this repository, small, and the same each time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from everykernel import cli, compile, images
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import ToolMissing
from everykernel.remote import program
from everykernel.remote.calls import NUMBERS


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_is_small_static_and_of_its_machine(name: str) -> None:
    """Under 200 KB, without an interpreter or libraries, in the byte order and width of its architecture."""
    arch = ARCHITECTURES[name]
    data = program.build(arch).read_bytes()
    assert len(data) < 200 << 10
    assert data[:4] == b"\x7fELF"
    assert data[4] == arch.pointer_size // 4
    assert data[5] == (1 if arch.byteorder == "little" else 2)
    image = images.bare.build(arch)
    assert image.path.stat().st_size < 220 << 10


def test_it_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two builds give the same bytes, wherever the cache is."""
    first = program.build(ARCHITECTURES["s390x"]).read_bytes()
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path))
    second = program.build(ARCHITECTURES["s390x"])
    assert second.is_relative_to(tmp_path)
    assert second.read_bytes() == first


def test_every_architecture_has_the_same_calls() -> None:
    """Each has a number for every call, mmap in one of its two forms."""
    without = {name: set(found) - {"mmap", "mmap2"} for name, found in NUMBERS.items()}
    assert all(names == without["x86_64"] for names in without.values())
    assert all(("mmap" in found) != ("mmap2" in found) for found in NUMBERS.values())


def test_numbers_are_those_of_this_hosts_headers() -> None:
    """For the architectures whose headers are here, numbers are compared with them."""
    for name, target in (("x86_64", "x86_64-linux-gnu"), ("i386", "i686-linux-gnu")):
        source = "#include <asm/unistd.h>\n" + "".join(f"{call} = __NR_{call}\n" for call in NUMBERS[name])
        command = [compile.COMPILERS[0], "-target", target, "-E", "-P", "-I", "/usr/include/x86_64-linux-gnu", "-"]
        told = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
        found = dict(line.split(" = ") for line in told.splitlines() if " = " in line)
        assert {call: int(number) for call, number in found.items()} == NUMBERS[name]


def test_without_a_linker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named, with what brings it."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolMissing, match="clang and lld are not installed, of one release") as caught:
        program.build(ARCHITECTURES["armhf"])
    assert "lld-19" in (caught.value.remedy or "")


def test_it_is_written_by_a_command(tmp_path: Path) -> None:
    """`everykernel library --static` writes a program that can be run."""
    path = tmp_path / "door"
    assert cli.main(["library", "--static", "riscv64", str(path)]) == 0
    assert path.read_bytes() == program.build(ARCHITECTURES["riscv64"]).read_bytes()
    assert path.stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (b"\xff" * 4, b"the request is too large"),
        (b"\4\0\0\0" + bytes(4), b"the request is too large"),
        (b"\x14\0\0\0" + b"\xff" * 12 + bytes(8), b"the request has too many parts"),
        (b"\x14\0\0\0" + b"\1\0\0\0" + bytes(16), b"the request is malformed"),
        (b"\x1c\0\0\0" + b"\1\0\0\0" + bytes(16) + b"\xff\xff\xff\xff" + bytes(4), b"buffers are too large"),
        (b"\x24\0\0\0" + bytes(4) + b"\1\0\0\0" + bytes(12) + bytes(16), b"the request points from nowhere"),
    ],
)
def test_it_ends_at_what_no_loader_asks(request_: bytes, why: bytes) -> None:
    """A request that contradicts itself ends the program with a word: it reads nothing outside of it."""
    path = program.build(ARCHITECTURES["x86_64"])
    ran = subprocess.run([path], input=request_, capture_output=True, check=False, timeout=30)
    assert ran.returncode == 1
    assert why in ran.stderr


def test_a_port_that_is_not_there() -> None:
    """The file that its argument names has to be there."""
    ran = subprocess.run(
        [program.build(ARCHITECTURES["x86_64"]), "/no/such/port"], capture_output=True, check=False, timeout=30
    )
    assert (ran.returncode, ran.stderr) == (1, b"everykernel: the port cannot be opened\n")
