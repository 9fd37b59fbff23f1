"""The command line: exit codes, one line for each error, output and talk apart."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from tests import faking

from everykernel import cli, wire
from everykernel.errors import GuestLost, ToolMissing, UsageError
from everykernel.report import schema


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


@pytest.mark.parametrize("name", list(cli._COMMANDS))
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


def test_run_writes_matrix_json_and_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``run`` does what the plugin does: matrix and blocks on stdout, talk on stderr, JSON in a file."""
    faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})
    arguments = ["run", "good.bpf.o", "bad.bpf.o", "--kernels", "6.1,6.1/i386", "--json", "r.json", "--report", "rep"]
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert "good.bpf.o   ✓✓✓        ✓✓✓" in captured.out
    assert "bad.bpf.o on 6.1: load: verifier-rejected: program 'p': R0 !read_ok" in captured.out
    assert "  again: everykernel run bad.bpf.o --kernels 6.1/i386" in captured.out
    assert "everykernel: 6.1: 2/2 cells · 1 passed, 1 failed" in captured.err
    data = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(data, schema.load())
    assert len(data["results"]) == 4
    assert (tmp_path / "rep/matrix.md").is_file()
    assert cli.main(["report", "r.json"]) == 0
    assert "bad.bpf.o    ✓✗·        ✓✗·" in capsys.readouterr().out
    assert cli.main(["report", "rep", "--format", "markdown"]) == 0
    assert capsys.readouterr().out == (tmp_path / "rep/matrix.md").read_text()


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

    monkeypatch.setattr(cli.cli, "get_command", lambda ctx, name: broken)
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

    monkeypatch.setattr(cli.cli, "get_command", lambda ctx, name: broken)
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
