"""Cells that are commands: how their ends become verdicts, and refused calls the load stage's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests import faking

from everykernel import wire
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import UsageError
from everykernel.matrix import case, command
from everykernel.matrix.cell import run_cell
from everykernel.matrix.expect import Expectation
from everykernel.matrix.records import CaseResult

X86 = ARCHITECTURES["x86_64"]
NOTHING = {"first": b"", "last": b"", "left_out": 0}
REFUSED = {
    "at": 0.5, "pid": 9, "command": "PROG_LOAD", "errno": "EACCES", "name": "handle", "type": "kprobe", "attach": "",
    "insns": 3, "code": "verifier-rejected", "message": "EACCES: R0 !read_ok", "log": "R0 !read_ok", "probe": False,
}  # fmt: skip
MAP = {
    "at": 0.1, "pid": 9, "command": "MAP_CREATE", "errno": None, "name": "m", "type": "hash", "key_size": 4,
    "value_size": 8, "max_entries": 2, "id": 3, "probe": False,
}  # fmt: skip


def told(**changes: Any) -> wire.Commanded:
    """Return what a guest says of a command that ended well, but for what changes."""
    plain: dict[str, Any] = {
        "end": wire.EXIT, "code": 0, "message": "", "seconds": 1.5, "stdout": NOTHING, "stderr": NOTHING,
        "processes": 1, "out_of_memory": 0, "calls": [], "calls_left_out": 0, "blamed": None, "programs": [],
        "maps": [], "notes": [],
    }  # fmt: skip
    return wire.Commanded(**{**plain, **changes})


def run(answer: wire.Commanded, expect: tuple[Any, ...] = (), **wanted: Any) -> CaseResult:
    """Run a command whose guest answers so."""
    world = faking.World()
    world.answer(wire.Command, answer)
    kernel = faking.kernel("6.1")
    made = case.Case("c", None, "", shown="c", command=command.parse(["tool"], **wanted), expect=expect)
    return run_cell(lambda: world.start(kernel), kernel, made)["result"]


@pytest.mark.parametrize(
    ("answer", "wanted", "code", "message"),
    [
        ({}, {}, "", ""),
        ({"code": 3}, {"exit_code": 3}, "", ""),
        ({"code": 3}, {}, "command-failed", "tool ended with exit code 3"),
        ({}, {"exit_code": 3}, "command-failed", "tool ended with exit code 0 (3 is wanted)"),
        (
            {"code": 1, "stderr": {**NOTHING, "first": b"a\nno such thing\n"}}, {}, "command-failed",
            "tool ended with exit code 1: no such thing",
        ),
        ({"end": "signal", "code": 11}, {}, "command-crashed", "tool was ended by SIGSEGV"),
        (
            {"end": "signal", "code": 9, "out_of_memory": 1}, {}, "out-of-memory",
            "tool was killed by the kernel, which ran out of memory",
        ),
        ({"end": "signal", "code": 9}, {}, "command-crashed", "tool was ended by SIGKILL"),
        ({"end": "deadline", "code": 9}, {}, "timeout", "tool did not end within its 1.5 s"),
        (
            {"end": "processes", "code": 9, "processes": 300}, {}, "command-processes",
            "tool had too many processes at once: 300 were started",
        ),
        ({"end": "not-started", "message": "it is gone"}, {}, "command-not-started", "it is gone"),
        ({"stdout": {**NOTHING, "first": b"x\nall ok\n"}}, {"stdout": "^all ok$"}, "", ""),
        ({"stdout": {"first": b"x", "last": b"ok\n", "left_out": 5}}, {"stdout": "^ok$"}, "", ""),
        (
            {"stdout": {**NOTHING, "first": b"bad\n"}}, {"stdout": "ok"}, "command-output",
            "tool ended as wanted, and 'ok' is not in its stdout: bad",
        ),
    ],
)  # fmt: skip
def test_how_it_ends(answer: dict[str, Any], wanted: dict[str, Any], code: str, message: str) -> None:
    """Each end has its code and its line."""
    result = run(told(**answer), **wanted)
    assert (result["code"], result["message"]) == (code, message)
    assert result["outcome"] == ("failed" if code else "passed")
    assert (result["loader"], result["rules"]) == ("command", "command")
    assert result["stages"]["relocate"]["status"] == "skipped"


BCC = b"""modprobe: FATAL: Module kheaders not found
Unable to find kernel headers. Try rebuilding kernel with CONFIG_IKHEADERS=m (module)
Traceback (most recent call last):
Exception: Failed to compile BPF module <text>
"""
LIBBPF = b"libbpf: Error loading vmlinux BTF: -3\nfailed to load BPF object: -3\n"
BPFTRACE = b"stdin:1:45-67: ERROR: Unknown struct/union: 'struct tusk'\nkprobe:f { ... }\n      ~~~~~~~\n"
TYPES = b"""/bpftrace/include/clang_workarounds.h:14:10: fatal error: 'linux/types.h' file not found
stdin:1:1-9: ERROR: Unknown struct/union: 'struct path'
"""
PROBE = b"stdin:1:1-9: WARNING: not traceable\ncannot attach kprobe, probe entry may not exist\nERROR: attaching\n"
PYTHON = b"Traceback (most recent call last):\nModuleNotFoundError: No module named 'bcc'\n\n"
CTYPES = b"OSError: libbcc.so.0: cannot open shared object file: No such file or directory\nException: no\n"
LOADER = b"tool: error while loading shared libraries: libx.so.1: cannot open shared object file\n"


@pytest.mark.parametrize(
    ("written", "code", "said"),
    [
        (BCC, "kernel-headers-missing", "Unable to find kernel headers. Try rebuilding kernel with CONFIG_IKHEADERS=m"),
        (LIBBPF, "btf-missing", "libbpf: Error loading vmlinux BTF: -3 [push a BTF of this kernel"),
        (b"libbpf: failed to find valid kernel BTF\n" + BCC, "kernel-headers-missing", "Unable to find"),
        (BPFTRACE, "command-failed", "stdin:1:45-67: ERROR: Unknown struct/union: 'struct tusk' [give it a BTF"),
        (TYPES, "kernel-headers-missing", "/bpftrace/include/clang_workarounds.h:14:10: fatal error: 'linux/types.h'"),
        (PROBE, "attach-target-missing", "cannot attach kprobe, probe entry may not exist"),
        (PYTHON, "command-not-started", "ModuleNotFoundError: No module named 'bcc' [push what is missing (--push)"),
        (CTYPES, "command-not-started", "OSError: libbcc.so.0: cannot open shared object file"),
        (LOADER, "command-not-started", "tool: error while loading shared libraries: libx.so.1"),
        (b"ERROR: 3 of 4\nit failed\n", "command-failed", "it failed"),
    ],
)
def test_what_a_tool_says(written: bytes, code: str, said: str) -> None:
    """Its reason is told, not its last line, on whichever stream it was; a tool that ends as wanted has none."""
    for stream in ("stdout", "stderr"):
        result = run(told(code=1, **{stream: {**NOTHING, "first": written}}))
        assert (result["stage"], result["code"]) == ("run", code)
        assert result["message"].startswith(f"tool ended with exit code 1: {said}")
    assert run(told(stderr={**NOTHING, "first": written}))["outcome"] == "passed"


def test_what_the_kernel_refused_says_more_than_the_tool() -> None:
    """Where a call of its own is to blame, that is the reason."""
    result = run(told(code=1, calls=[REFUSED], blamed=0, stderr={**NOTHING, "first": LIBBPF}))
    assert (result["stage"], result["code"]) == ("load", "verifier-rejected")


def test_a_program_that_only_this_host_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message of a name that the guest does not know says where this host has it."""
    (tmp_path / "tool").write_text("")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(told(end="not-started", message="tool: ENOENT"))
    assert result["message"] == f"tool: ENOENT [to push this host's, name it by its path: {tmp_path}/tool]"


