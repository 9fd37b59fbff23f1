"""Objects and cases under pytest, without test code, on fake kernels."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from tests import faking

from everykernel.report import schema

KERNELS = ("--kernels", "6.1,6.1/i386")


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)


def test_objects_need_no_test_file(pytester: pytest.Pytester) -> None:
    """`pytest --kernels … x.bpf.o` gives one item for each kernel, and a matrix."""
    faking.objects(pytester.path, good={})
    result = pytester.runpytest(*KERNELS, "good.bpf.o", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["good.bpf.o::good[[]6.1[]] PASSED*", "good.bpf.o::good[[]6.1/i386[]] PASSED*"])
    result.stdout.fnmatch_lines(
        ["*kernel matrix*", "case*BTF*no BTF", "good.bpf.o *✓✓✓*✓✓✓*", "2 kernels booted, no snapshots reused"]
    )
    result.stdout.fnmatch_lines(["6.1/i386: this kernel (6.1.0-56-686-pae) has no BTF of its own"])


def test_refusal_is_one_block(pytester: pytest.Pytester) -> None:
    """A refused program is a failure told in one block: code, line, log, command; no Python traceback."""
    faking.objects(pytester.path, bad={"load": faking.REJECTED})
    result = pytester.runpytest("--kernels", "6.1", "bad.bpf.o")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "bad.bpf.o on 6.1: load: verifier-rejected: program 'p': R0 !read_ok",
            "  relocate passed   load failed (verifier-rejected)   run not-reached   BTF: kernel",
            "  p (tracepoint/x): its log",
            "    | R0 !read_ok",
            "  again: pytest --kernels 6.1 'bad.bpf.o::bad[[]6.1[]]'",
            "FAILED bad.bpf.o::bad[[]6.1[]] - load: verifier-rejected: program 'p': R0 !read_ok",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_many_failures_are_told_by_cause(pytester: pytest.Pytester) -> None:
    """Many cells that failed are grouped, each named; a user's own failures keep their blocks, and all do with -v."""
    faking.objects(pytester.path, **{f"bad{n}": {"load": faking.REJECTED} for n in range(9)})
    pytester.makepyfile("def test_own(): assert 1 == 2")
    objects = [f"bad{n}.bpf.o" for n in range(9)]
    result = pytester.runpytest("--kernels", "6.1", "test_many_failures_are_told_by_cause.py", *objects)
    result.assert_outcomes(failed=10)
    result.stdout.fnmatch_lines(
        [
            "*kernel failures*",
            "load: verifier-rejected: R0 !read_ok (9 cells)",
            "*FAILURES*",
            "*assert 1 == 2",
            "FAILED*",
        ]
    )
    told = "\n".join(result.stdout.lines).partition("kernel failures")[2]
    assert all(told.count(f"bad{n}.bpf.o") == 1 for n in range(1, 9))
    assert sum(line.startswith("FAILED") for line in result.stdout.lines) == 1
    result = pytester.runpytest("--kernels", "6.1", "-v", *objects)
    result.stdout.no_fnmatch_line("*kernel failures*")
    assert sum(line.startswith("FAILED") for line in result.stdout.lines) == 9


def test_again_is_the_whole_command(pytester: pytest.Pytester) -> None:
    """The command that runs one item again has our options that decide about it, whichever way they were written."""
    faking.objects(pytester.path, bad={"load": faking.REJECTED})
    options = ("--kernel-timeout", "7.5", "--accel=tcg", "--kernel-report=out", "--kernels-missing", "skip")
    result = pytester.runpytest("--kernels", "6.1,5.10", *options, "bad.bpf.o")
    again = "  again: pytest --kernels 6.1 --kernel-timeout 7.5 --accel=tcg 'bad.bpf.o::bad[6.1]'"
    assert again in result.stdout.lines


def test_broken_guest_is_an_error(pytester: pytest.Pytester) -> None:
    """A kernel that panics is an error of the item, with its console, never a failure; the next cell is unharmed."""
    faking.objects(pytester.path, bad={"raise": "KernelPanic"}, good={})
    result = pytester.runpytest("--kernels", "6.1", "bad.bpf.o", "good.bpf.o")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "2 cells: 1 passed, 1 guest broke",
            "*ERROR at setup of*",
            "bad.bpf.o on 6.1: load: kernel-panic: *",
            "    | Kernel panic - not syncing: test",
        ]
    )


