"""Options: all begin with --kernel-, older names work, and each has its place before pyproject.toml and the ini."""

from __future__ import annotations

import json
import re

import pytest
from tests import faking

from everykernel.plugin import options


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)


def kernels(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    faking.objects(pytester.path, good={})
    pytester.runpytest("good.bpf.o", "--kernel-report", "out", *arguments)
    return [k["spec"] for k in json.loads((pytester.path / "out/results.json").read_text())["kernels"]]


def test_every_option_begins_with_kernel(pytester: pytest.Pytester) -> None:
    """--help shows no option of ours under another name; the older names are taken all the same."""
    text = pytester.runpytest("--help").stdout.str()
    ours = text.partition("tests on many kernels")[2].partition("\n\n")[0]
    shown = re.findall(r"^  (--[a-z-]+)", ours, re.MULTILINE)
    assert len(shown) >= 7
    assert all(name == "--kernels" or name.startswith("--kernel-") for name in shown)
    faking.objects(pytester.path, good={})
    for old in ("--accel=tcg", "--kernels-missing=skip", "--btf=."):
        pytester.runpytest("--kernels", "6.1", old, "good.bpf.o").assert_outcomes(passed=1)


def test_older_names_mean_the_same(pytester: pytest.Pytester) -> None:
    """A supply that is given once under each name is two."""
    config = pytester.parseconfig("--btf=a", "--kernel-btf=b", "--accel=tcg", "--kernels-missing=skip")
    found = options.read(config)
    assert (found.btf, found.accel, found.skip_missing) == (("a", "b"), "tcg", True)
    found = options.read(pytester.parseconfig())
    assert (found.btf, found.accel, found.skip_missing, found.timeout) == ((), "auto", False, 60.0)


def test_places(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line wins over the environment, that over pyproject.toml, that over the ini."""
    pytester.makeini("[pytest]\nkernels = 5.10\n")
    assert kernels(pytester) == ["5.10"]
    pytester.makepyprojecttoml("[tool.everykernel]\nkernels = ['6.1']\n")
    assert kernels(pytester) == ["6.1"]
    monkeypatch.setenv("EVERYKERNEL_KERNELS", "6.12")
    assert kernels(pytester) == ["6.12"]
    assert kernels(pytester, "--kernels", "6.1/i386") == ["6.1/i386"]


def test_the_project_decides_what_is_not_given(pytester: pytest.Pytester) -> None:
    """Every setting of pyproject.toml stands where no option says otherwise."""
    pytester.makepyprojecttoml(
        "[tool.everykernel]\nkernels = '6.1,6.8'\nmissing = 'skip'\naccel = 'tcg'\ntimeout = 7\n"
        "objects = ['*.bpf.o']\nreport = 'out'\nbtf = 'x.btf'\n"
    )
    found = options.read(pytester.parseconfig("--kernel-accel=kvm"))
    assert (found.specs, found.skip_missing, found.accel, found.timeout) == (("6.1", "6.8"), True, "kvm", 7.0)
    assert (found.report, found.btf) == (pytester.path / "out", (str(pytester.path / "x.btf"),))
    pytester.makepyprojecttoml("[tool.everykernel]\nkernels = '6.1'\nobjects = ['*.bpf.o']\n")
    faking.objects(pytester.path, good={})
    pytester.runpytest().assert_outcomes(passed=1)


def test_what_is_wrong_there_ends_the_run(pytester: pytest.Pytester) -> None:
    """A misspelt key is pytest's usage error, in one line that names file and key."""
    path = pytester.makepyprojecttoml("[tool.everykernel]\nkernel = '6.1'\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: everykernel: {path}: tool.everykernel: unknown key 'kernel' [did you mean 'kernels'?]" in (
        result.stderr.str()
    )


def test_what_guests_are(pytester: pytest.Pytester) -> None:
    """--kernel-machine is of the kernels that do not say theirs; the project has its say where it is not given."""
    assert kernels(pytester, "--kernels", "6.1,6.1@bare,6.12@qemu") == ["6.1", "6.1@bare", "6.12"]
    assert kernels(pytester, "--kernels", "6.1,6.12@qemu", "--kernel-machine", "bare") == ["6.1@bare", "6.12"]
    found = {r["kernel"]: r for r in json.loads((pytester.path / "out/results.json").read_text())["results"]}
    assert {spec: one["target"] for spec, one in found.items()} == {"6.1@bare": "bare", "6.12": "guest"}
    (pytester.path / "test_it.py").write_text("def test_it(kernel): pass\n")
    assert kernels(pytester, "--kernels", "6.1@bare", "test_it.py") == ["6.1@bare"]
    own = json.loads((pytester.path / "out/results.json").read_text())["results"]
    assert {r["target"] for r in own} == {"bare"}
    assert found["6.1@bare"]["test"] == "good.bpf.o::good[6.1@bare]"
    assert found["6.12"]["again"].startswith("pytest --kernels 6.12@qemu --kernel-machine bare ")
    pytester.makepyprojecttoml("[tool.everykernel]\nkernels = ['6.1']\nmachine = 'bare'\n")
    assert kernels(pytester) == ["6.1@bare"]
    assert kernels(pytester, "--kernel-from-report", "out") == ["6.1@bare"]
    assert kernels(pytester, "--kernel-machine", "qemu") == ["6.1"]
    assert kernels(pytester, "--kernel-from-report", "out", "--kernel-machine", "bare") == ["6.1"]


def granted(pytester: pytest.Pytester, *arguments: str) -> dict[str, tuple[int | None, int]]:
    pytester.runpytest("--kernels", "6.1", "good.bpf.o", "test_it.py", "--kernel-report", "out", *arguments)
    data = json.loads((pytester.path / "out/results.json").read_text())
    return {r["case"] or r["object"]: (r["machine"]["memory"], r["granted"]["memory"]) for r in data["results"]}


def test_memory(pytester: pytest.Pytester) -> None:
    """A memory is an order, the closest wins: marker, option, project; without any, nobody asked for one."""
    faking.objects(pytester.path, good={})
    pytester.makepyfile(
        test_it="import pytest\ndef test_a(kernel): pass\n@pytest.mark.kernel(memory=300)\ndef test_b(kernel): pass\n"
    )
    marked = {"test_it.py::test_b": (300, 300)}
    assert granted(pytester) == {"good.bpf.o": (None, 256), "test_it.py::test_a": (None, 256), **marked}
    pytester.makepyprojecttoml("[tool.everykernel]\nmemory = 512\nmemory-ceiling = 1024\n")
    assert granted(pytester) == {"good.bpf.o": (512, 512), "test_it.py::test_a": (512, 512), **marked}
    found = granted(pytester, "--kernel-memory", "600")
    assert found == {"good.bpf.o": (600, 600), "test_it.py::test_a": (600, 600), **marked}
    assert options.read(pytester.parseconfig("--kernel-memory-ceiling=2048")).ceiling == 2048
    assert pytester.runpytest("--kernel-memory", "8").ret == pytest.ExitCode.USAGE_ERROR
