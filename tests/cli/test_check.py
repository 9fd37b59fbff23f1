"""``everykernel report check`` as people call it: what it prints, writes and ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import faking
from tests.gates.made import LINE, REFUSED, cell, run

from everykernel import cli
from everykernel.matrix import crew
from everykernel.matrix.results import Results


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def results(*cells: object, name: str = "results.json") -> str:
    made: Results = run(*cells)  # type: ignore[arg-type]
    Path(name).write_text(json.dumps(made))
    return name


def check(*arguments: str) -> int:
    return cli.main(["report", "check", *arguments])


def test_from_nothing_to_a_gate(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a baseline a failure is red; a baseline that was written makes it green, and a change red again."""
    file = results(cell("x.o", "5.10", REFUSED), cell("x.o", "6.1"))
    assert check(file) == 1
    assert capsys.readouterr().out.splitlines() == [
        "gate: red: 1 failed; 2 cells: 1 passed, 1 failing",
        "  failed: x.o load p: verifier-rejected on 5.10: program 'p': verifier-rejected there",
    ]
    assert check(file, "--update-baseline") == 0
    told = capsys.readouterr()
    assert told.err == "everykernel: everykernel.baseline: 1 added, 0 removed, 0 kept\n"
    assert told.out == "gate: green; 2 cells: 1 passed, 1 still failing\n"
    assert Path("everykernel.baseline").read_text().splitlines()[-1] == LINE
    before = Path("everykernel.baseline").stat()
    assert check(file, "--baseline", "everykernel.baseline", "--update-baseline") == 0
    assert Path("everykernel.baseline").stat().st_ino == before.st_ino
    assert check(results(cell("x.o", "5.10"), cell("x.o", "6.1")), "--baseline", "everykernel.baseline") == 1
    told = capsys.readouterr()
    assert "  fixed but still listed: x.o load p: verifier-rejected on 5.10: take it out" in told.out
    assert "(everykernel.baseline:8)" in told.out


def test_the_project_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Baseline, rules, kernels, splats and growth come from pyproject.toml, with paths from its folder."""
    Path("pyproject.toml").write_text(
        '[tool.everykernel]\nbaseline = "known"\nrequire = ["loads on >=6.1"]\nadvisory = ["7.3"]\nsplats = "fail"\n'
        'allow-splats = ["fine"]\nmax-insns-growth = "20%"\ninsns-floor = 10\n'
    )
    Path("known").write_text(LINE)
    file = results(
        cell("x.o", "5.10", REFUSED),
        cell("x.o", "6.1", warnings=["fine"]),
        cell("x.o", "7.3", REFUSED, warnings=["WARN"]),
    )
    assert check(file) == 0
    assert (
        "rule broken: loads on >=6.1: x.o on 7.3: load failed with verifier-rejected (advisory: does not decide)"
        in capsys.readouterr().out
    )
    grown = cell("x.o", "6.1")
    grown["stages"]["load"]["programs"][0]["verified_insns"] = 200
    new = results(cell("x.o", "5.10", REFUSED), grown, name="new.json")
    assert check(new) == 0
    capsys.readouterr()
    assert check(new, "--against", file) == 1
    out = capsys.readouterr().out
    assert "grown: x.o other on 6.1: 100 -> 200 verified instructions (+100%)" in out
    assert check(new, "--against", file, "--max-insns-growth", "150%") == 0


def test_paths_are_those_of_the_repository(tmp_path: Path) -> None:
    """A run that was given absolute paths is compared with lines that tell them from the baseline's folder."""
    Path("b").write_text("tools/" + LINE)
    assert check(results(cell(f"{tmp_path}/tools/x.o", "5.10", REFUSED)), "--baseline", "b") == 0
    assert check(results(cell("./tools/x.o", "5.10", REFUSED)), "--baseline", "b") == 0


