"""BTF of a kernel's debug package: a real pahole on a real ELF file with DWARF, in packages laid out as real ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel import cache
from everykernel.architectures import ARCHITECTURES
from everykernel.btf import Btf, kinds
from everykernel.errors import CacheError, DownloadError, EverykernelError, HarnessError, ToolMissing, UsageError
from everykernel.kernels import debuginfo, pahole, unlisted
from everykernel.kernels.supplied import Supply

from .archive import Server, deb

X86, I386 = ARCHITECTURES["x86_64"], ARCHITECTURES["i386"]
RELEASE = "6.1.0-50-686-pae"
SOURCE = """
struct file { unsigned int f_flags; char f_rest[37]; };
struct task_struct { char before[1000]; int pid; long state; struct file *files[4]; };
struct task_struct init_task;
int of(struct task_struct *task) { return task->pid; }
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What stands for a vmlinux: compiled for i386, with debug information."""
    folder = tmp_path_factory.mktemp("vmlinux")
    (folder / "a.c").write_text(SOURCE)
    command = ["gcc", "-m32", "-g", "-gdwarf-4", "-ffreestanding", "-c", "-o", "vmlinux", "a.c"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "vmlinux").read_bytes()


@pytest.fixture(autouse=True)
def _processes() -> Iterator[None]:
    assert shutil.which("pahole"), "install dwarves: this test must not be skipped"
    unlisted.forget()
    yield
    unlisted.forget()
    cache.let_go()


def place(release: str = RELEASE) -> str:
    return f"./usr/lib/debug/boot/vmlinux-{release}"


def package(folder: Path, files: dict[str, bytes], name: str = f"linux-image-{RELEASE}-dbg_6.1_i386.deb") -> Path:
    path = folder / name
    before = {f"./usr/lib/debug/boot/System.map-{RELEASE}": b"no vmlinux", "./usr/share/doc/x": b"x"}
    path.write_bytes(deb(before | files, links={"./usr/lib/debug/vmlinux": "boot/vmlinux"}))
    return path


def entries() -> list[str]:
    return sorted(path.name for path in cache.folder("btf").iterdir())


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (place(), f"linux-image-{RELEASE}-dbg_6.1.176-1_i386.deb"),
        (place(), f"linux-image-unsigned-{RELEASE}-dbgsym_6.8_amd64.ddeb"),
        (f"./usr/lib/debug/lib/modules/{RELEASE}/vmlinux", "own-dbg.deb"),
    ],
)
def test_btf_of_a_package(elf: bytes, tmp_path: Path, where: str, name: str) -> None:
    """The types are those of the source, for the release that the package names; the record says what made them."""
    path = package(tmp_path, {where: elf}, name)
    supply = Supply.parse(f"6.1/i386={path}")
    supply.prepare()
    found = supply.find(RELEASE, I386, "debian:bookworm")
    assert found is not None
    types = Btf.parse(found.data)
    number = types.find("task_struct", "struct")
    assert number is not None
    struct = types.type(number)
    assert isinstance(struct, kinds.Struct)
    assert struct.size == 1000 + 4 + 4 + 4 * 4
    assert types.pointer_size == 4
    assert found.name == str(path)
    (note,) = found.notes
    version = pahole.find().version
    digest = unlisted.digest(path)
    assert note == f"BTF by pahole-{version} from {path} (SHA-256 {digest}, signed: none)"
    assert entries() == [f"dwarf-{digest}-{version}"]
    assert [one.name for one in (cache.folder("btf") / entries()[0]).glob("[!.]*")] == [f"{RELEASE}.btf"]


def test_another_release_is_not_served(elf: bytes, tmp_path: Path) -> None:
    """Offsets of another release would relocate just as well, and read nonsense."""
    assert Supply.parse(str(package(tmp_path, {place(): elf}))).find("6.1.0-51-686-pae", I386) is None


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that grows with each run of pahole."""
    ran: list[Path] = []
    encode = pahole.Pahole.encode

    def once(tool: pahole.Pahole, elf: Path, target: Path) -> None:
        ran.append(elf)
        encode(tool, elf, target)

    monkeypatch.setattr(pahole.Pahole, "encode", once)
    return ran


