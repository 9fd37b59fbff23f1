"""What a program needs is found by its headers and ld.so's rules, nothing run; compared with what ld.so itself says."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from everykernel.errors import UsageError
from everykernel.files import elf, ldcache
from everykernel.files.libraries import Libraries

INTERPRETER = "/lib64/ld-linux-x86-64.so.2"
_DYN, _NEEDED, _STRTAB, _STRSZ, _RPATH, _RUNPATH = 2, 1, 5, 10, 15, 29


def write(
    path: Path,
    *,
    needed: tuple[str, ...] = (),
    rpath: str = "",
    runpath: str = "",
    interpreter: str = "",
    machine: int = 62,
) -> Path:
    """Write an ELF file of program headers alone: what the dynamic loader looks at."""
    strings = bytearray(b"\0")

    def string(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text) - 1

    tags = [(_NEEDED, string(name)) for name in needed]
    tags += [(tag, string(text)) for tag, text in ((_RPATH, rpath), (_RUNPATH, runpath)) if text]
    base, count = 0x1000, 3 if interpreter else 2
    head = 64 + 56 * count
    name = interpreter.encode() + b"\0"
    table = [*tags, (_STRTAB, base + head + len(name)), (_STRSZ, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in table)
    at = head + len(name) + len(strings)
    size = at + len(dynamic)

    def segment(kind: int, offset: int, length: int) -> bytes:
        return struct.pack("<IIQQQQQQ", kind, 4, offset, base + offset, base + offset, length, length, 1)

    segments = segment(1, 0, size) + segment(_DYN, at, len(dynamic))
    segments += segment(3, head, len(name)) if interpreter else b""
    header = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + segments + name + bytes(strings) + dynamic)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with a dynamic loader and a C library."""
    write(tmp_path / INTERPRETER[1:])
    write(tmp_path / "lib/x86_64-linux-gnu/libc.so.6", needed=("ld-linux-x86-64.so.2",))
    return tmp_path


def found(root: Path, program: Path, at: str = "/root/tool", folders: tuple[str, ...] = ()) -> list[str]:
    """Return where a program's libraries will be looked for in the guest."""
    return [file.path for file in Libraries(root, folders).of(program, at)]


def test_a_static_program_needs_nothing(root: Path) -> None:
    """Neither an interpreter nor libraries: it travels alone."""
    assert found(root, write(root / "tool")) == []


def test_libraries_of_libraries(root: Path) -> None:
    """What libraries need is found too, each once, the interpreter first."""
    write(root / "usr/lib/x86_64-linux-gnu/liba.so", needed=("libb.so", "libc.so.6"))
    write(root / "lib/libb.so", needed=("liba.so",))
    program = write(root / "tool", needed=("liba.so", "libc.so.6"), interpreter=INTERPRETER)
    assert found(root, program) == [
        INTERPRETER, "/usr/lib/x86_64-linux-gnu/liba.so", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/libb.so",
    ]  # fmt: skip


def test_origin_moves_with_the_program(root: Path) -> None:
    """$ORIGIN is the folder of the file that says it: here for us, in the guest for the guest's loader."""
    write(root / "work/lib/liba.so", needed=("libb.so",), runpath="$ORIGIN/more")
    write(root / "work/lib/more/libb.so")
    program = write(root / "work/bin/tool", needed=("liba.so",), runpath="${ORIGIN}/../lib", interpreter=INTERPRETER)
    assert found(root, program, "/opt/bin/tool") == [INTERPRETER, "/opt/lib/liba.so", "/opt/lib/more/libb.so"]


def test_rpath_is_handed_down_and_runpath_is_not(root: Path) -> None:
    """DT_RPATH of a program serves its libraries' needs too; DT_RUNPATH only its own."""
    write(root / "opt/liba.so", needed=("libb.so",))
    write(root / "opt/libb.so")
    handed = write(root / "handed", needed=("liba.so",), rpath="/opt", interpreter=INTERPRETER)
    assert found(root, handed)[1:] == ["/opt/liba.so", "/opt/libb.so"]
    kept = write(root / "kept", needed=("liba.so",), runpath="/opt", interpreter=INTERPRETER)
    with pytest.raises(UsageError, match=r"kept: needs the library libb\.so \(of /opt/liba\.so\), which is not in /"):
        found(root, kept)
    assert found(root, kept, folders=("/opt",))[1:] == ["/opt/liba.so", "/opt/libb.so"]  # LD_LIBRARY_PATH


def test_a_missing_library(root: Path) -> None:
    """The error names program and library, and where it was looked for."""
    program = write(root / "tool", needed=("libgone.so.1",), runpath="/opt/x", interpreter=INTERPRETER)
    with pytest.raises(UsageError) as caught:
        found(root, program)
    assert str(caught.value).startswith(
        f"{program}: needs the library libgone.so.1, which is not in {root} [looked in /opt/x, the cache of ld.so, "
    )


