"""`everykernel kernels build`, and `everykernel run --twins` on fake kernels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests import faking

from everykernel import cache, cli
from everykernel.kernels.twins import parts

from ..kernels.archive import Server
from ..kernels.test_twins import MAKEFILE, published


@pytest.fixture
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    faking.objects(tmp_path, good={})


def ran(folder: Path) -> list[str]:
    return sorted(one["kernel"] for one in json.loads((folder / "out.json").read_text())["results"])


@pytest.mark.usefixtures("_world")
def test_three_columns_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--twins 6.1 is both twins and the one with supplied BTF; each cell is run again by its kernel's name."""
    assert cli.main(["run", "good.bpf.o", "--twins", "6.1", "--json", "out.json"]) == 0
    assert ran(tmp_path) == ["6.1-btf", "6.1-nobtf", "6.1-supplied"]
    assert "\ntwins: 6.1.7-twin" in (out := capsys.readouterr().out)
    assert "no object loses anything without BTF" in out
    again = {one["again"] for one in json.loads((tmp_path / "out.json").read_text())["results"]}
    assert "everykernel run good.bpf.o --kernels 6.1-supplied" in again


@pytest.mark.usefixtures("_world")
def test_twins_beside_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels of the command line are run too; the project's are not. Without a pair there is no picture."""
    (tmp_path / "pyproject.toml").write_text("[tool.everykernel]\nkernels = ['5.10']\n")
    cli.main(["run", "good.bpf.o", "--twins", "6.1", "--json", "out.json"])
    assert ran(tmp_path) == ["6.1-btf", "6.1-nobtf", "6.1-supplied"]
    cli.main(["run", "good.bpf.o", "--twins", "6.1", "--kernels", "6.12", "--json", "out.json"])
    assert ran(tmp_path) == ["6.1-btf", "6.1-nobtf", "6.1-supplied", "6.12"]
    capsys.readouterr()
    cli.main(["run", "good.bpf.o", "--kernels", "6.1-btf,6.1-nobtf", "--json", "out.json"])
    assert "\ntwins: " in capsys.readouterr().out
    cli.main(["run", "good.bpf.o", "--kernels", "6.1-btf,6.12", "--json", "out.json"])
    assert "\ntwins: " not in capsys.readouterr().out


@pytest.mark.usefixtures("_world")
def test_no_twins_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is a usage error of one line."""
    assert cli.main(["run", "good.bpf.o", "--twins", ","]) == 2
    assert capsys.readouterr().err == "everykernel: --twins: no twins were named [name some of 6.1, 6.12]\n"


def test_what_is_not_built_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error of a twin that is not here is one line with what builds it."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    faking.objects(tmp_path, good={})
    assert cli.main(["run", "good.bpf.o", "--twins", "6.1"]) == 2
    minutes = parts.rows()["6.1"].minutes
    assert capsys.readouterr().err == (
        "everykernel: 6.1-btf: is not built on this machine "
        f"[everykernel kernels build 6.1 builds both in about {minutes} minutes of a processor]\n"
    )


def test_build_says_first_how_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is built the time is told, afterwards what there is; a twin's own name means both."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    row = replace(parts.rows()["6.1"], suites=("stable",), minutes=30)
    monkeypatch.setattr(parts, "rows", lambda: {"6.1": row})
    with Server() as server:
        archive = published(server, MAKEFILE)
        monkeypatch.setattr("everykernel.cli.kernels.Archive", lambda update: archive)
        assert cli.main(["kernels", "build", "6.1-nobtf", "6.1", "-j", "2"]) == 0
        out, err = capsys.readouterr()
        assert err.splitlines()[0] == (
            "6.1: two kernels of linux-source-6.1 6.1.7-1: about 15 minutes on 2 processors, and 8 GB of disk meanwhile"
        )
        assert [line.partition(" (")[0] for line in out.splitlines()] == [
            "6.1-nobtf: 6.1.7-twin",
            "6.1-btf: 6.1.7-twin",
        ]
        assert cli.main(["kernels", "build", "6.1"]) == 0
        assert capsys.readouterr() == (out, "")
        assert cli.main(["kernels", "build", "6.8"]) == 2
        assert capsys.readouterr().err == (
            "everykernel: 6.8: no twins are built of this series [there are those of 6.1]\n"
        )


def test_what_was_built_is_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list ends with what was built here; a twin's name removes it, and no other kernel."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    row = replace(parts.rows()["6.1"], suites=("stable",))
    monkeypatch.setattr(parts, "rows", lambda: {"6.1": row})
    with Server() as server:
        archive = published(server, MAKEFILE)
        monkeypatch.setattr("everykernel.cli.kernels.Archive", lambda update: archive)
        monkeypatch.setattr("everykernel.kernels.sources.table.Archive", lambda update: archive)
        assert cli.main(["kernels", "build", "6.1"]) == 0
        capsys.readouterr()
        assert cli.main(["kernels", "list"]) == 0
        ends = capsys.readouterr().out.splitlines()[-2:]
        assert ends == ["6.1-btf  6.1.7, built here", "6.1-nobtf  6.1.7, built here"]
    cache.let_go()
    assert cli.main(["kernels", "remove", "6.1.7-btf"]) == 0
    assert capsys.readouterr().out == "removed 6.1-btf (6.1.7-1) (0 MB)\n"
    assert cli.main(["kernels", "remove", "6.1-btf"]) == 2
    said = "everykernel: 6.1-btf: is not built on this machine [there are: 6.1-nobtf]\n"
    assert capsys.readouterr().err == said