def test_a_folder_and_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    """A report folder is a results file; as Markdown, the verdict is what a job summary takes."""
    Path("out").mkdir()
    results(cell("x_o*", "5.10", REFUSED), name="out/results.json")
    assert check("out", "--format", "markdown") == 1
    assert capsys.readouterr().out == (
        "**gate: red: 1 failed; 1 cell: 0 passed, 1 failing**\n\n"
        "- failed: x_o\\* load p: verifier-rejected on 5.10: program 'p': verifier-rejected there\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--baseline", "nowhere"], "nowhere: there is no such baseline [--update-baseline writes it]"),
        (["--require", "works"], "require: 'works' is no rule [write 'loads on >=5.10'"),
        (["--advisory", ">="], "advisory: '>=' is not a range of kernels"),
        (["--max-insns-growth", "much"], "--max-insns-growth: 'much' is no share [write 20%]"),
        (["--against", "nowhere"], "nowhere: cannot be read"),
    ],
)
def test_what_is_not_understood(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error ends with 2 and says what is wrong."""
    assert check(results(cell("x.o", "5.10")), *arguments) == 2
    assert told in capsys.readouterr().err


def test_nothing_ran(capsys: pytest.CaptureFixture[str]) -> None:
    """A file without a cell is an error, and writes no baseline."""
    assert check(results(), "--update-baseline") == 4
    assert "nothing ran: there is no cell in these results" in capsys.readouterr().out
    assert not Path("everykernel.baseline").exists()


@pytest.mark.parametrize(("code", "exit_code"), [("guest-lost", 3), ("harness-error", 4)])
def test_what_broke(code: str, exit_code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken guest or harness has its own exit code, and no line says that anything regressed."""
    Path("b").write_text("tested object x.o\ntested kernel 5.10\n")
    assert check(results(cell("x.o", "5.10", broke=code)), "--baseline", "b") == exit_code
    out = capsys.readouterr().out
    assert "indeterminate" in out
    assert "regressed" not in out


def test_names_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever an object or program is called, neither the terminal nor the baseline obeys it."""
    name = "\x1b[2J\u202e\n.o"
    file = results(cell(name, "5.10", ("load", "\x1b]0;", "verifier-rejected")))
    assert check(file, "--update-baseline") == 0
    assert check(file) == 1
    told = capsys.readouterr()
    assert all(line.isprintable() for line in (told.out + told.err).splitlines())
    assert all(line.isprintable() for line in Path("everykernel.baseline").read_text().splitlines())
    assert check(file, "--baseline", "everykernel.baseline") == 0


class TestRun:
    """``everykernel run`` against a baseline, in the fake world."""

    @pytest.fixture(autouse=True)
    def _world(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        faking.install(monkeypatch)
        faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})

    def run(self, *arguments: str) -> int:
        return cli.main(["run", "good.bpf.o", "bad.bpf.o", "--kernels", "5.10,6.1", *arguments])

    def test_as_the_report_is_checked(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """A run writes a baseline, is green by it, and red for what changed; `again` has none of it."""
        assert self.run() == 1
        assert "gate:" not in capsys.readouterr().out
        assert self.run("--update-baseline") == 0
        assert self.run("--baseline", "everykernel.baseline", "--json", "out.json") == 0
        assert "gate: green; 4 cells: 2 passed, 2 still failing" in capsys.readouterr().out
        again = json.loads(Path("out.json").read_text())["results"][0]["again"]
        assert "--baseline" not in again
        faking.objects(tmp_path, bad={})
        assert self.run("--baseline", "everykernel.baseline") == 1
        faking.objects(tmp_path, bad={"raise": "GuestLost"})
        assert self.run("--baseline", "everykernel.baseline") == 3
        faking.objects(tmp_path, bad={"raise": "HarnessError"})
        assert self.run("--baseline", "everykernel.baseline") == 4

    def test_a_project_with_a_baseline(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where the baseline is the project's own, one object may be run by itself, and its lines alone be updated."""
        Path("pyproject.toml").write_text('[tool.everykernel]\nbaseline = "known"\n')
        lines = "tested object other.bpf.o\nother.bpf.o load p 5.10 load-failed\n"
        Path("known").write_text(lines)
        assert self.run() == 1
        assert "gone" not in capsys.readouterr().out
        assert self.run("--update-baseline") == 0
        assert set(lines.splitlines()) < set(Path("known").read_text().splitlines())
        assert self.run() == 0
        assert self.run("--baseline", "known") == 1
        assert "object gone: other.bpf.o" in capsys.readouterr().out

    def test_what_is_wrong_is_said_before_anything_boots(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A baseline that is none, or is not there, is a usage error."""
        assert self.run("--baseline", "nowhere") == 2
        Path("known").write_text("x")
        assert self.run("--baseline", "known") == 2
        told = capsys.readouterr()
        assert "known:1: has 1 word, and no stage" in told.err
        assert told.out == ""

    def test_nothing_ran(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A run without a cell, as of loaders that no kernel has, is an error."""
        monkeypatch.setattr(crew, "fits", lambda case, column: False)
        assert self.run() == 4
        assert "nothing ran: no loader that is there runs on one of these kernels" in capsys.readouterr().err
