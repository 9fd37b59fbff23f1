"""Commands in real guests: what the user's own programs do there, well and badly, and what the record says of it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from everykernel.kernels.model import Kernel
from everykernel.machine import Machines
from everykernel.matrix import case
from everykernel.matrix import command as commands
from everykernel.matrix.cell import run_cell
from everykernel.matrix.records import CellReport
from everykernel.report import schema

pytestmark = pytest.mark.vm

SOURCES = Path(__file__).parent / "commands"
KERNELS = ("5.10", "6.12")
CEILING = 400 << 10  # KiB of the host's process, whatever a command writes (docs/commands.md)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tools."""
    made = tmp_path_factory.mktemp("tools")
    subprocess.run(["clang-19", "-O1", "-o", made / "tool", SOURCES / "tool.c", "-lbpf"], check=True)
    shutil.copy(SOURCES / "tool.py", made)
    (made / "data").write_text("data\n")
    return made


@pytest.fixture(params=KERNELS)
def column(request: pytest.FixtureRequest, columns: dict[str, Kernel]) -> Kernel:
    """Each of the kernels."""
    return columns[request.param]


class Runner:
    """Runs commands on one kernel."""

    def __init__(self, machines: Machines, kernel: Kernel, folder: Path) -> None:
        self.machines = machines
        self.kernel = kernel
        self.folder = folder

    def __call__(self, text: str, timeout: float = 60.0, **wanted: Any) -> CellReport:
        """Run a command in a fresh guest."""
        made = commands.parse(text.split(), folder=self.folder, **wanted)
        self.machines.prepare(self.kernel)
        report = run_cell(
            lambda: self.machines.start(self.kernel), self.kernel, case.of_command(made, timeout), timeout=60
        )
        kernel = report["kernel"]
        host = {"accelerator": "tcg", "cpus": 2, "qemu": ""}
        whole = {"schema": "everykernel/1", "run": {"id": "", "started": "", "tool": "", "host": host}}
        jsonschema.validate({**whole, "kernels": [kernel], "results": [report["result"]]}, schema.load())
        return report


@pytest.fixture
def run(machines: Machines, column: Kernel, folder: Path) -> Runner:
    """What runs commands."""
    return Runner(machines, column, folder)


def verdict(report: CellReport) -> tuple[str, str, str]:
    """Return outcome, stage and code of a cell."""
    result = report["result"]
    return result["outcome"], result["stage"], result["code"]


def record(report: CellReport) -> dict[str, Any]:
    """Return what is kept of a command."""
    return report["result"]["stages"]["run"]["command"]


def test_a_dynamic_tool(run: Runner) -> None:
    """A program linked with libbpf travels with its libraries; its calls, program and map are told."""
    report = run("./tool 5", exit_code=5, stdout=r"^libbpf v\d")
    assert verdict(report) == ("passed", "", ""), report["result"]["message"]
    assert report["result"]["loader"] == "command"
    told = record(report)
    calls = {(c["command"], c.get("name"), c.get("type")): c for c in told["calls"] if not c["probe"]}
    made = calls["MAP_CREATE", "c_counts", "hash"]
    loaded = calls["PROG_LOAD", "c_prog", "socket_filter"]
    assert (made["errno"], made["max_entries"], loaded["errno"], loaded["insns"]) == (None, 16, None, 2)
    [program] = [p for p in told["programs"] if p["name"] == "c_prog"]
    assert program["id"] == loaded["id"]
    assert program["verified_insns"] == (2 if run.kernel.spec == "6.12" else None)  # told since v5.16
    assert [m["name"] for m in told["maps"]] == ["c_counts"]
    load = report["result"]["stages"]["load"]
    assert [p["status"] for p in load["programs"] if p["name"] == "c_prog"] == ["passed"]


def test_a_refused_program_is_explained(run: Runner) -> None:
    """Where a tool gives up over a program, the load stage fails with the verifier's reason and log."""
    report = run("./tool refused")
    assert verdict(report) == ("failed", "load", "verifier-rejected")
    [program] = [p for p in report["result"]["stages"]["load"]["programs"] if p["name"] == "c_refused"]
    assert program["errno"] == "EACCES"
    assert "R5 !read_ok" in program["message"]
    assert "R5 !read_ok" in program["log"]
    assert record(report)["exit"] == 1
    assert record(report)["stderr"]["first"] == "tool: c_refused: Permission denied\n"


def test_a_script(run: Runner) -> None:
    """A Python script runs with the guest's Python, and finds what is pushed with it."""
    report = run("./tool.py files/data", push=["data:files/data"], stdout="^wrote data$")
    assert verdict(report) == ("passed", "", ""), report["result"]["message"]
    assert [m["name"] for m in record(report)["maps"]] == ["py_counts"]
    assert [c["command"] for c in record(report)["calls"]] == ["MAP_CREATE"]  # what it wrote is not stopped at


def test_output_that_does_not_match(run: Runner) -> None:
    """The exit code is as wanted, and the output is not."""
    report = run("./tool.py", stdout="^wrote something$")
    assert verdict(report) == ("failed", "run", "command-output")
    assert "'^wrote something$' is not in its stdout: wrote nothing" in report["result"]["message"]


