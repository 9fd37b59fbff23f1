"""`everykernel doctor` tells what is there, what is not, and what to do; it ends with 4 where something is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel.cli import doctor, main
from everykernel.kernels import debian

from ..kernels.archive import Server, TinyArchive
from ..kernels.conftest import publish_all


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host with a folder of programs of its own, an empty cache, and a mirror in reach."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("setpriv", "clang-19", "gpgv"):
        program(programs, name, "")
    program(programs, "qemu-system-x86_64", "QEMU emulator version 9.1.0 (Debian)")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EVERYKERNEL_CACHE_LIMIT", raising=False)
    with Server() as server:
        tiny = TinyArchive(server)
        publish_all(tiny)
        monkeypatch.setattr("everykernel.cli.doctor.Archive", tiny.archive)
        yield programs


def program(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def run(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, doctor.Finding]]:
    code = main(["doctor", "--no-boot", "--json"])
    return code, {row["name"]: doctor.Finding(**row) for row in json.loads(capsys.readouterr().out)}


def test_a_host_with_all_it_needs(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """All that is needed is there: 0, and where each thing was found."""
    code, found = run(capsys)
    assert code == 0
    assert [name for name, one in found.items() if one.status == "missing"] == []
    assert found["qemu"].detail == f"9.1.0 ({host}/qemu-system-x86_64)"
    assert found["cache"].status == "ok"
    assert found["mirror"].detail.startswith("http://127.0.0.1:")
    assert found["accelerator"].detail == "not tried"


def test_without_qemu(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """No QEMU is missing, with the package to install; the command ends with 4."""
    (host / "qemu-system-x86_64").unlink()
    code, found = run(capsys)
    assert code == 4
    assert found["qemu"].status == "missing"
    assert found["qemu"].detail == "no qemu-system-x86_64: nothing can be booted"
    assert "qemu-system-x86" in found["qemu"].remedy


def test_nothing_is_booted_where_something_is_missing(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """The probe boot is left out where it cannot work."""
    (host / "qemu-system-x86_64").unlink()
    assert main(["doctor"]) == 4
    assert "not tried, since something that it needs is missing" in capsys.readouterr().out


def test_what_is_optional_does_not_fail(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """Without a compiler and gpgv the rest works: said, with what to install, and 0."""
    (host / "clang-19").unlink()
    (host / "gpgv").unlink()
    code, found = run(capsys)
    assert code == 0
    assert found["clang"].status == "optional"
    assert found["clang"].detail == "needed only to compile the cases"
    assert found["gpgv"].status == "optional"
    assert found["gpgv"].detail == "Debian's indexes are then taken by HTTPS, their signatures unchecked"


def test_pahole(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """Without pahole only debug packages cannot be used: said, with what to install; an old one is told too."""
    why = "needed only to make BTF of a kernel's debug package (--btf …-dbg.deb)"
    code, found = run(capsys)
    assert (code, found["pahole"].status, found["pahole"].detail) == (0, "optional", why)
    assert "dwarves" in found["pahole"].remedy
    program(host, "pahole", "v1.21")
    _, found = run(capsys)
    assert found["pahole"].detail == f"{host}/pahole v1.21 is too old: it writes no BTF of its own; {why}"
    program(host, "pahole", "v1.24")
    _, found = run(capsys)
    assert found["pahole"] == doctor.Finding("pahole", "ok", f"v1.24 ({host}/pahole)")


def test_the_static_program(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """Without clang and lld of one release only machines without Python cannot be used: said, with what to install."""
    code, found = run(capsys)
    row = found["static program"]
    assert (code, row.status) == (0, "optional")
    assert row.detail == (
        "no clang with its lld; needed only for machines without Python (--kernels 6.1@bare, targets with"
        ' python = "none")'
    )
    assert "clang-19 lld-19" in row.remedy
    program(host, "ld.lld", "LLD 14.0.6")
    assert run(capsys)[1]["static program"].status == "optional"
    program(host, "ld.lld-19", "LLD 19.1.7")
    assert run(capsys)[1]["static program"] == doctor.Finding("static program", "ok", "clang-19, ld.lld-19")


def test_old_versions_are_told(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """A QEMU older than any tested and a clang that crashes are pointed out."""
    program(host, "qemu-system-x86_64", "QEMU emulator version 5.2.0")
    (host / "clang-19").unlink()
    program(host, "clang", "Debian clang version 14.0.6")
    _, found = run(capsys)
    assert found["qemu"].status == "optional"
    assert "older than 7.2, the oldest tested" in found["qemu"].detail
    assert "clang is older than 19, and crashes on some of the cases" in found["clang"].detail


def test_a_qemu_that_does_not_start(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """A broken QEMU is as good as none."""
    (host / "qemu-system-x86_64").write_text("#!/bin/sh\necho 'cannot open shared object file' >&2\nexit 127\n")
    code, found = run(capsys)
    assert code == 4
    assert found["qemu"].detail == f"{host}/qemu-system-x86_64 does not start: cannot open shared object file"


def test_a_cache_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that cannot be made is missing, with the setting that helps."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "file" / "cache"))
    code = main(["doctor", "--no-boot"])
    out = capsys.readouterr().out
    assert code == 4
    assert "Not a directory" in out
    assert "set EVERYKERNEL_CACHE to another folder" in out


def test_without_a_mirror(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No network and no kernel in the cache: nothing can be run."""
    monkeypatch.setenv("EVERYKERNEL_DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
    monkeypatch.setattr("everykernel.cli.doctor.Archive", debian.Archive)
    code, found = run(capsys)
    assert code == 4
    assert found["mirror"].status == "missing"
    assert found["mirror"].detail.endswith("Connection refused, and no kernel is here")
    assert "set EVERYKERNEL_DEBIAN_MIRROR to a mirror in reach" in found["mirror"].remedy


@pytest.mark.parametrize(
    ("release", "remedy"),
    [
        ("ID=debian\n", "apt-get install gpgv"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt-get install gpgv"),
        ("ID=fedora\n", "dnf install gnupg2"),
        ("ID=arch\n", "pacman -S gnupg"),
        (
            "ID=other\n",
            "Debian, Ubuntu: apt-get install gpgv; Fedora: dnf install gnupg2; Arch: pacman -S gnupg",
        ),
        (
            "",
            "Debian, Ubuntu: apt-get install gpgv; Fedora: dnf install gnupg2; Arch: pacman -S gnupg",
        ),
    ],
)
def test_the_remedy_is_this_systems(tmp_path: Path, release: str, remedy: str) -> None:
    """Packages are named as this system's package manager knows them; on an unknown system for all we know."""
    path = tmp_path / "os-release"
    if release:
        path.write_text(release)
    assert doctor.install("gpgv", os_release=path) == remedy


def test_little_room_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full is pointed out before it is full."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(1e9))
    _, found = run(capsys)
    assert found["cache"].status == "optional"
    assert "1.0 GB free" in found["cache"].detail


class Usage:
    """What `shutil.disk_usage` returns, as far as it is read."""

    def __init__(self, free: float) -> None:
        self.free = free


def test_other_architectures(capsys: pytest.CaptureFixture[str], host: Path) -> None:
    """What has an emulator and what has none, with the packages that bring all that are missing."""
    for name in ("qemu-system-aarch64", "qemu-system-arm", "qemu-system-ppc64"):
        program(host, name, "QEMU emulator version 9.1.0 (Debian)")
    code, found = run(capsys)
    assert code == 0
    assert found["other machines"].status == "optional"
    assert found["other machines"].detail == "arm64 armhf ppc64el; no emulator for s390x riscv64"
    assert "qemu-system-misc" in found["other machines"].remedy
    for name in ("qemu-system-s390x", "qemu-system-riscv64"):
        program(host, name, "QEMU emulator version 9.1.0 (Debian)")
    other = run(capsys)[1]["other machines"]
    assert (other.status, other.remedy) == ("ok", "")
    assert other.detail == "arm64 armhf s390x riscv64 ppc64el"
