"""A guest whose agent was taken over by what runs in it is lost by its deadline, and costs no other cell anything.

A case's check starts a process that takes the agent's port (pidfd_getfd(2)), holds the agent, and then speaks for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from everykernel import folders
from everykernel.compile import compile_all, jobs
from everykernel.report import schema

pytestmark = pytest.mark.vm

CASES = folders.data("cases")
TIMEOUT = 6.0  # seconds that a check may take; a ping's answer is waited for five more

# The check: in the agent's own process, from whose frames it has the number of the request that it is. It forks, as a
# Python of its own takes a slow guest seconds to start.
CHECK = """
import os, sys

def check(obj):
    frame = sys._getframe()
    while "number" not in frame.f_locals:
        frame = frame.f_back
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    exec({script!r}, {{"number": frame.f_locals["number"]}})
    os._exit(0)
"""
TAKEOVER = """
import ctypes, json, os, signal, struct, time
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
agent, libc = os.getppid(), ctypes.CDLL(None)
pidfd = libc.syscall(SYS_PIDFD_OPEN, agent, 0)
[port] = [
    libc.syscall(SYS_PIDFD_GETFD, pidfd, int(fd), 0)
    for fd in os.listdir(f"/proc/{agent}/fd")
    if "/vport" in os.readlink(f"/proc/{agent}/fd/{fd}")
]
assert port >= 0
os.kill(agent, signal.SIGSTOP)

def say(data):
    while data:
        data = data[os.write(port, data):]

def frame(number, kind, body):
    text = json.dumps({"n": number, "kind": kind, "body": body}).encode()
    return struct.pack("<II", len(text), 0) + text

def checked(**odd):
    fine = {"passed": True, "message": "", "where": "", "evidence": {}, "uses": [], "refused": []}
    say(frame(number, "checked", {**fine, **odd}))
"""


@dataclass(frozen=True)
class Deed:
    """What the program does with the port, and what its cell says of that (a part of the message)."""

    script: str
    message: str


REFUSED = '[{"name": "p", "status": "banana"}]'
DEEDS = {
    "flood": Deed("while True: say(frame(7, 'done', {}) * 1000)", "the guest answers what it was not asked"),
    "ahead": Deed("say(frame(number + 1, 'done', {}))", "the guest answers what it was not asked"),
    "drip": Deed(
        "say(struct.pack('<II', 30 << 20, 0))\nwhile True: say(b' '); time.sleep(0.01)",
        f"no whole answer within {TIMEOUT:g} s, only the first ",
    ),
    "gush": Deed("say(struct.pack('<II', 30 << 20, 60 << 20))\nwhile True: say(b' ' * 64)", "no whole answer within"),
    "huge": Deed("say(b'\\xff' * 8)", "the channel's stream is broken: a frame of 4294967295 + 4294967295 bytes"),
    "deep": Deed("say(struct.pack('<II', 1 << 20, 0) + b'[' * (1 << 20))", "the channel's stream is broken: b'[[[[["),
    "lie": Deed("checked(passed='yes')", "answer to check: passed is 'yes', not true or false"),
    "banana": Deed(f"checked(refused={REFUSED})", "answer to check: refused[0].status is 'banana', not passed,"),
    "other": Deed("say(frame(number, 'loaded', {}))", "answer to check: is 'loaded', not checked, broke, failed"),
    "blame": Deed(
        "say(frame(number, 'failed', {'code': 'harness-error', 'message': '', 'where': '', 'trace': ''}))",
        "answer to check: code is 'harness-error', not a reason code that a guest may give",
    ),
    "broke": Deed("say(frame(number, 'broke', {'message': 'a\\nb', 'trace': 'c'}))", "the agent broke: a"),
}  # fmt: skip


def a_case(folder: Path, name: str, script: str, *, timeout: float = TIMEOUT) -> str:
    """Make a case whose check runs this script in the guest, beside the agent; return its path."""
    path = folder / name
    path.mkdir()
    (path / "prog.bpf.o").write_bytes((CASES / "raw_tracepoint_hash/build/x86_64/prog.bpf.o").read_bytes())
    (path / "case.toml").write_text(f'object = "prog.bpf.o"\ncheck = "case.py"\ntimeout = {timeout}\n')
    (path / "case.py").write_text(CHECK.format(script=script))
    return str(path)


EVERYKERNEL = ("-m", "everykernel")
SOON_FULL = """
import sys
from everykernel.cli import main
from everykernel.machine import console
console.LIMIT = 256 << 10
sys.exit(main())
"""


def run(
    cases: list[str], folder: Path, program: tuple[str, ...] = EVERYKERNEL
) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Run cases in one run; return its exit code, the results by name, and what was printed."""
    command = [
        sys.executable,
        *program,
        "run",
        "--kernels",
        "6.1",
        "--accel",
        "tcg",
        "--report",
        "out",
        *cases,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)
    data = json.loads((folder / "out/results.json").read_text())
    jsonschema.validate(data, schema.load())
    return done.returncode, {result["case"]: result for result in data["results"]}, done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs())


def test_a_taken_over_agent(tmp_path: Path) -> None:
    """Flooding, lying, answering out of turn: the cell is lost by its deadline, all others have their results."""
    names = list(DEEDS)
    cases = [a_case(tmp_path, name, TAKEOVER + deed.script) for name, deed in DEEDS.items()]
    fine = [a_case(tmp_path, f"fine{n}", "") for n in range(3)]
    order = [fine[0], *cases[:5], fine[1], *cases[5:], fine[2]]
    code, results, said = run(order, tmp_path)
    assert code == 3, said
    assert set(results) == {*names, "fine0", "fine1", "fine2"}
    assert {results[f"fine{n}"]["outcome"] for n in range(3)} == {"passed"}
    for name, deed in DEEDS.items():
        result = results[name]
        assert (name, result["outcome"], result["code"]) == (name, "error", "guest-lost"), said
        assert deed.message in result["message"], name
        assert result["stages"]["load"]["status"] == "passed"
        assert result["stages"]["run"]["code"] == "guest-lost"
        assert result["seconds"] < TIMEOUT + 5 + 10, name  # its deadline, a ping's patience, and all the rest of a cell


def test_a_console_without_end(tmp_path: Path) -> None:
    """A guest that prints for ever is lost for that, and its last lines are what is kept.

    The limit is lower here: an emulated port takes a tenth of a millisecond for a character.
    """
    script = "while True: open('/dev/ttyS0', 'w').write('\\x1b[31mthe same again\\n' * 1000)"
    flood = a_case(tmp_path, "console", script, timeout=600)  # longer than the test waits for all
    code, results, said = run([flood, a_case(tmp_path, "fine", "")], tmp_path, ("-c", SOON_FULL))
    assert code == 3, said
    assert results["fine"]["outcome"] == "passed"
    result = results["console"]
    assert result["code"] == "guest-lost"
    assert "it printed more than 256 KiB on its console" in result["message"]
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()) < 1 << 20


def test_under_pytest(tmp_path: Path) -> None:
    """There a guest that is lost is an error of its item, by pytest's own exit code; the other has its result."""
    lie = a_case(tmp_path, "lie", TAKEOVER + DEEDS["lie"].script)
    fine = a_case(tmp_path, "fine", "")
    command = [sys.executable, "-m", "pytest", "--kernels", "6.1", "--accel", "tcg", "-rN", lie, fine]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout
    assert "1 passed, 1 error" in done.stdout
    assert "answer to check: passed is 'yes', not true or false" in done.stdout
