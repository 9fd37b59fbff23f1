"""`everykernel kernels` lists, fetches, locates and removes; errors are one line on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel.cli import main
from everykernel.kernels import debian, store

from ..kernels.archive import Server, TinyArchive
from ..kernels.conftest import publish_all


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyArchive]:
    """The command sees a tiny archive and an empty cache."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    with Server() as server:
        tiny = TinyArchive(server)
        publish_all(tiny)

        def archive(update: bool = False) -> debian.Archive:
            return tiny.archive(update=update)

        monkeypatch.setattr("everykernel.kernels.sources.table.Archive", archive)
        monkeypatch.setenv("EVERYKERNEL_SOURCES", "debian")
        yield tiny
    store.release_all()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["kernels", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_list_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a series and architecture, oldest first, what is here marked."""
    assert run(capsys, "fetch", "6.1", "6.1/i386")[0] == 0
    code, out, _ = run(capsys, "list")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines] == ["kernel", "5.10", "6.1", "6.12", "7.1", "7.3", "7.4", "6.1/i386"]
    words = {line.split()[0]: line.split() for line in lines[1:]}
    assert words["6.1"][1:5] == ["6.1.192", "stable-security", "cloud-amd64", "amd64"]
    assert words["6.1"][5] == "yes"
    assert words["6.1"][-1] == "MB"
    assert words["6.12"][-1] == "-"
    assert words["6.1/i386"][4] == "no"


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the same as JSON, nothing else on standard output."""
    code, out, err = run(capsys, "list", "--json")
    assert (code, err) == (0, "")
    rows = {row["spec"]: row for row in json.loads(out)}
    assert rows["6.1"]["release"] == "6.1.0-56-cloud-amd64"
    assert rows["6.1"]["flavours"] == ["cloud-amd64", "amd64"]
    assert (rows["6.1"]["btf"], rows["6.1/i386"]["btf"], rows["7.4"]["btf"]) == (True, False, None)
    assert not rows["6.1"]["cached"]


def test_fetch_says_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a kernel on standard output, what is to be known of it on standard error."""
    code, out, err = run(capsys, "fetch", "6.1,7.1")
    assert code == 0
    assert out == (
        "6.1: 6.1.0-56-cloud-amd64 (debian:stable-security, signed: gpgv, BTF)\n"
        "7.1: 7.1.13+deb13-cloud-amd64 (debian:rolling, signed: gpgv, BTF)\n"
    )
    assert "no modules: Debian's signed index has no linux-modules-7.1.13+deb13-cloud-amd64" in err


def test_fetch_of_an_unknown_kernel_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest is named, and nothing is downloaded."""
    code, out, err = run(capsys, "fetch", "6.1,6.8")
    assert (code, out) == (2, "")
    assert err == (
        "everykernel: 6.8: no source has kernel 6.8 [the nearest to be had is 6.12, "
        "or give a path to a bzImage or a kernel build directory, like ./bzImage]\n"
    )


def test_path_prints_paths(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The image, its BTF, modules and configuration can be handed to other programs."""
    folder = tmp_path / "cache/kernels/x86_64-6.1.0-56-cloud-amd64_6.1.192-2"
    assert run(capsys, "path", "6.1")[1] == f"{folder}/vmlinuz\n"
    assert run(capsys, "path", "6.1", "--btf")[1] == f"{folder}/vmlinux.btf\n"
    assert run(capsys, "path", "6.1", "--modules")[1] == f"{folder}/lib/modules/6.1.0-56-cloud-amd64\n"
    assert run(capsys, "path", "6.1", "--config")[1] == f"{folder}/config\n"


def test_path_of_what_a_kernel_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not there is an error, never an empty line."""
    code, out, err = run(capsys, "path", "7.1", "--modules")
    assert (code, out) == (4, "")
    assert "everykernel: 7.1: has no modules [no modules: " in err
    code, out, err = run(capsys, "path", "6.1/i386", "--btf")
    assert (code, out) == (4, "")
    assert "everykernel: 6.1/i386: has no BTF" in err


def test_remove(capsys: pytest.CaptureFixture[str]) -> None:
    """A series removes all of its kernels, of that architecture only."""
    run(capsys, "fetch", "6.1,6.1.99,6.1+generic,6.1/i386,6.12")
    code, out, _ = run(capsys, "remove", "--superseded")
    assert (code, out) == (0, "removed 6.1.0-9-cloud-amd64 (0 MB)\n")
    assert run(capsys, "remove", "6.1+generic")[1] == "removed 6.1.0-56-amd64 (0 MB)\n"
    assert run(capsys, "remove", "6.1")[1] == "removed 6.1.0-56-cloud-amd64 (0 MB)\n"
    code, out, err = run(capsys, "remove", "6.1")
    assert (code, out) == (2, "")
    assert "6.1: no such kernel is in the cache [there are: 6.1.0-54-686-pae, 6.12.117+deb13-cloud-amd64]" in err
    run(capsys, "remove", "--all")
    assert store.stored() == []


def test_remove_without_a_name_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is removed by accident."""
    code, _, err = run(capsys, "remove")
    assert code == 2
    assert "name what to remove, or say --all or --superseded" in err


def test_a_run_that_cannot_fit_says_so_before_it_fetches(
    capsys: pytest.CaptureFixture[str], tiny: TinyArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends with 4 and one line that has the sizes and the remedy; only indexes were asked for."""
    monkeypatch.setattr("everykernel.machine.process.find", lambda name: Path("/bin/true"))
    monkeypatch.setenv("EVERYKERNEL_CACHE_LIMIT", "0.5")
    (tmp_path / "a.bpf.o").write_bytes(b"")
    assert main(["run", str(tmp_path / "a.bpf.o"), "--kernels", "6.1"]) == 4
    assert capsys.readouterr().err.splitlines()[-2] == (
        f"everykernel: {tmp_path}/cache: this run needs some 0.6 GB of the cache (kernels: 1, snapshots: 1), "
        "whose limit is 0.5 GB [set EVERYKERNEL_CACHE_LIMIT to 1 (GB), or name fewer kernels]"
    )
    assert not [path for path in tiny.server.paths() if path.endswith(".deb")]
    assert store.stored() == []