def test_case_expectation_is_wrong_in_both_directions(pytester: pytest.Pytester) -> None:
    """A refusal that is expected passes; one that is expected and does not come fails."""
    for name, script in {"refused": {"load": faking.REJECTED}, "loads": {}}.items():
        folder = pytester.mkdir(name)
        faking.objects(folder, prog=script)
        (folder / "case.toml").write_text(
            'object = "prog.bpf.o"\n[[expect]]\nstage = "load"\nprogram = "p"\nstatus = "failed"\n'
            'code = "verifier-rejected"\nreason = "its point"\n'
        )
    result = pytester.runpytest("--kernels", "6.1", "refused", "loads")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*program 'p': load is expected to be failed with verifier-rejected (its point), and is passed"]
    )
    result.stdout.fnmatch_lines(["6.1: 1 case ends in load with verifier-rejected, as expected"])


def test_assertion_in_the_program_names_its_line(pytester: pytest.Pytester) -> None:
    """EK_ASSERT that failed in the kernel becomes case/source:line."""
    folder = pytester.mkdir("moved")
    faking.objects(folder, prog={"ek_failed_line": 41})
    (folder / "case.toml").write_text('object = "prog.bpf.o"\n')
    result = pytester.runpytest("--kernels", "6.1", "moved")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["moved on 6.1: run: assertion-failed: *moved/prog.bpf.c:41: assertion failed"])


