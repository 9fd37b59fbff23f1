"""The fixtures ``kernel`` and ``load``, on fake kernels."""

from __future__ import annotations

import json

import pytest
from tests import faking

from everykernel.errors import ToolMissing


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)


def test_a_test_runs_on_each_kernel(pytester: pytest.Pytester) -> None:
    """A test that asks for ``kernel`` is one item a kernel, and has what the kernel is."""
    pytester.makepyfile(
        """
        def test_x(kernel):
            kernel.push("/root/a", b"data")
            assert kernel.pull("/root/a") == b"data"
            assert kernel.run("uname -r").code == 0
            assert kernel.has_btf == (kernel.arch != "i386")
        """
    )
    result = pytester.runpytest("--kernels", "6.1,6.1/i386", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_x[[]6.1[]] PASSED*", "*::test_x[[]6.1/i386[]] PASSED*"])


def test_kernels_come_from_environment_and_ini(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line wins over the environment, that over the ini file."""
    pytester.makepyfile("def test_x(kernel): assert kernel.spec")
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\nkernels = "5.10,6.1,6.12"\n')
    pytester.runpytest().assert_outcomes(passed=3)
    monkeypatch.setenv("EVERYKERNEL_KERNELS", "5.10,6.1")
    pytester.runpytest().assert_outcomes(passed=2)
    pytester.runpytest("--kernels", "6.1").assert_outcomes(passed=1)


def test_without_kernels_the_remedy_is_named(pytester: pytest.Pytester) -> None:
    """A kernel test without --kernels is an error that says what to do; other tests run."""
    pytester.makepyfile("def test_x(kernel): pass\ndef test_y(): pass")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*this test needs a kernel, and none was named [[]pytest --kernels 6.1, *"])


def test_nothing_is_imported_without_need(pytester: pytest.Pytester) -> None:
    """A run without kernel tests imports neither machines nor loaders."""
    pytester.makepyfile(
        """
        import sys
        def test_y():
            loaded = {name for name in sys.modules if name.startswith("everykernel.")}
            assert not {"everykernel.machine", "everykernel.kernels", "everykernel.matrix"} & loaded, loaded
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_workers_without_kernels(pytester: pytest.Pytester) -> None:
    """A run with -n that has nothing to do with kernels is left alone."""
    pytester.makepyfile("def test_y(): pass")
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=1)


def test_unknown_kernel_stops_in_one_line(pytester: pytest.Pytester) -> None:
    """An unknown kernel is pytest's usage error, before anything boots."""
    pytester.makepyfile("def test_x(kernel): pass")
    result = pytester.runpytest("--kernels", "6.1,6.8")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: everykernel: 6.8: no source has this kernel [[]nearest: 6.1[]]"])


def test_unknown_kernel_stops_workers_before_they_start(pytester: pytest.Pytester) -> None:
    """The same with -n."""
    pytester.makeconftest(faking.CONFTEST)
    pytester.makepyfile("def test_x(kernel): pass")
    result = pytester.runpytest_subprocess("--kernels", "6.1,6.8", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_no_qemu_is_told_before_anything_boots(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without QEMU pytest ends with its usage error, in one line that names the remedy."""

    def find(program: str) -> None:
        raise ToolMissing("not installed", where=program, remedy="run `everykernel doctor`")

    monkeypatch.setattr("everykernel.machine.process.find", find)
    pytester.makepyfile("def test_x(kernel): pass")
    result = pytester.runpytest("--kernels", "6.1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: everykernel: qemu-system-x86_64: not installed [[]run `everykernel doctor`[]]"]
    )


def test_missing_kernel_may_be_a_column_that_says_so(pytester: pytest.Pytester) -> None:
    """--kernels-missing skip runs the rest, and the matrix has a column for what is missing."""
    pytester.makepyfile("def test_x(kernel): pass")
    result = pytester.runpytest("--kernels", "6.1,6.8", "--kernels-missing", "skip")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*missing*", "6.8: no source has this kernel*"])


def test_collection_resolves_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """--collect-only neither downloads nor boots: it does not even resolve."""
    monkeypatch.setattr("everykernel.kernels.resolve", lambda *arguments: pytest.fail("resolved"))
    pytester.makepyfile("def test_x(kernel): pass")
    result = pytester.runpytest("--kernels", "6.1,6.8", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*::test_x[[]6.1[]]", "*::test_x[[]6.8[]]"])


def test_load_fails_with_the_verifiers_words(pytester: pytest.Pytester) -> None:
    """``load`` of an object that is refused fails the test with code, line and log; check=False lets the test look."""
    faking.objects(pytester.path, bad={"load": faking.REJECTED})
    pytester.makepyfile(
        """
        def test_strict(load):
            load("bad.bpf.o")
        def test_lenient(load):
            obj = load("bad.bpf.o", check=False)
            assert obj.load["code"] == "verifier-rejected"
            assert obj.programs["p"].log
        """
    )
    result = pytester.runpytest("--kernels", "6.1")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["*test_load*.py:2: verifier-rejected: bad.bpf.o: load: program 'p': R0 !read_ok", "    | R0 !read_ok"]
    )


def test_broken_guest_in_a_test_is_an_error(pytester: pytest.Pytester) -> None:
    """A guest that breaks while a test runs is an error of the item, not a failure."""
    faking.objects(pytester.path, bad={"raise": "GuestLost"})
    pytester.makepyfile("def test_x(load): load('bad.bpf.o')\ndef test_y(kernel): pass")
    result = pytester.runpytest("--kernels", "6.1")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["2 cells: 1 passed, 1 guest broke", "*guest-lost: 6.1: it broke"])


def test_fresh_kernel_by_default_shared_on_request(pytester: pytest.Pytester) -> None:
    """Each test has a kernel of its own unless a marker asks for a scope."""
    pytester.makepyfile(
        """
        import pytest
        seen = []
        def test_a(kernel): seen.append(kernel.guest)
        def test_b(kernel): assert kernel.guest not in seen and seen[0].closed
        @pytest.mark.kernel(scope="module")
        def test_c(kernel): seen.append(kernel.guest)
        @pytest.mark.kernel(scope="module")
        def test_d(kernel): assert kernel.guest is seen[-1] and not kernel.guest.closed
        @pytest.mark.kernel(cpus=4, cmdline="lsm=bpf")
        def test_e(kernel): assert kernel.guest.spec.cpus == 4 and kernel.guest.spec.cmdline == "lsm=bpf"
        @pytest.mark.kernel(cpu=4)
        def test_f(kernel): pass
        """
    )
    result = pytester.runpytest("--kernels", "6.1")
    result.assert_outcomes(passed=5, errors=1)
    result.stdout.fnmatch_lines(["*pytest.mark.kernel: unknown key 'cpu' [[]known: scope, cpus, *"])


def test_tests_are_rows_of_the_matrix(pytester: pytest.Pytester) -> None:
    """A user's test is a row, with the stages of what it loaded and its own outcome as run."""
    faking.objects(pytester.path, good={})
    pytester.makepyfile(
        test_rows="""
        def test_x(load):
            assert load("good.bpf.o").maps["m"]
        def test_y(load):
            load("good.bpf.o")
            assert 1 == 2
        """
    )
    result = pytester.runpytest("--kernels", "6.1", "--kernel-report", "out")
    result.assert_outcomes(passed=1, failed=1)
    results = json.loads((pytester.path / "out/results.json").read_text())["results"]
    assert [(r["case"].partition("::")[2], r["outcome"], r["code"]) for r in results] == [
        ("test_x", "passed", ""),
        ("test_y", "failed", "assertion-failed"),
    ]
    result.stdout.fnmatch_lines(["*::test_x *✓✓✓", "*::test_y *✓✓✗"])
