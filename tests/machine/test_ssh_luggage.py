"""What waits on a target for our code makes a folder, runs what comes, and removes the folder however that ends.

Both kinds run here; what they run are scripts that stand in for the agent and the program.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.machine.test_ssh_about import ROOT

from everykernel import images
from everykernel.architectures import ARCHITECTURES
from everykernel.machine.ssh import luggage
from everykernel.machine.ssh.luggage import Luggage
from everykernel.machine.ssh.target import Target, Terms
from everykernel.remote import program

DOOR = b"#!/bin/sh\nexec cat\n"
# Echoes its input, as the program does; the real one would look at this host's kernel.
VISITING = """
import os
def serve(leave, *, loads, silence):
    while data := os.read(0, 4096):
        os.write(1, data)
"""


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("everykernel/__init__.py", "everykernel/guest/__init__.py"):
            archive.writestr(name, "")
        archive.writestr("everykernel/guest/visiting.py", VISITING)
    return out.getvalue()


@pytest.fixture(params=["python", "program"])
def making(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Luggage]:
    """Return what brings a stand-in to a folder."""
    about = replace(ROOT, pythons=((sys.version_info[:3], sys.executable),))
    (tmp_path / "door").write_bytes(DOOR)
    monkeypatch.setattr(program, "build", lambda arch: tmp_path / "door")
    monkeypatch.setattr(images, "agent_packed", lambda *, compiled: zipped())

    def make(folder: str) -> Luggage:
        target, terms = Target("ssh://lab", "lab", folder=folder), Terms(silence=5.0)
        if request.param == "python":
            return luggage.of_python(target, about, terms)
        return luggage.of_program(target, about, terms, ARCHITECTURES["x86_64"])

    return make


class Far:
    """A target's end."""

    def __init__(self, brought: Luggage) -> None:
        self.brought = brought
        argv = shlex.split(brought.command)
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.told = json.loads(self.process.stdout.readline())
        self.folder = Path(self.told.get("folder", "/nonexistent"))

    def bring(self, data: bytes | None = None) -> None:
        (self.folder / self.brought.name).write_bytes(self.brought.data if data is None else data)
        self.say(b"\n")

    def say(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def leave(self) -> bytes:
        """Close its input, and return the rest of what it says."""
        said, _ = self.process.communicate(timeout=30)
        return said


@pytest.fixture
def far(making: Callable[[str], Luggage], tmp_path: Path) -> Iterator[Far]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    made = Far(making(str(folder)))
    assert made.folder.parent == folder
    assert made.folder.stat().st_mode & 0o777 == 0o700
    yield made
    made.process.kill()
    made.process.communicate()
    assert list(folder.iterdir()) == []


def test_what_is_brought_runs_until_its_input_ends(far: Far) -> None:
    """Its standard streams are those of the session."""
    far.bring()
    far.say(b"spoken with\n")
    assert far.leave() == b"spoken with\n"


def test_nothing_comes(far: Far) -> None:
    """A connection that is cut before anything was brought leaves nothing."""
    assert far.leave() == b""


def test_half_of_it_comes(far: Far) -> None:
    """What was begun to be brought goes too."""
    (far.folder / far.brought.name).write_bytes(far.brought.data[:10])
    assert far.leave() == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal(far: Far, number: int) -> None:
    """A session that is ended from outside leaves nothing."""
    far.process.send_signal(number)
    far.process.wait(30)


def test_a_folder_that_cannot_be_made(making: Callable[[str], Luggage], tmp_path: Path) -> None:
    """Why is told by its number."""
    far = Far(making(str(tmp_path / "absent")))
    far.leave()
    assert far.told == {"errno": 2}


def test_the_agent_is_what_was_sent(making: Callable[[str], Luggage], tmp_path: Path) -> None:
    """An agent that was changed on its way, or on the target, is not run."""
    brought = making(str(tmp_path))
    if brought.name != "agent.pyz":
        return  # a program is as its file system says
    far = Far(brought)
    assert hashlib.sha256(brought.data).hexdigest() in brought.command
    began = time.monotonic()
    far.bring(brought.data.replace(b"os.write(1", b"os.write(2"))
    assert far.leave() == b""
    assert not far.folder.exists()
    assert time.monotonic() - began < 30