@pytest.mark.parametrize(
    ("text", "code", "end", "said"),
    [
        ("./tool 3", "command-failed", "exit", "ended with exit code 3"),
        ("./tool crash", "command-crashed", "signal", "was ended by SIGABRT"),
        ("./tool hang", "timeout", "deadline", "did not end within its "),
        ("./tool fork", "command-processes", "processes", "had too many processes at once"),
        ("./tool eat", "out-of-memory", "signal", "was killed by the kernel, which ran out of memory"),
        ("./nothing", "command-not-started", "", "there is no such program, here or pushed"),
        ("/no/program", "command-not-started", "not-started", "/no/program: ENOENT"),
    ],
)
def test_misbehaviour(run: Runner, text: str, code: str, end: str, said: str) -> None:
    """Each way to fail has its code, and an honest record of what there was before it."""
    report = run(text, timeout=15.0 if "hang" in text else 90.0)
    assert verdict(report) == ("failed", "run", code), report["result"]["message"]
    assert said in report["result"]["message"]
    if not end:
        return
    told = record(report)
    assert told["end"] == end
    assert told["signal"] == ({"crash": "SIGABRT", "eat": "SIGKILL"}.get(text[7:], ""))
    assert bool(told["out_of_memory"]) is (code == "out-of-memory")
    if text.startswith("./tool"):
        assert re.match(r"libbpf v\d", told["stdout"]["first"])
        assert [p["name"] for p in told["programs"] if p["name"] == "c_prog"] == ["c_prog"]
    if text == "./tool fork":
        assert told["processes"] > 256


def test_what_is_left_behind_is_ended(run: Runner) -> None:
    """A command that leaves processes behind has ended as it says; they are counted, and ended too."""
    (run.folder / "left").write_text("#!/bin/sh\nsleep 1000 &\nsleep 1000 &\nsleep 1\n")
    (run.folder / "left").chmod(0o755)
    report = run("./left")
    assert verdict(report)[0] == "passed"
    assert "it left 2 processes or threads behind, ended after 1 s" in report["result"]["notes"]


def test_a_flood(folder: Path) -> None:
    """Of 100 MB the first and the last MiB are kept and the rest counted, in bounded memory of the host's process."""
    code = (
        "import re, sys; from everykernel.cli import main; code = main(sys.argv[1:]);"
        "status = open('/proc/self/status').read();"  # ru_maxrss would be that of who started this process, too
        "print(re.search(r'VmHWM:\\s+(\\d+)', status)[1], file=sys.stderr); sys.exit(code)"
    )
    arguments = ["run", "--cmd", "./tool flood", "--kernels", "6.12", "--deadline", "300", "--json", "out.json"]
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(ran.stderr.split()[-1]) < CEILING
    [result] = json.loads((folder / "out.json").read_text())["results"]
    out = result["stages"]["run"]["command"]["stdout"]
    size = len("libbpf v1.1\n") + 1600 * (1 << 16) + len("the end\n")
    assert len(out["first"]) == len(out["last"]) == 1 << 20
    assert abs(out["left_out"] + (2 << 20) - size) < 20  # a version has more digits than another
    assert out["first"].startswith("libbpf v")
    assert out["last"].endswith("the end\n")


def test_no_room(machines: Machines, columns: dict[str, Kernel], tmp_path: Path) -> None:
    """Files that are too large for a guest are one clear error, before they are written."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(300 << 20)
    run = Runner(machines, columns["6.12"], tmp_path)
    report = run("true", push=["large"])
    assert verdict(report) == ("failed", "run", "limit-exceeded")
    assert re.search(r"the files take 300 MiB, and a guest of 256 MiB has room for \d+", report["result"]["message"])


def test_a_case_and_a_fixture(pytester: pytest.Pytester, folder: Path) -> None:
    """A case.toml has a command; ``kernel.run`` pushes, watches and checks one."""
    shutil.copytree(folder, pytester.path, dirs_exist_ok=True)
    (pytester.path / "case.toml").write_text(
        'command = "./tool refused"\ntimeout = 60\n[[expect]]\nstage = "load"\nstatus = "failed"\n'
        'code = "verifier-rejected"\n'
    )
    pytester.makepyfile(
        """
        import pytest
        from everykernel.errors import CaseTimeout
        from everykernel.plugin.commands import CommandFailed

        def test_run(kernel):
            ran = kernel.run(["./tool", "4"], check=True, exit=4, stdout="libbpf")
            assert [p["name"] for p in ran.programs if p["name"] == "c_prog"] == ["c_prog"]
            with pytest.raises(CommandFailed, match="R5 !read_ok") as caught:
                kernel.run("./tool refused", check=True)
            assert caught.value.code == "verifier-rejected"
            with pytest.raises(CaseTimeout):
                kernel.run("./tool hang", timeout=5)
            assert kernel.run("cat files/data", push=["data:files/data"]).stdout == b"data\\n"
        """
    )
    result = pytester.runpytest_subprocess("--kernels", "6.12", "case.toml", "test_a_case_and_a_fixture.py")
    result.assert_outcomes(passed=2)


def test_an_interrupt_leaves_no_guest_behind(tmp_path: Path) -> None:
    """Ctrl-C ends the guest with the runner."""
    (tmp_path / "wait").write_text("#!/bin/sh\necho begun\nsleep 1000\n")
    (tmp_path / "wait").chmod(0o755)
    argv = [sys.executable, "-m", "everykernel", "exec", "--kernel", "6.12", "--", "./wait"]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        guests = _children(process.pid)
        assert guests
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in guests) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in guests)


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
