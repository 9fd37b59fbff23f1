"""The agent answers every request over one descriptor, whatever goes wrong in it.

It runs here, outside any guest, in a process of its own; what would touch the host's clock or kernel is left out.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everykernel import images, wire
from everykernel.machine import gate
from everykernel.machine.channel import Channel

# Requests about objects load the kernel's BTF and try its features: a guest's business. Hello would set our clock.
SERVE = """
import sys, types
sys.path.insert(0, sys.argv[1])
from everykernel import wire
stand_in = types.ModuleType("everykernel.guest.requests")
class Requests:
    def __init__(self, facts): pass
    def warm(self): pass
    def serve(self, message):
        if message.handle == 0:
            raise KeyError("no such handle")
        if message.handle == 1:
            return wire.Value("x" * (33 << 20))
        if message.handle == 2:
            return wire.Value([0] * (5 << 20))
        if message.handle == 3:
            return wire.Value({"blob": bytes(65 << 20)})
        return wire.Value({"handle": message.handle, "data": b"\\0"})
stand_in.Requests = Requests
sys.modules["everykernel.guest.requests"] = stand_in
from everykernel import load
load.kernel_btf = lambda learnt: None
from everykernel.guest import agent, system
system.greet = lambda message: None
agent.serve(int(sys.argv[2]))
"""


class Agent:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.number = 0

    def ask(self, message: wire.Request[Any]) -> Any:
        self.number += 1
        deadline = time.monotonic() + 20
        self.channel.send(wire.encode(self.number, message), deadline)
        number, reply = gate.admit(*self.channel.receive(deadline), {self.number: message})
        assert number == self.number
        return reply


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    path = tmp_path_factory.mktemp("agent") / "everykernel-agent.pyz"
    path.write_bytes(images.agent_zipapp())
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-S", "-I", "-c", SERVE, str(path), str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        channel = Channel(ours)
        number, ready = wire.decode(*channel.receive(time.monotonic() + 20))
        assert number == 0
        assert isinstance(ready, wire.Facts)
        yield Agent(channel)
        process.kill()
        channel.close()


def test_facts(agent: Agent) -> None:
    """Hello is answered with what the kernel is."""
    facts = agent.ask(wire.Hello(0, b""))
    assert isinstance(facts, wire.Facts)
    assert facts.release == os.uname().release
    assert facts.cpus == os.cpu_count()


def test_files(agent: Agent, tmp_path: Path) -> None:
    """Files are written with their mode, read back, and what cannot be is an error that names the file."""
    path = tmp_path / "new folder" / "file"
    assert agent.ask(wire.Push(str(path), b"\0\xff", 0o755)) == wire.Done()
    assert path.stat().st_mode & 0o777 == 0o755
    assert agent.ask(wire.Pull(str(path))) == wire.Value(b"\0\xff")
    assert agent.ask(wire.Pull(str(tmp_path))) == wire.Failed("load-failed", "is a directory", str(tmp_path))


def test_programs(agent: Agent) -> None:
    """A program's input, environment, output and end are its own."""
    reply = agent.ask(wire.Run(["sh", "-c", "cat; echo $X >&2; exit 7"], b"in", {"X": "y"}))
    assert reply == wire.Ran(7, b"in", b"y\n")
    assert agent.ask(wire.Run(["/no/such"])) == wire.Failed("load-failed", "no such file or directory", "/no/such")
    for odd in ([], ["a\0b"], [1]):
        assert isinstance(agent.ask(wire.Run(odd)), wire.Failed)  # type: ignore[arg-type]
        assert isinstance(agent.ask(wire.Start(odd)), wire.Failed)  # type: ignore[arg-type]
    assert isinstance(agent.ask(wire.Push("/a\0b", b"")), wire.Failed)