def test_misspelt_case_is_a_collection_error(pytester: pytest.Pytester) -> None:
    """An unknown key in case.toml stops the run with the nearest key, in one line."""
    pytester.makefile(".toml", case='objct = "x"\n')
    result = pytester.runpytest("--kernels", "6.1", "case.toml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["case.toml: unknown key 'objct' [[]did you mean 'object'?[]]"])


def test_objects_in_folders_are_left_alone_unless_the_ini_names_them(pytester: pytest.Pytester) -> None:
    """A .bpf.o that lies about is only collected where a glob of the ini matches it."""
    faking.objects(pytester.path, good={})
    assert pytester.runpytest("--kernels", "6.1").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    pytester.makeini("[pytest]\nkernel_objects = *.bpf.o\n")
    pytester.runpytest("--kernels", "6.1").assert_outcomes(passed=1)


def test_report_folder(pytester: pytest.Pytester) -> None:
    """--kernel-report leaves results.json, matrix.md and the evidence of each cell."""
    faking.objects(pytester.path, good={}, bad={"load": faking.REJECTED})
    pytester.runpytest(*KERNELS, "good.bpf.o", "bad.bpf.o", "--kernel-report", "out")
    data = json.loads((pytester.path / "out/results.json").read_text())
    jsonschema.validate(data, schema.load())
    assert {(r["object"], r["kernel"], r["outcome"]) for r in data["results"]} == {
        ("good.bpf.o", "6.1", "passed"),
        ("good.bpf.o", "6.1/i386", "passed"),
        ("bad.bpf.o", "6.1", "failed"),
        ("bad.bpf.o", "6.1/i386", "failed"),
    }
    assert [(k["spec"], k["btf"]) for k in data["kernels"]] == [("6.1", "kernel"), ("6.1/i386", "none")]
    bad = next(r for r in data["results"] if r["outcome"] == "failed")
    assert (pytester.path / "out" / bad["evidence"] / "log-p.txt").read_text() == faking.REFUSED["log"]
    assert "| good.bpf.o | ✓✓✓ | ✓✓✓ |" in (pytester.path / "out/matrix.md").read_text()


def test_junit_has_the_reason_code(pytester: pytest.Pytester) -> None:
    """--junitxml carries reason code and kernel as properties; a broken guest is an error there too."""
    faking.objects(pytester.path, bad={"load": faking.REJECTED}, worse={"raise": "KernelPanic"})
    pytester.runpytest("--kernels", "6.1", "bad.bpf.o", "worse.bpf.o", "--junitxml=out.xml")
    text = (pytester.path / "out.xml").read_text()
    assert '<property name="reason_code" value="verifier-rejected" />' in text
    assert '<property name="reason_code" value="kernel-panic" />' in text
    assert 'errors="1" failures="1"' in text


def test_selection_works(pytester: pytest.Pytester) -> None:
    """-k picks a kernel, -x stops, --lf runs what failed."""
    faking.objects(pytester.path, good={}, bad={"load": faking.REJECTED})
    pytester.runpytest(*KERNELS, "good.bpf.o", "-k", "i386").assert_outcomes(passed=1, deselected=1)
    pytester.runpytest(*KERNELS, "bad.bpf.o", "good.bpf.o", "-x").assert_outcomes(failed=1)
    pytester.runpytest(*KERNELS, "bad.bpf.o", "good.bpf.o", "--lf").assert_outcomes(failed=1)


def test_distributed(pytester: pytest.Pytester) -> None:
    """With -n the controller writes the results of all workers, and shows one matrix."""
    pytester.makeconftest(faking.CONFTEST)
    faking.objects(pytester.path, good={}, bad={"load": faking.REJECTED}, worse={"raise": "KernelPanic"})
    names = ("good.bpf.o", "bad.bpf.o", "worse.bpf.o")
    result = pytester.runpytest_subprocess(*KERNELS, *names, "-n", "2", "--kernel-report", "out")
    result.assert_outcomes(passed=2, failed=2, errors=2)
    data = json.loads((pytester.path / "out/results.json").read_text())
    assert len(data["results"]) == 6
    assert len(list((pytester.path / "out/cells").glob("*/*/console.txt"))) == 6
    result.stdout.fnmatch_lines(["*kernel matrix*", "6 cells: 2 passed, 2 failed, 2 guest broke"])


def test_rows_keep_the_order_of_items(pytester: pytest.Pytester) -> None:
    """The matrix lists cases as they were collected, whichever ended first."""
    names = [f"o{number}" for number in range(8)]
    faking.objects(pytester.path, **{name: {} for name in names})
    result = pytester.runpytest(*KERNELS, *(f"{name}.bpf.o" for name in names))
    rows = [line.split()[0] for line in result.stdout.lines if line.startswith("o") and "✓✓✓" in line]
    assert rows == [f"{name}.bpf.o" for name in names]


def test_no_guest_outlives_the_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every guest that was started is closed when pytest ends."""
    worlds: list[faking.World] = []

    class Watched(faking.World):
        def __init__(self, *arguments: object) -> None:
            super().__init__()
            worlds.append(self)

    monkeypatch.setattr("everykernel.machine.Machines", Watched)
    faking.objects(pytester.path, good={})
    pytester.runpytest(*KERNELS, "good.bpf.o").assert_outcomes(passed=2)
    assert len(worlds[0].guests) == 2
    assert all(guest.closed for guest in worlds[0].guests)


def test_evidence_folder_is_replaced(pytester: pytest.Pytester) -> None:
    """A second run into the same folder leaves nothing of the first."""
    faking.objects(pytester.path, good={})
    for _ in range(2):
        pytester.runpytest("--kernels", "6.1", "good.bpf.o", "--kernel-report", "out")
    assert [p.name for p in Path(pytester.path / "out/cells/good.bpf.o").iterdir()] == ["6.1"]


def test_misreads_are_marked_and_said_once(pytester: pytest.Pytester) -> None:
    """What loads and reads something else passes with a mark, and one line says on which kernels."""
    faking.objects(pytester.path, wide={"misreads": [faking.MISREAD]})
    result = pytester.runpytest(*KERNELS, "wide.bpf.o")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["wide.bpf.o *✓✓✓≠*✓✓✓≠"])
    line = (
        "≠ wide.bpf.o: p: struct task_struct.on_cpu is taken for int on_cpu, 4 bytes; 6.1, 6.1/i386: u8 on_cpu, 1 byte"
    )
    assert " ".join(result.stdout.str().split()).count(line) == 1


def test_strict_reads_fail_what_is_misread(pytester: pytest.Pytester) -> None:
    """`--kernel-strict-reads` fails objects, and tests that load one; the command to run it again says so."""
    faking.objects(pytester.path, wide={"misreads": [faking.MISREAD]})
    pytester.makepyfile("def test_it(load): load('wide.bpf.o')")
    result = pytester.runpytest(
        "--kernels", "6.1", "--kernel-strict-reads", "wide.bpf.o", "test_strict_reads_fail_what_is_misread.py"
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "wide.bpf.o on 6.1: run: misread: program 'p': struct task_struct.on_cpu is taken for *",
            "  again: pytest --kernels 6.1 --kernel-strict-reads 'wide.bpf.o::wide[[]6.1[]]'",
        ]
    )


def test_a_project_may_ask_for_strict_reads(pytester: pytest.Pytester) -> None:
    """`strict-reads = true` in pyproject.toml does what the option does."""
    faking.objects(pytester.path, wide={"misreads": [faking.MISREAD]})
    (pytester.path / "pyproject.toml").write_text("[tool.everykernel]\nstrict-reads = true\n")
    pytester.runpytest("--kernels", "6.1", "wide.bpf.o").assert_outcomes(failed=1)
    (pytester.path / "pyproject.toml").write_text('[tool.everykernel]\nstrict-reads = "yes"\n')
    result = pytester.runpytest("--kernels", "6.1", "wide.bpf.o")
    result.stderr.fnmatch_lines(["*strict-reads*true or false*"])
