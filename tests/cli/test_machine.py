"""``everykernel run --machine``, and kernels that say themselves what their guests are, on fake kernels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import faking

from everykernel import cli


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})


def ran(*arguments: str, code: int = 0) -> dict[str, tuple[str, str]]:
    """Return where each kernel of a run of one object ran, and how its cell is run again."""
    assert cli.main(["run", *arguments, "--json", "out.json"]) == code
    found = json.loads(Path("out.json").read_text())["results"]
    return {one["kernel"]: (one["target"], one["again"].partition(" --kernels ")[2]) for one in found}


def test_a_column_beside_others() -> None:
    """6.1 and 6.1@bare are two columns of one kernel; record, matrix and the command that runs it again tell them."""
    found = ran("good.bpf.o", "--kernels", "6.1,6.1@bare")
    assert found == {"6.1": ("guest", "6.1"), "6.1@bare": ("bare", "6.1@bare")}
    _, bare = json.loads(Path("out.json").read_text())["kernels"]
    assert (bare["spec"], bare["release"], bare["target"]) == ("6.1@bare", faking.RELEASES["6.1"], "bare")
    assert "nothing in its guests but a static program" in bare["notes"][0]


def test_what_a_kernel_says_wins() -> None:
    """--machine, or the project's, is of the kernels that do not say theirs; each is run again as what it was."""
    Path("pyproject.toml").write_text('[tool.everykernel]\nmachine = "bare"\n')
    assert ran("good.bpf.o", "--kernels", "6.1,6.12@qemu") == {
        "6.1@bare": ("bare", "6.1@bare"),
        "6.12": ("guest", "6.12@qemu"),
    }
    assert sorted(ran("good.bpf.o", "--kernels", "6.1,6.12@bare", "--machine", "qemu")) == ["6.1", "6.12@bare"]


def test_a_report_again() -> None:
    """A cell that failed on 6.1@bare is run again there, and nowhere else."""
    assert set(ran("bad.bpf.o", "--kernels", "6.12", "--machine", "bare", code=1)) == {"6.12@bare"}
    Path("out.json").rename("old.json")
    assert set(ran("--from-report", "old.json", "--failed", code=1)) == {"6.12@bare"}


def test_btf_for_a_kernel() -> None:
    """Supplied BTF for 6.1/i386 is for it in bare guests too, and for no other kernel."""
    Path("x.btf").mkdir()
    assert set(ran("good.bpf.o", "--kernels", "6.1/i386@bare", "--btf", "6.1/i386=x.btf")) == {"6.1/i386@bare"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["good.bpf.o", "--loader", "libbpf"],
            "6.1@bare: no loader but own loads there: the others are programs of the guest [leave --loader out]",
        ),
        (["--cmd", "true"], "6.1@bare: a command runs in guests with programs only [leave the kernel out]"),
    ],
)
def test_what_needs_programs(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Real loaders and commands are refused before anything boots, in one line that names the column."""
    assert cli.main(["run", *arguments, "--kernels", "6.1", "--machine", "bare"]) == 2
    assert capsys.readouterr().err == f"everykernel: {said}\n"