def test_a_refused_program_fails_the_load_stage() -> None:
    """The stage has the call's reason and log, and the run is not reached; what it wrote is kept all the same."""
    result = run(told(code=1, calls=[MAP, REFUSED], blamed=1))
    assert (result["stage"], result["code"]) == ("load", "verifier-rejected")
    load, after = result["stages"]["load"], result["stages"]["run"]
    assert load["message"] == "PROG_LOAD kprobe 'handle': EACCES: R0 !read_ok; tool ended with exit code 1"
    assert [(p["name"], p["status"], p["log"]) for p in load["programs"]] == [("handle", "failed", "R0 !read_ok")]
    assert [(m["name"], m["status"]) for m in load["maps"]] == [("m", "passed")]
    assert (after["status"], after["command"]["exit"]) == ("not-reached", 1)


def test_an_expected_refusal() -> None:
    """An expectation without a filter speaks for a command too."""
    entry = Expectation(stage="load", status="failed", code="verifier-rejected")
    assert run(told(code=1, calls=[MAP, REFUSED], blamed=1), expect=(entry,))["outcome"] == "passed"


def test_a_refusal_that_the_command_does_without() -> None:
    """A command that ends as wanted has passed, whatever the kernel refused it; the record has it."""
    result = run(told(calls=[REFUSED], blamed=0))
    assert result["outcome"] == "passed"
    [program] = result["stages"]["load"]["programs"]
    assert (program["status"], program["decides"]) == ("failed", False)


