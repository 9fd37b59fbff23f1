"""``everykernel run --btf``, on fake kernels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import faking
from tests.btfwriter import Writer

from everykernel import cli


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    writer = Writer()
    writer.integer("long", 4)
    (tmp_path / "any.btf").write_bytes(writer.image())


def test_the_kernel_without_btf_is_given_one(tmp_path: Path) -> None:
    """What is supplied reaches the cells, and the command that runs one again says so."""
    faking.objects(tmp_path, bad={"load": faking.REJECTED})
    arguments = ["run", "bad.bpf.o", "--kernels", "6.1,6.1/i386", "--btf", "any.btf", "--btf", "6.1/i386=any.btf"]
    assert cli.main([*arguments, "--json", "out.json"]) == 1
    results = json.loads((tmp_path / "out.json").read_text())["results"]
    assert {r["kernel"]: r["again"] for r in results} == {
        "6.1": "everykernel run bad.bpf.o --kernels 6.1 --btf any.btf",
        "6.1/i386": "everykernel run bad.bpf.o --kernels 6.1/i386 --btf any.btf --btf 6.1/i386=any.btf",
    }


@pytest.mark.parametrize("option", ["gone.btf", "6.2=any.btf", "bad.bpf.o"])
def test_what_cannot_serve_is_a_usage_error(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, holds no BTF, or is for a kernel that is not asked for: exit code 2, one line."""
    faking.objects(tmp_path, bad={})
    assert cli.main(["run", "bad.bpf.o", "--kernels", "6.1", "--btf", option]) == 2
    assert capsys.readouterr().err.count("\n") == 1
