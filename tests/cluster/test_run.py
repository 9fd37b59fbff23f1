"""Runs on a cluster of two workers, in a fake world: what a local run would have said, and who said it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import faking
from tests.cluster.conftest import ROOT, Machines

Read = Callable[[Path], dict[str, Any]]
OF_A_MOMENT = ("seconds", "worker")  # what differs between two runs of the same cell


def plain(value: Any) -> Any:
    """Return results without what differs between two runs of the same cell."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in OF_A_MOMENT}
    return [plain(one) for one in value] if isinstance(value, list) else value


def by_cell(results: dict[str, Any]) -> dict[str, Any]:
    """Return results by what they are of, each once."""
    found = {f"{r['case']} {r['object']} {r['kernel']}": plain(r) for r in results["results"]}
    assert len(found) == len(results["results"])
    return found


def write(folder: Path) -> list[str]:
    """Write objects and cases of every outcome, with all that travels; return their names."""
    faking.objects(
        folder,
        good={},
        bad={"load": faking.REJECTED},
        panics={"raise": "KernelPanic"},
        misread={"misreads": [faking.MISREAD]},
    )
    checked, command = folder / "checked", folder / "command"
    checked.mkdir()
    faking.objects(checked, one={"ek_failed_line": 41}, two={})
    (checked / "check.py").write_text("def check(obj):\n    return {}\n")
    (checked / "case.toml").write_text('objects = ["one.bpf.o", "two.bpf.o"]\ncheck = "check.py"\ntrigger = ["true"]\n')
    command.mkdir()
    (command / "tool.sh").write_text("#!/bin/sh\n")
    (command / "data").write_text("data")
    (command / "case.toml").write_text('command = "./tool.sh --now"\npush = ["data"]\n')
    (folder / "nothing.bpf.o").write_text("")
    return [*sorted(path.name for path in folder.glob("*.o")), "checked", "command"]


def test_results_are_those_of_a_local_run(pair: Machines, tmp_path: Path, results: Read) -> None:
    """Each cell of a cluster says what it says in a local run, field by field, but for times and who ran it."""
    names = [*write(tmp_path), "--kernels", "5.10,6.1,6.1/i386"]
    here = pair.run("run", *names, "--json", "here.json", cwd=tmp_path)
    there = pair.run("run", *names, "--json", "there.json", "--cluster", pair.address, cwd=tmp_path)
    assert (here.returncode, there.returncode) == (3, 3), there.stderr
    one, other = results(tmp_path / "here.json"), results(tmp_path / "there.json")
    assert by_cell(one) == by_cell(other)
    assert len(by_cell(one)) == 21
    outcomes = {result["outcome"] for result in other["results"]}
    assert outcomes == {"passed", "failed", "error"}
    assert {kernel["spec"]: kernel for kernel in one["kernels"]} == {k["spec"]: k for k in other["kernels"]}
    assert "the workers" not in here.stdout


def test_workers_are_told_apart(pair: Machines, tmp_path: Path, results: Read) -> None:
    """Each result names its worker, whose QEMU stands in the run's record; two versions are two records."""
    faking.objects(tmp_path, **{f"o{number}": {"n": number, "sleep": 0.05} for number in range(12)})
    names = [f"o{number}.bpf.o" for number in range(12)]
    done = pair.run("run", *names, "--kernels", "6.1", "--cluster", pair.address, "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = results(tmp_path / "r.json")
    assert {one["name"]: one["qemu"] for one in found["run"]["workers"]} == {"w1": "7.2", "w2": "9.9"}
    assert {result["worker"] for result in found["results"]} == {"w1", "w2"}
    assert found["run"]["host"]["qemu"] == "7.2, 9.9"
    assert found["run"]["host"]["accelerator"] == "fake"


def test_a_guest_that_broke_is_retried_by_its_worker(pair: Machines, tmp_path: Path, results: Read) -> None:
    """The attempts of a cell are kept as in a local run, each with its worker."""
    faking.objects(tmp_path, flaky={"raise": "GuestLost", "breaks": 1})
    command = ["run", "flaky.bpf.o", "--kernels", "6.1", "--cluster", pair.address, "--report", "report"]
    done = pair.run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [result] = results(tmp_path / "report" / "results.json")["results"]
    assert [one["code"] for one in result["attempts"]] == ["guest-lost"]
    assert result["attempts"][0]["worker"] == result["worker"]
    assert f"{result['worker']}: flaky.bpf.o on 6.1: guest-lost: 6.1: it broke; it is run again" in done.stderr


def test_what_travels_is_kept_by_digest(pair: Machines, tmp_path: Path) -> None:
    """A second run sends no kernel, image or object that a worker has: what it holds is neither more nor newer."""
    faking.objects(tmp_path, kept={"n": 99})
    command = ["run", "kept.bpf.o", "--kernels", "5.10,6.1,6.12", "--cluster", pair.address]

    def held() -> dict[str, float]:
        found = (path for name in ("w1", "w2") for path in (pair.folder / f"cache-{name}" / "cluster").iterdir())
        return {str(path): path.lstat().st_ino for path in found}

    for _ in range(2):  # of one cell on three kernels either worker may get any
        done = pair.run(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stdout
    trees = [Path(path).parent.parent.name + Path(path).name for path in held() if Path(path).name.startswith("tree-")]
    assert len(trees) == len(set(trees))
    before = held()
    for name in ("kept.bpf.o", "copy.bpf.o"):
        (tmp_path / name).write_bytes((tmp_path / "kept.bpf.o").read_bytes())
    assert pair.run(*command, "copy.bpf.o", cwd=tmp_path).returncode == 0
    after = held()
    assert {path: inode for path, inode in after.items() if path in before} == before
    assert not [path for path in after if ".part" in path]


def test_pytest_sends_cells_and_keeps_guests_of_tests(pair: Machines, tmp_path: Path, results: Read) -> None:
    """Cases and objects are run by workers; a test that asks for a kernel has it here."""
    write(tmp_path)
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport pytest\nfrom tests.cluster import world\n"
        "world.install(pytest.MonkeyPatch())\n"
    )
    (tmp_path / "test_own.py").write_text("def test_own(kernel):\n    assert kernel.run(['true']).code == 0\n")
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.everykernel]\nkernels = ["6.1"]\nobjects = ["good.bpf.o", "bad.bpf.o"]\ncluster = "{pair.address}"\n'
    )
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", "--kernel-report", "report", "-q"]
    done = pair.program(sys.executable, *arguments, cwd=tmp_path)
    found = {result["test"]: result for result in results(tmp_path / "report" / "results.json")["results"]}
    assert {name.split("::")[0]: "worker" in result for name, result in found.items()} == {
        "bad.bpf.o": True, "checked/case.toml": True, "command/case.toml": True, "good.bpf.o": True,
        "test_own.py": False,
    }, done.stdout  # fmt: skip
    assert done.returncode == 1
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("beside", "said"),
    [(["--kernel-keep"], "does not go with --kernel-keep"), (["-n", "2"], "does not go with -n (pytest-xdist)")],
)
def test_pytest_refuses_what_does_not_go_together(pair: Machines, tmp_path: Path, beside: list[str], said: str) -> None:
    """A shell needs the guest here; pytest-xdist is for one machine: each is refused in a line."""
    arguments = ["-m", "pytest", "--kernels", "6.1", "--kernel-cluster", pair.address, *beside]
    done = pair.program(sys.executable, *arguments, cwd=tmp_path)
    assert done.returncode == 4
    assert f"everykernel: --kernel-cluster: {said} [leave out one of them]" in done.stderr