def test_a_refused_attachment_fails_the_run_stage() -> None:
    """Loading went well; what failed was to attach."""
    link = {**MAP, "command": "LINK_CREATE", "errno": "EINVAL", "code": "attach-failed", "message": "EINVAL: no"}
    result = run(told(code=1, calls=[MAP, link], blamed=1))
    assert (result["stage"], result["code"]) == ("run", "attach-failed")
    assert result["message"] == "tool ended with exit code 1; LINK_CREATE hash 'm': EINVAL: no"


def test_an_answer_that_blames_no_call_of_its_own() -> None:
    """Such a guest was taken over."""
    result = run(told(code=1, blamed=7))
    assert (result["outcome"], result["code"]) == ("error", "guest-lost")


def test_a_case(tmp_path: Path) -> None:
    """A case.toml names the command, what it needs and how it ends; what does not go together is an error."""
    path = tmp_path / "x" / "case.toml"
    path.parent.mkdir()
    path.write_text(
        'command = "./tool --all"\npush = ["d"]\nexit = 2\nstdout = "ok"\nenv = { A = "b" }\n'
        'sysroot = "r"\nheaders = true\n'
    )
    found = case.read(path).command
    assert found == command.Command(("./tool", "--all"), ("d",), 2, "ok", "", (("A", "b"),), path.parent, "r", True)
    for text, message in (
        ('command = "a"\nobject = "x.o"', "has both a command and object"),
        ('object = "x.o"\nexit = 1', "has exit, and no command"),
        ('object = "x.o"\nheaders = true', "has headers, and no command"),
        ('command = ""', "names no program"),
        ('command = "a \'b"', "cannot be read: no closing quotation"),
        ('command = "a"\nstdout = "("', "is no regular expression"),
        ('command = "a"\nexit = 300', "is no exit code"),
        ('command = "a"\nenv = { A = 1 }', "env.A = 1 is not a string"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError) as caught:
            case.read(path)
        assert message in str(caught.value)


def test_what_travels(tmp_path: Path) -> None:
    """A program that is a file here travels to /root; one that is not must be pushed, or be the guest's."""
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    made = command.parse(["./tool", "x"], folder=tmp_path)
    assert made.started(X86) == ["/root/tool", "x"]
    assert list(made.tree(X86).items) == ["/root/tool"]
    assert command.parse(["python3"], folder=tmp_path).tree(X86).items == {}
    assert command.parse(["/bin/sh.guest"], folder=tmp_path).started(X86) == ["/bin/sh.guest"]
    with pytest.raises(UsageError, match=r"\./gone: there is no such program, here or pushed"):
        command.parse(["./gone"], folder=tmp_path).tree(X86)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + (3).to_bytes(2, "little") + (183).to_bytes(2, "little") + bytes(44)
    (tmp_path / "arm").write_bytes(elf)
    with pytest.raises(UsageError, match="is a program for EM_AARCH64, and the kernel is x86_64"):
        command.parse(["./arm"], folder=tmp_path).tree(X86)
    with pytest.raises(UsageError, match=rf"sysroot {tmp_path}/none/x86_64: there is no such folder"):
        command.parse(["./tool"], folder=tmp_path, sysroot="none/{arch}").tree(X86)
