"""A cell that is a command: pushed, run, watched, and judged by how it ended.

What its loader did is known by its bpf(2) calls. Where it fails as a loader does that gives up over a refused program
or map, the load stage says so, with the reasons that our own loader gives.
"""

from __future__ import annotations

import re
import shutil
import signal
from typing import Any

from everykernel import wire
from everykernel.errors import GuestLost, UsageError
from everykernel.files.push import push
from everykernel.files.tree import HOME
from everykernel.kernels import headers
from everykernel.machine import Guest
from everykernel.matrix import records, said
from everykernel.matrix.cell import Drive
from everykernel.matrix.command import Command
from everykernel.matrix.records import CommandRecord, OutputRecord

_PATIENCE = 30.0  # seconds beyond a command's own deadline, until its record is there
_LOADS = ("PROG_LOAD", "MAP_CREATE")
_TOLD = 200  # characters of a last line that a message tells


class CommandDrive(Drive):
    """Takes a command through a guest, filling its result."""

    def _stages(self) -> None:
        command = self.case.command
        assert command is not None
        self.stages["relocate"] = records.skipped("the command relocates by itself")
        self._timed("run", lambda stage: self._command(stage, command))
        self._judge("load", excused=True)  # a command need not load anything
        self._judge("run", excused=self.stages["load"]["status"] == wire.FAILED)

    def _command(self, stage: wire.Stage, command: Command) -> None:
        self.stages["load"] = records.skipped("the command was not started")
        try:
            told = run(self.guest, command, self.case.timeout)
        except UsageError as e:
            stage.update({"status": wire.FAILED, "code": "command-not-started", "message": str(e)})
            return
        stage["command"] = dict(record(command, told))
        stage["seconds"] = told.seconds
        self.result["notes"] += told.notes
        code, message = verdict(command, told)
        blamed = told.calls[told.blamed] if code == "command-failed" and told.blamed is not None else None
        self.stages["load"] = loads(told, blamed, message)
        if blamed is not None and blamed["command"] in _LOADS:
            stage.update({"status": wire.NOT_REACHED, "message": message})
        elif blamed is not None:
            stage.update({"status": wire.FAILED, "code": _code(blamed), "message": f"{message}; {call_text(blamed)}"})
        elif code:
            stage.update({"status": wire.FAILED, "code": code, "message": message})


def run(guest: Guest, command: Command, timeout: float, stdin: bytes = b"") -> wire.Commanded:
    """Push what a command needs, run it, and return what became of it.

    Raises:
        UsageError: a file that it needs is not there.
        RequestFailed: the guest has no room for its files.
        CaseTimeout: it did not end, and could not be ended.
    """
    arch = guest.kernel.arch
    files = command.tree(arch)
    if command.headers:
        files.add(headers.fetch(guest.kernel), "/")
    push(guest, files)
    request = wire.Command(
        command.started(arch), timeout, stdin=stdin, env=dict(command.env), cwd=HOME, binds=list(files.binds)
    )
    told = guest.request(request, timeout + _PATIENCE)
    if told.blamed is not None and told.blamed >= len(told.calls):
        raise GuestLost(f"its answer is none: it blames call {told.blamed} of {len(told.calls)}")
    return told


def verdict(command: Command, told: wire.Commanded) -> tuple[str, str]:
    """Return reason code and message of how a command ended, both empty where that is what is wanted."""
    name = command.argv[0]
    if told.end == wire.NOT_STARTED:
        return "command-not-started", f"{told.message}{_by_its_path(name)}"
    if told.end == wire.DEADLINE:
        return "timeout", f"{name} did not end within its {told.seconds:.3g} s"
    if told.end == wire.PROCESSES:
        return "command-processes", f"{name} had too many processes at once: {told.processes} were started"
    if told.end == wire.SIGNAL:
        by = signal_name(told.code)
        if told.out_of_memory and told.code == signal.SIGKILL:
            return "out-of-memory", f"{name} was killed by the kernel, which ran out of memory"
        return "command-crashed", f"{name} was ended by {by}{_last(told)}"
    if told.code != command.exit:
        wanted = f" ({command.exit} is wanted)" if command.exit else ""
        known = said.explain(f"{text(told.stderr)}\n{text(told.stdout)}") if told.blamed is None else None
        if known is not None:
            code, line, remedy = known
            return code, f"{name} ended with exit code {told.code}{wanted}: {line}{f' [{remedy}]' if remedy else ''}"
        return "command-failed", f"{name} ended with exit code {told.code}{wanted}{_last(told)}"
    for stream, pattern, written in (("stdout", command.stdout, told.stdout), ("stderr", command.stderr, told.stderr)):
        if pattern and not re.search(pattern, text(written), re.MULTILINE):
            return "command-output", f"{name} ended as wanted, and {pattern!r} is not in its {stream}{_last(told)}"
    return "", ""


