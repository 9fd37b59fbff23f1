"""The command line: exit codes, one line for each error, output and talk apart."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from tests import faking

from everykernel import cli, wire
from everykernel.cli import group
from everykernel.errors import GuestLost, ToolMissing, UsageError
from everykernel.machine import slots
from everykernel.report import evidence, schema

run_command = importlib.import_module("everykernel.cli.run")


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERYKERNEL_DEBUG", raising=False)


def test_start_up_imports_little() -> None:
    """``everykernel --version`` imports no library but click."""
    code = (
        "import sys; from everykernel.cli import main; main(['--version']);"
        "heavy = {'rich', 'httpx', 'elftools', 'qemu', 'pytest', 'debian'} & set(sys.modules);"
        "sys.exit(str(heavy or 0))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.strip() == "0"
    assert ran.stdout.startswith("everykernel 0.")


@pytest.mark.parametrize("name", list(group._COMMANDS))
def test_every_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the table can be imported, and explains itself."""
    assert cli.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: everykernel {name}")


@pytest.mark.parametrize(
    ("scripts", "code"),
    [
        ({"good": {}}, 0),
        ({"good": {}, "bad": {"load": faking.REJECTED}}, 1),
        ({"bad": {"load": faking.REJECTED}, "worse": {"raise": "KernelPanic"}}, 3),
        ({"worse": {"raise": "KernelPanic"}, "worst": {"raise": "HarnessError"}}, 4),
    ],
)
def test_exit_code_of_run(scripts: dict[str, Any], code: int, tmp_path: Path) -> None:
    """What is worst decides: a case failed 1, a guest broke 3, the harness broke 4."""
    faking.objects(tmp_path, **scripts)
    assert cli.main(["run", *(f"{name}.bpf.o" for name in scripts), "--kernels", "6.1"]) == code


def test_a_cell_that_cannot_be_written_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that takes no more: the verdicts are shown, the cells that no file has are named, the exit code is 4."""
    faking.objects(tmp_path, good={}, other={})
    real = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if b"good.bpf.o" in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    assert cli.main(["run", "good.bpf.o", "other.bpf.o", "--kernels", "6.1", "--json", "r.json"]) == 4
    told = capsys.readouterr()
    assert "everykernel: 1 cell of this run is not in its results: good.bpf.o on 6.1" in told.err
    assert "harness-error: its result could not be written: r.json: cannot be written: No space left" in told.out
    [kept] = json.loads((tmp_path / "r.json").read_text())["results"]
    assert (kept["object"], kept["outcome"]) == ("other.bpf.o", "passed")


def test_evidence_that_cannot_be_written_is_the_cells_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A defect while evidence is written: the cell is a harness error in the results, and the run ends with 4."""

    def broken(folder: Path, report: Any) -> str:
        raise AttributeError("'str' object has no attribute 'get'")

    monkeypatch.setattr(evidence, "write", broken)
    faking.objects(tmp_path, good={})
    assert cli.main(["run", "good.bpf.o", "--kernels", "6.1", "--report", "out"]) == 4
    [kept] = json.loads((tmp_path / "out/results.json").read_text())["results"]
    assert kept["message"].startswith("its result could not be written: AttributeError: 'str' object")
    assert "1 cell: 0 passed, 1 harness broke" in capsys.readouterr().out


def test_slots_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What goes wrong before a cell begins is its harness error; every planned cell has a result."""

    def slot() -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(slots, "slot", slot)
    faking.objects(tmp_path, good={}, other={})
    assert cli.main(["run", "good.bpf.o", "other.bpf.o", "--kernels", "6.1", "--json", "r.json"]) == 4
    kept = json.loads((tmp_path / "r.json").read_text())["results"]
    assert [r["code"] for r in kept] == ["harness-error"] * 2
    assert "2 cells: 0 passed, 2 harness broke" in capsys.readouterr().out


def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C says how many cells of how many are recorded; what had ended is in the report, which is whole."""
    faking.objects(tmp_path, good={}, slow={"sleep": 30})
    real, interrupts = run_command._Cells.take, [KeyboardInterrupt()]

    def take(self: Any, ended: Any) -> None:
        real(self, ended)
        if interrupts and any(future.done() for future in self.futures):
            raise interrupts.pop()

    monkeypatch.setattr(run_command._Cells, "take", take)
    monkeypatch.setattr(slots, "cores", lambda: 1)
    assert cli.main(["run", "good.bpf.o", "slow.bpf.o", "--kernels", "6.1", "--report", "out"]) == 130
    assert "everykernel: interrupted: 1 of 2 cells recorded" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "out/results.json").read_text())["results"]) == 1
    assert "| good.bpf.o |" in (tmp_path / "out/matrix.md").read_text()