def test_it_is_made_once(elf: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache has it under the package's digest, whatever the file is called, also where pahole is gone."""
    ran = counted(monkeypatch)
    first = debuginfo.of_file(package(tmp_path, {place(): elf}))
    assert debuginfo.of_file(package(tmp_path, {place(): elf}, "other.deb")) == first
    assert len(ran) == 1
    monkeypatch.setenv("PATH", "")
    assert debuginfo.of_file(package(tmp_path, {place(): elf}, "third.deb")) == first


def test_another_pahole_makes_it_anew(elf: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer pahole makes may be more."""
    path = package(tmp_path, {place(): elf})
    debuginfo.of_file(path)
    own = pahole.find()
    monkeypatch.setattr(pahole, "find", lambda: pahole.Pahole(own.program, "v1.99"))
    assert debuginfo.of_file(path).by == "pahole-v1.99"
    assert len(entries()) == 2


def test_a_package_behind_a_url(elf: bytes, tmp_path: Path, server: Server) -> None:
    """It is downloaded when it is wanted, once, and not kept; its BTF is."""
    server.files["/pool/x-dbg.deb"] = package(tmp_path, {place(): elf}).read_bytes()
    supply = Supply.parse(f"{server.url}/pool/x-dbg.deb")
    assert server.paths() == []
    supply.prepare()
    found = supply.find(RELEASE, I386)
    assert found is not None
    assert f" from {server.url}/pool/x-dbg.deb (SHA-256 " in found.notes[0]
    assert server.paths() == ["/pool/x-dbg.deb"]
    assert not list(cache.folder("packages").iterdir())


def test_a_package_that_changed(elf: bytes, tmp_path: Path, server: Server) -> None:
    """Where nothing made of it is here any more, what the URL has now counts."""
    url = f"{server.url}/x-dbg.deb"
    server.files["/x-dbg.deb"] = package(tmp_path, {place(): elf}).read_bytes()
    first = debuginfo.of_url(url)
    shutil.rmtree(first.path.parent)
    server.files["/x-dbg.deb"] = package(tmp_path, {place("6.1.0-51-686-pae"): elf}).read_bytes()
    assert debuginfo.of_url(url).release == "6.1.0-51-686-pae"


def test_nothing_is_downloaded_where_nothing_can_be_made(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of 800 MB does not come for nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="pahole: is not installed"):
        Supply.parse(f"{server.url}/x-dbg.deb").prepare()
    assert server.asked == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda server: server.files.clear(), r"x-dbg\.deb: not there \(HTTP 404\) \[look at the URL"),
        (lambda server: server.files.update({"/x-dbg.deb": bytes(3 << 20)}), r"x-dbg\.deb: has more than 2 MiB"),
        (lambda server: server.files.update({"/x-dbg.deb": b"<html>"}), r"^x-dbg\.deb: not a sound package: "),
    ],
    ids=["gone", "huge", "a page"],
)
def test_a_package_that_cannot_be_had(
    elf: bytes, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, spoil: object, message: str
) -> None:
    """One line, and nothing of it stays."""
    server.files["/x-dbg.deb"] = package(tmp_path, {place(): elf}).read_bytes()
    monkeypatch.setattr("everykernel.kernels.download.UNLISTED", 2 << 20)
    assert callable(spoil)
    spoil(server)
    with pytest.raises(DownloadError, match=message) as caught:
        Supply.parse(f"6.1/i386={server.url}/x-dbg.deb").prepare()
    assert "\n" not in str(caught.value)
    assert not [name for name in entries() if not name.startswith("url-")]
    assert not list(cache.folder("packages").iterdir())


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put another pahole in the place of the host's."""
    (folder / "bin").mkdir()
    (folder / "bin/pahole").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin/pahole").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", r"pahole: is not installed \[install dwarves 1\.22 or newer .*everykernel doctor says how\]"),
        ("echo v1.21", r"bin/pahole: v1\.21 is too old: it writes no BTF of its own \[install dwarves"),
        ("echo hello", r"bin/pahole: does not say which version it is: 'hello' \[install dwarves"),
    ],
    ids=["none", "old", "other"],
)
def test_without_a_pahole_that_can(
    elf: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    """The error says what to install; the package is not even opened."""
    if script:
        tool(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=message):
        Supply.parse(str(package(tmp_path, {place(): elf}))).prepare()
    assert entries() == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('test "$1" = --version && echo v1.30 || { echo line; echo no DWARF here >&2; exit 3; }', "no DWARF here"),
        ('test "$1" != --version || echo v1.30', "finds no debug information in it"),
        ('test "$1" = --version && echo v1.30 || { while :; do :; done; }', "did not end within 0.5 s"),
    ],
    ids=["fails", "writes nothing", "hangs"],
)
def test_a_pahole_that_fails(
    elf: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    """One line with what it said, and nothing half made in the cache."""
    tool(tmp_path, monkeypatch, script)
    monkeypatch.setattr(pahole, "_DEADLINE", 0.5)
    with pytest.raises(HarnessError, match=message) as caught:
        debuginfo.of_file(package(tmp_path, {place(): elf}))
    assert str(caught.value).startswith(f"linux-image-{RELEASE}-dbg_6.1_i386.deb: vmlinux: ")
    assert "\n" not in str(caught.value)
    assert entries() == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"holds no vmlinux below usr/lib/debug \[give the kernel's debug package: linux-image-RELEASE-dbg"),
        ({place(): b"no ELF"}, r"dbg_6\.1_i386\.deb: vmlinux: pahole v\S+ fails"),
        ({place("-rf"): b"x"}, r"'-rf' is no name for a kernel's release"),
        ({place(): bytes(3 << 20)}, r"its vmlinux has more than \d+ GiB"),
    ],
    ids=["none", "no ELF", "hostile name", "huge"],
)
def test_what_is_no_debug_package(
    files: dict[str, bytes], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the package and what to do, and nothing half made stays in the cache."""
    monkeypatch.setattr(debuginfo, "_LARGEST", 2 << 20)
    with pytest.raises(EverykernelError, match=message) as caught:
        debuginfo.of_file(package(tmp_path, files))
    assert "\n" not in str(caught.value)
    assert entries() == []


def test_what_has_no_debug_information(tmp_path: Path) -> None:
    """A stripped vmlinux has nothing to encode."""
    program = Path("/bin/true").read_bytes()
    with pytest.raises(HarnessError, match="vmlinux: pahole v"):
        debuginfo.of_file(package(tmp_path, {place(): program}))
    assert entries() == []


def test_a_damaged_package(elf: bytes, tmp_path: Path) -> None:
    """A package that ends early is not sound, by its own name."""
    path = package(tmp_path, {place(): elf})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DownloadError, match=rf"^{path.name}: not a sound package: .*\[have it again: it is damaged\]"):
        debuginfo.of_file(path)
    assert entries() == []


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A folder that is called like a package is a folder; a package that went is a usage error."""
    (tmp_path / "tree.deb").mkdir()
    assert Supply.parse(str(tmp_path / "tree.deb")).find(RELEASE, I386) is None
    with pytest.raises(UsageError, match=r"gone\.deb: cannot be read: No such file"):
        debuginfo.of_file(tmp_path / "gone.deb")


def test_no_space(elf: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told as such."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(debuginfo, "_copy", full)
    with pytest.raises(CacheError, match="no space left for the cache"):
        debuginfo.of_file(package(tmp_path, {place(): elf}))
    assert entries() == []


def test_a_vmlinux_is_never_in_memory_whole(tmp_path: Path) -> None:
    """A package with 160 MB of vmlinux takes some MB: it is streamed."""
    path = tmp_path / "big.deb"
    path.write_bytes(deb({place(): bytes(160 << 20)}, compression="zst"))
    program = f"""
from pathlib import Path
from everykernel.errors import HarnessError
from everykernel.kernels import debuginfo
try:
    debuginfo.of_file(Path({str(path)!r}))
except HarnessError as e:
    print(e)
print(*[line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said, most = done.stdout.splitlines()
    assert "pahole" in said
    assert int(most.split()[1]) < 120 << 10