def loads(told: wire.Commanded, blamed: dict[str, Any] | None, message: str) -> wire.Stage:
    """Return the load stage that a command's calls come to; ``blamed`` is the one that failed it."""
    programs: dict[tuple[str, ...], wire.ProgramRecord] = {}
    maps: dict[tuple[str, ...], wire.MapRecord] = {}
    verified = {one["id"]: one["verified_insns"] for one in told.programs}
    for call in told.calls:
        if call.get("probe") and call is not blamed:
            continue
        key = (call.get("name", ""), call.get("type", ""), call.get("attach", ""))
        if call["command"] == "PROG_LOAD":
            _program(programs, key, call, verified, decides=call is blamed)
        elif call["command"] == "MAP_CREATE":
            _map(maps, key, call)
    stage: wire.Stage = {"status": wire.PASSED, "code": "", "message": "", "seconds": 0.0}
    if blamed is not None and blamed["command"] in _LOADS:
        stage.update({"status": wire.FAILED, "code": _code(blamed), "message": f"{call_text(blamed)}; {message}"})
    elif not programs and not maps:
        stage = records.skipped("the command loaded nothing")
    if stage["status"] == wire.PASSED:
        for record in maps.values():
            if record["status"] == wire.FAILED:  # which it did without
                record["status"] = wire.SKIPPED
    stage["programs"], stage["maps"] = list(programs.values()), list(maps.values())
    return stage


def _program(
    programs: dict[tuple[str, ...], wire.ProgramRecord],
    key: tuple[str, ...],
    call: dict[str, Any],
    verified: dict[int, int | None],
    *,
    decides: bool,
) -> None:
    """Add a program, or what became of it when it was tried again (as libbpf does to have a log)."""
    refused = call["errno"] is not None
    before = programs.get(key)
    record: wire.ProgramRecord = {
        "name": call.get("name", ""),
        "section": "",
        "type": call.get("type", ""),
        "attach": call.get("attach", ""),
        "status": wire.FAILED if refused else wire.PASSED,
        "code": call.get("code", ""),
        "errno": call["errno"],
        "message": call.get("message", ""),
        "insns": call.get("insns", 0),
        "decides": decides,
    }
    log = call.get("log", "") or (before.get("log", "") if before is not None and refused else "")
    if log:
        record["log"] = log
    if call.get("id") is not None:
        record["verified_insns"] = verified.get(call["id"])
    programs[key] = record


def _map(maps: dict[tuple[str, ...], wire.MapRecord], key: tuple[str, ...], call: dict[str, Any]) -> None:
    refused = call["errno"] is not None
    maps[key] = {
        "name": call.get("name", ""),
        "type": call.get("type", ""),
        "key_size": call.get("key_size", 0),
        "value_size": call.get("value_size", 0),
        "max_entries": call.get("max_entries", 0),
        "status": wire.FAILED if refused else wire.PASSED,
        "code": call.get("code", ""),
        "errno": call["errno"],
        "message": call.get("message", ""),
    }


def record(command: Command, told: wire.Commanded) -> CommandRecord:
    """Return what the results keep of a command."""
    made: CommandRecord = {
        "argv": list(command.argv),
        "end": told.end,
        "exit": told.code if told.end == wire.EXIT else None,
        "signal": signal_name(told.code) if told.end == wire.SIGNAL else "",
        "seconds": told.seconds,
        "stdout": output(told.stdout),
        "stderr": output(told.stderr),
        "processes": told.processes,
        "out_of_memory": told.out_of_memory,
        "calls": told.calls,  # type: ignore[typeddict-item]
        "calls_left_out": told.calls_left_out,
        "blamed": told.blamed,
        "programs": told.programs,  # type: ignore[typeddict-item]
        "maps": told.maps,  # type: ignore[typeddict-item]
    }
    return made


def output(written: dict[str, Any]) -> OutputRecord:
    """Return a stream as text."""
    first, last = written["first"], written["last"]
    if not written["left_out"]:
        first, last = first + last, b""
    return {
        "first": first.decode("utf-8", "replace"),
        "last": last.decode("utf-8", "replace"),
        "left_out": written["left_out"],
    }


def text(written: dict[str, Any]) -> str:
    """Return what is kept of a stream as one text, with a line for what is left out."""
    one = output(written)
    if not one["left_out"]:
        return one["first"]
    return f"{one['first']}\n({one['left_out']} bytes left out)\n{one['last']}"


def call_text(call: dict[str, Any]) -> str:
    """Return a refused call in words: ``PROG_LOAD kprobe 'handle': EACCES: …``."""
    name = f" {call['name']!r}" if call.get("name") else ""
    kind = f" {call['type']}" if call.get("type") else ""
    return f"{call['command']}{kind}{name}: {call.get('message', '')}"


def _code(call: dict[str, Any]) -> str:
    return call.get("code") or "load-failed"


def signal_name(number: int) -> str:
    """Return the name of a signal: ``SIGSEGV``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _by_its_path(name: str) -> str:
    """Return what to do about a program that the guest lacks and this host has."""
    here = shutil.which(name) if "/" not in name else None
    return f" [to push this host's, name it by its path: {here}]" if here else ""


def _last(told: wire.Commanded) -> str:
    """Return the last line that a command wrote, rather of its errors."""
    for written in (told.stderr, told.stdout):
        lines = text(written).strip().splitlines()
        if lines:
            return f": {lines[-1][-_TOLD:]}"
    return ""
