"""--btf and the argument of load, on fake kernels: one with BTF of its own, one without."""

from __future__ import annotations

import json

import pytest
from tests import faking
from tests.btfwriter import Writer
from tests.kernels.archive import Server

from everykernel.kernels import btfhub

KERNELS = ("--kernels", "6.1,6.1/i386")


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)
    writer = Writer()
    writer.integer("long", 4)
    (pytester.path / "any.btf").write_bytes(writer.image())
    folder = pytester.mkdir("many")
    (folder / "6.1.0-56-686-pae.btf").write_bytes(writer.image())


def test_only_the_kernel_without_is_given_one(pytester: pytest.Pytester) -> None:
    """Each load that a test asks for is given what was supplied, where the kernel has none, or always on request."""
    faking.objects(pytester.path, good={})
    pytester.makepyfile(
        """
        def sent(kernel):
            return [m.btf_name for m in kernel.guest.requests if m.kind == "load"]

        def test_option(kernel, load):
            load("good.bpf.o")
            assert sent(kernel) == ["" if kernel.has_btf else "many/6.1.0-56-686-pae.btf"]

        def test_argument(kernel, load):
            load("good.bpf.o", btf="any.btf", btf_always=True)
            name = sent(kernel)[0]
            assert name.endswith("/any.btf" if kernel.has_btf else "many/6.1.0-56-686-pae.btf")
        """
    )
    pytester.runpytest(*KERNELS, "--btf", "6.1/i386=many").assert_outcomes(passed=4)


def test_a_folder_that_lacks_the_kernel(pytester: pytest.Pytester) -> None:
    """A test that names a folder without this kernel's BTF is told so, where it is needed."""
    faking.objects(pytester.path, good={})
    pytester.mkdir("empty")
    pytester.makepyfile("def test(load):\n    load('good.bpf.o', btf='empty')")
    result = pytester.runpytest(*KERNELS)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*empty has no BTF for 6.1.0-56-686-pae (i386)*"])


def test_a_tree_behind_a_url(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may name a URL, whose file for the guest's release is fetched; the record says how it was come by."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(pytester.path / "cache"))
    faking.objects(pytester.path, good={})
    kernel = faking.kernel("6.1/i386")
    place = f"/hub/{btfhub.place(kernel.source, kernel.arch, '6.1.0-56-686-pae')}"
    with Server({place: (pytester.path / "any.btf").read_bytes()}) as server:
        pytester.makepyfile(f"def test(load):\n    load('good.bpf.o', btf='{server.url}/hub')")
        pytester.runpytest(*KERNELS, "--kernel-report", "out").assert_outcomes(passed=2)
        results = json.loads((pytester.path / "out/results.json").read_text())["results"]
        notes = {r["kernel"]: [note.partition(" (SHA-256 ")[0] for note in r["notes"]] for r in results}
        assert notes == {"6.1": [], "6.1/i386": [f"BTF from {server.url}{place}"]}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("gone.btf", "BTF 'gone.btf': there is no such file or folder*"),
        ("6.2=any.btf", "--btf 6.2=any.btf: kernel '6.2' is not part of this run [[]one of 6.1, 6.1/i386]"),
    ],
)
def test_what_cannot_serve_stops_the_run(option: str, message: str, pytester: pytest.Pytester) -> None:
    """BTF that is not there, or that is for another kernel, is a usage error: nothing boots."""
    faking.objects(pytester.path, good={})
    result = pytester.runpytest(*KERNELS, "--btf", option, "good.bpf.o")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: everykernel: {message}"])


def test_the_command_that_repeats_a_cell(pytester: pytest.Pytester) -> None:
    """A failure's command has the option too, where it serves that kernel."""
    faking.objects(pytester.path, bad={"load": faking.REJECTED})
    pytester.runpytest(*KERNELS, "--btf", "6.1/i386=any.btf", "--kernel-report", "out", "bad.bpf.o")
    results = json.loads((pytester.path / "out/results.json").read_text())["results"]
    assert {r["kernel"]: r["again"] for r in results} == {
        "6.1": "pytest --kernels 6.1 'bad.bpf.o::bad[6.1]'",
        "6.1/i386": "pytest --kernels 6.1/i386 --kernel-btf 6.1/i386=any.btf 'bad.bpf.o::bad[6.1/i386]'",
    }