def test_a_missing_interpreter(tmp_path: Path) -> None:
    """A program whose loader is not here says so."""
    program = write(tmp_path / "tool", interpreter="/lib/ld-musl-x86_64.so.1", needed=("libc.so",))
    with pytest.raises(UsageError, match=r"needs the interpreter /lib/ld-musl-x86_64\.so\.1, which is not in /"):
        found(tmp_path, program)
    write(tmp_path / "lib/ld-musl-x86_64.so.1")
    assert found(tmp_path, program) == ["/lib/ld-musl-x86_64.so.1"]  # which is the C library too


def test_libraries_for_another_machine_do_not_count(root: Path) -> None:
    """A file of the right name for another machine is passed over, as the loader does."""
    write(root / "opt/liba.so", machine=3)
    write(root / "lib/liba.so")
    program = write(root / "tool", needed=("liba.so",), runpath="/opt", interpreter=INTERPRETER)
    assert found(root, program)[1:] == ["/lib/liba.so"]


def test_a_damaged_file(tmp_path: Path) -> None:
    """What only begins like ELF is an error in one line."""
    (tmp_path / "tool").write_bytes(b"\x7fELF" + bytes(70))
    with pytest.raises(UsageError, match="is a damaged ELF file"):
        elf.needs(tmp_path / "tool")


def test_the_cache(tmp_path: Path) -> None:
    """An entry is a name and a file; an older cache may stand before it; nonsense is empty."""
    strings = b"libx.so.1\0/opt/libx.so.1\0"
    start = 48 + 24
    entry = struct.pack("<iIIIQ", 3, start, start + 10, 0, 0)
    new = b"glibc-ld.so.cache1.1" + struct.pack("<II", 1, len(strings)) + bytes(20) + entry + strings
    (tmp_path / "new").write_bytes(new)
    (tmp_path / "old").write_bytes(b"ld.so-1.7.0\0" + struct.pack("<I", 1) + bytes(12 + 4) + new)
    assert ldcache.read(tmp_path / "new") == ldcache.read(tmp_path / "old") == {"libx.so.1": ["/opt/libx.so.1"]}
    for size in range(len(new)):
        (tmp_path / "cut").write_bytes(new[:size])
        assert ldcache.read(tmp_path / "cut") in ({}, {"libx.so.1": ["/opt/libx.so.1"]})


@pytest.mark.parametrize("program", [sys.executable, *(shutil.which(name) for name in ("bash", "gpgv", "clang-19"))])
def test_it_is_what_the_loader_says(program: str) -> None:
    """Of programs of this host, the libraries are those that ld.so lists itself."""
    path = Path(program).resolve()
    listed = subprocess.run([INTERPRETER, "--list", path], capture_output=True, text=True, check=True).stdout
    wanted = {Path(line.split("=>")[1].split()[0]).resolve() for line in listed.splitlines() if "=>" in line}
    assert wanted
    assert wanted <= {file.source.resolve() for file in Libraries().of(path, str(path))}


def test_links_of_a_root_stay_in_it(root: Path) -> None:
    """An absolute link of a root, and one that climbs above it, mean what they mean to who has it as root."""
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib/x86_64-linux-gnu").rename(root / "usr/lib/x86_64-linux-gnu")
    (root / "lib").rmdir()
    (root / "lib").symlink_to("usr/lib")
    (root / INTERPRETER[1:]).rename(root / "usr/lib/ld.so")
    (root / INTERPRETER[1:]).symlink_to("/lib/ld.so")
    (root / "usr/lib/x86_64-linux-gnu/libz.so.1").symlink_to("../../../../../../lib/libz.so.1.2")
    write(root / "usr/lib/libz.so.1.2")
    program = write(root / "tool", needed=("libz.so.1", "libc.so.6"), interpreter=INTERPRETER)
    wanted = {
        INTERPRETER: root / "usr/lib/ld.so",
        "/lib/x86_64-linux-gnu/libz.so.1": root / "usr/lib/libz.so.1.2",
        "/lib/x86_64-linux-gnu/libc.so.6": root / "usr/lib/x86_64-linux-gnu/libc.so.6",
    }
    assert {file.path: file.source for file in Libraries(root).of(program, "/root/tool")} == wanted
    (root / "lib64/ld-linux-x86-64.so.2").unlink()
    (root / "lib64/ld-linux-x86-64.so.2").symlink_to("ld-linux-x86-64.so.2")  # a link to itself
    with pytest.raises(UsageError, match=rf"needs the interpreter {INTERPRETER}, which is not in {root} \[.*--sysroot"):
        Libraries(root).of(program, "/root/tool")