def test_a_long_path(tmp_path: Path) -> None:
    """An object at a path of 320 characters is as good as any other."""
    folder = tmp_path / ("d" * 100) / ("e" * 100) / ("f" * 100)
    folder.mkdir(parents=True)
    faking.objects(folder, good={})
    path = str((folder / "good.bpf.o").relative_to(tmp_path))
    assert len(path) > 310
    assert cli.main(["run", path, path, "--kernels", "6.1", "--report", "out"]) == 0
    [kept] = json.loads((tmp_path / "out/results.json").read_text())["results"]
    assert kept["object"] == path
    assert (tmp_path / "out" / kept["evidence"] / "console.txt").is_file()


def test_run_writes_matrix_json_and_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``run`` does what the plugin does: matrix and blocks on stdout, talk on stderr, JSON in a file."""
    faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})
    arguments = ["run", "good.bpf.o", "bad.bpf.o", "--kernels", "6.1,6.1/i386", "--json", "r.json", "--report", "rep"]
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert "good.bpf.o   ✓✓✓        ✓✓✓" in captured.out
    assert "load: verifier-rejected: R0 !read_ok (2 cells)\n  6.1, 6.1/i386: bad.bpf.o (p)\n" in captured.out
    assert "again, one cell (-v shows how for each): everykernel run bad.bpf.o --kernels 6.1\n" in captured.out
    assert "everykernel: 6.1: 2/2 cells · 1 passed, 1 failed" in captured.err
    data = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(data, schema.load())
    assert len(data["results"]) == 4
    assert (tmp_path / "rep/matrix.md").is_file()
    assert cli.main(["report", "r.json"]) == 0
    assert "bad.bpf.o    ✓✗·        ✓✗·" in capsys.readouterr().out
    assert cli.main(["report", "rep", "--format", "markdown"]) == 0
    assert capsys.readouterr().out == (tmp_path / "rep/matrix.md").read_text()


def test_again_is_the_whole_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command that runs a cell again has every option that decides about it, and none on where to write."""
    faking.objects(tmp_path, bad={"load": faking.REJECTED})
    (tmp_path / "x y.btf").mkdir()
    (tmp_path / "x y.btf/6.1.0-56-686-pae.btf").write_bytes(b"")
    options = ["--timeout", "7.5", "--accel", "tcg", "--until", "load", "--memory", "512", "--btf", "x y.btf", "-vv"]
    written = ["--json", "r.json", "--report", "rep", "--kernels-missing", "skip"]
    assert cli.main(["run", "bad.bpf.o", "--kernels", "6.1,5.10", *options, *written]) == 1
    assert (
        "  again: everykernel run bad.bpf.o --kernels 6.1 --accel tcg --timeout 7.5 --until load --memory 512 -v -v "
        "--btf 'x y.btf'\n"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "gone.bpf.o", "--kernels", "6.1"], "everykernel: gone.bpf.o: there is no such file"),
        (["run", "good.bpf.o", "--kernels", "6.1,6.8"],
         "everykernel: 6.8: no source has this kernel [nearest: 6.1]"),
        (["run", "good.bpf.o", "--kernels", ","],
         "everykernel: --kernels: no kernels were named [--kernels 5.10,6.1,6.12]"),
        (["run", "good.bpf.o"], "everykernel: run: Missing option '--kernels'."),
        (["report", "gone.json"], "everykernel: gone.json: cannot be read: No such file or directory"),
        (["nonsense"], "everykernel: No such command 'nonsense'."),
        (["btf", "dump", "gone"], "everykernel: gone: there is no such file, nor such a kernel"),
    ],
)  # fmt: skip
def test_usage_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A usage error is one line on stderr that names place and remedy, and exit code 2."""
    faking.objects(tmp_path, good={})
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", message + "\n")


def test_no_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without QEMU the run ends before anything boots, with exit code 4 and the remedy."""

    def find(program: str) -> None:
        raise ToolMissing("not installed", where=program, remedy="run `everykernel doctor`")

    monkeypatch.setattr("everykernel.machine.process.find", find)
    faking.objects(tmp_path, good={})
    assert cli.main(["run", "good.bpf.o", "--kernels", "6.1"]) == 4
    assert capsys.readouterr().err.splitlines()[0] == (
        "everykernel: qemu-system-x86_64: not installed [run `everykernel doctor`]"
    )