def test_programs_are_followed(agent: Agent, tmp_path: Path) -> None:
    """What a program writes is told while it runs, its end with the last; after that there is nothing to follow."""
    os.mkfifo(tmp_path / "fifo")
    script = 'cat; read line < "$FIFO"; echo $line >&2; kill -9 $$'
    started = agent.ask(wire.Start(["sh", "-c", script], b"in", {"FIFO": str(tmp_path / "fifo")}))
    assert isinstance(started, wire.Value)
    assert agent.ask(wire.Follow(started.value)) == wire.Output(b"in", b"", None)
    (tmp_path / "fifo").write_text("go\n")
    found = [agent.ask(wire.Follow(started.value))]
    while isinstance(found[-1], wire.Output) and found[-1].code is None:
        found.append(agent.ask(wire.Follow(started.value)))
    assert isinstance(found[-1], wire.Output)
    assert found[-1].code == -9
    assert b"".join(o.stderr for o in found if isinstance(o, wire.Output)) == b"go\n"
    assert isinstance(agent.ask(wire.Follow(started.value)), wire.Failed)
    told = "/no/such: ENOENT: no such file or directory"
    assert agent.ask(wire.Start(["/no/such"])) == wire.Failed("command-not-started", told)


def test_a_program_says_what_it_needs(agent: Agent, tmp_path: Path) -> None:
    """A script whose interpreter is not there, and what is no program, say so; a folder of its own is taken."""
    script, text = tmp_path / "script", tmp_path / "text"
    script.write_text("#!/opt/no/bash -e\n")
    text.write_bytes(b"\x7fELF" + bytes(100))
    for path in (script, text):
        path.chmod(0o755)
    reply = agent.ask(wire.Start(["./script"], cwd=str(tmp_path)))
    assert (
        reply.message == "./script needs /opt/no/bash, which the guest does not have [--push /opt/no/bash:/opt/no/bash]"
    )
    reply = agent.ask(wire.Start(["./text"], cwd=str(tmp_path)))
    assert reply.message == "./text: ENOEXEC: exec format error (./text is for another machine)"
    assert "ENOENT" in agent.ask(wire.Start(["true"], cwd=str(tmp_path / "no"))).message


def test_files_are_placed(agent: Agent, tmp_path: Path) -> None:
    """Files come part by part, with folders, links and permissions."""
    base = str(tmp_path / "a")
    entries: list[wire.Entry] = [
        {"path": base, "mode": 0o755, "folder": True},
        {"path": f"{base}/b/c", "mode": 0o750, "data": b"one", "append": False},
        {"path": f"{base}/b/c", "mode": 0o750, "data": b"two", "append": True},
        {"path": f"{base}/d", "mode": 0o777, "link": "b/c"},
    ]
    assert agent.ask(wire.Place(entries)) == wire.Done()
    assert agent.ask(wire.Place(entries)) == wire.Done()  # a file is written anew, a link replaced
    assert (tmp_path / "a/d").read_bytes() == b"onetwo"
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o750
    assert agent.ask(wire.Place([{"path": f"{base}/b", "mode": 0, "data": b""}])).where == f"{base}/b"
    assert agent.ask(wire.Room()).value > 0


def test_a_ping_is_answered_while_a_request_runs(agent: Agent) -> None:
    """The reader answers it at once; the request's own answer comes later."""
    deadline = time.monotonic() + 20
    agent.channel.send(wire.encode(1001, wire.Run(["sleep", "0.5"])), deadline)
    agent.channel.send(wire.encode(1002, wire.Ping()), deadline)
    assert wire.decode(*agent.channel.receive(deadline)) == (1002, wire.Done())
    assert wire.decode(*agent.channel.receive(deadline))[0] == 1001


def test_others_answer_about_objects(agent: Agent) -> None:
    """A request that is not the agent's own goes to the loader; a defect there costs nobody the guest."""
    assert agent.ask(wire.Globals(7)) == wire.Value({"handle": 7, "data": b"\0"})
    reply = agent.ask(wire.Globals(0))
    assert isinstance(reply, wire.Broke)
    assert reply.message == "KeyError: 'no such handle'"
    assert "Traceback" in reply.trace
    assert agent.ask(wire.Ping()) == wire.Done()


@pytest.mark.parametrize("handle", [1, 2, 3])
def test_an_answer_that_is_too_large_is_an_answer(agent: Agent, handle: int) -> None:
    """What the host would refuse is not sent; why, is."""
    reply = agent.ask(wire.Globals(handle))
    assert isinstance(reply, wire.Failed)
    assert (reply.code, reply.message[:15]) == ("limit-exceeded", "the answer has ")