def test_missing_kernels_may_be_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--kernels-missing skip runs the rest."""
    faking.objects(tmp_path, good={})
    assert cli.main(["run", "good.bpf.o", "--kernels", "6.1,6.8", "--kernels-missing", "skip"]) == 0
    assert "good.bpf.o   ✓✓✓        missing" in capsys.readouterr().out
    assert cli.main(["run", "good.bpf.o", "--kernels", "6.8", "--kernels-missing", "skip"]) == 2
    assert "none of these kernels is to be had" in capsys.readouterr().err


def test_defects_say_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A defect is told in one line and a hint; EVERYKERNEL_DEBUG shows where it happened."""

    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(group.cli, "get_command", lambda ctx, name: broken)
    assert cli.main(["broken"]) == 4
    assert capsys.readouterr().err == (
        "everykernel: ZeroDivisionError: oh [this is a defect of everykernel: report it]\n"
        "everykernel: EVERYKERNEL_DEBUG=1 shows where it happened\n"
    )
    monkeypatch.setenv("EVERYKERNEL_DEBUG", "1")
    assert cli.main(["broken"]) == 4
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("x"), 2), (GuestLost("x"), 3), (KeyboardInterrupt(), 130), (click.Abort(), 130)]
)
def test_exit_code_of_errors(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error's class decides the exit code."""

    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(group.cli, "get_command", lambda ctx, name: broken)
    assert cli.main(["broken"]) == code


def test_shell_passes_the_exit_code_on(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    """``shell KERNEL -- CMD`` gives the command's output, and its exit code; a signal is 128 more."""

    class World(faking.World):
        def __init__(self, *arguments: Any) -> None:
            super().__init__()
            self.answer(wire.Start, self._start)
            self.answer(wire.Follow, lambda _: self.outputs.pop(0))

        def _start(self, message: Any) -> wire.Value[int]:
            code = int(message.argv[-1])
            self.outputs = [wire.Output(b"out\xff", b""), wire.Output(message.stdin, b"err", code)]
            return wire.Value(1)

    monkeypatch.setattr("everykernel.machine.Machines", World)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"in")))
    assert cli.main(["shell", "6.1", "--", "x", "-y", "7"]) == 7
    assert cli.main(["shell", "-i", "6.1", "x", "-9"]) == 137
    captured = capfdbinary.readouterr()
    assert captured.out == b"out\xffout\xffin"
    assert captured.err.endswith(b"err")


def test_settings_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """[tool.everykernel] gives what the command line and the environment do not; what is wrong there is usage."""
    faking.objects(tmp_path, good={})
    project = tmp_path / "pyproject.toml"
    project.write_text('[tool.everykernel]\nkernels = ["6.1", "6.8"]\nmissing = "skip"\n')

    def kernels(*options: str) -> list[str]:
        assert cli.main(["run", "good.bpf.o", "--json", "r.json", *options]) == 0
        return [k["spec"] for k in json.loads((tmp_path / "r.json").read_text())["kernels"]]

    assert kernels() == ["6.1", "6.8"]
    monkeypatch.setenv("EVERYKERNEL_KERNELS", "5.10")
    assert kernels() == ["5.10"]
    assert kernels("--kernels", "6.12") == ["6.12"]
    capsys.readouterr()
    assert cli.main(["run", "good.bpf.o", "--kernels", "6.8", "--kernels-missing", "fail"]) == 2
    project.write_text("[tool.everykernel]\ntimeout = '1 s'\n")
    capsys.readouterr()
    assert cli.main(["run", "good.bpf.o"]) == 2
    assert capsys.readouterr().err == (
        f"everykernel: {project}: tool.everykernel: timeout = '1 s' is not a number of seconds\n"
    )
