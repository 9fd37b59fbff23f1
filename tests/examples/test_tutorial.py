"""The tutorial, typed from beginning to end, does what it says."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.examples.conftest import ROOT, Repository

pytestmark = pytest.mark.examples

PAGE = ROOT / "docs/tutorial.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?://|#) (\S+)\n")
_CODE = re.compile(r"\s+# exit code (\d+)$")


@dataclass(frozen=True)
class Command:
    """A line that is typed, with what it is shown to print (in part) and its exit code."""

    line: str
    shown: tuple[str, ...]
    code: int


def steps(text: str) -> list[Command | tuple[str, str]]:
    """The page's commands, and files with what they hold, in its order."""
    found: list[Command | tuple[str, str]] = []
    for kind, block in _FENCE.findall(text):
        if kind != "console":
            named = _FILE.match(block)
            assert named, f"a block of {kind} that is no file: {block[:40]!r}"
            found.append((named[1], block))
            continue
        for typed in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *shown = typed.splitlines()
            code = _CODE.search(line)
            found.append(Command(_CODE.sub("", line), tuple(shown), int(code[1]) if code else 0))
    return found


def test_the_page_is_read_whole() -> None:
    """Nothing that looks like a command stands outside of what is run."""
    found = steps(PAGE.read_text())
    typed = [one.line for one in found if isinstance(one, Command)]
    assert len(typed) == PAGE.read_text().count("\n$ ")
    assert len(typed) > 12
    files = [one[0] for one in found if not isinstance(one, Command)]
    assert files == ["exec.bpf.c", "Makefile", "tests/test_exec.py", "newer.bpf.c"]
    assert not re.search(r"^    \S", re.sub(_FENCE, "", PAGE.read_text()), re.MULTILINE)


def test_the_tutorial_works(repository: Repository) -> None:
    """In one shell, in an empty folder; sudo alone is stood in."""
    tools = repository.folder.parent / "tools"
    tools.mkdir()
    (tools / "sudo").write_text(f'#!/bin/sh\necho "$@" >{tools}/asked\n')
    (tools / "sudo").chmod(0o755)
    (tools / "clang").symlink_to((Path(repository.env["PATH"].split(":")[0]) / "clang").resolve())
    repository.env["PATH"] = (
        f"{tools}:{repository.env['PATH'].partition(':')[2]}"  # no everykernel but what is installed
    )
    shell = Shell(repository)
    for one in steps(PAGE.read_text()):
        if isinstance(one, Command):
            shell.check(one)
        else:
            (repository.folder / one[0]).write_text(one[1])
    assert (tools / "asked").read_text().startswith("apt-get install")


class Shell:
    """A shell whose environment lasts from command to command, in a file."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._state = repository.folder.parent / "state"
        self._state.touch()

    def check(self, command: Command) -> None:
        """Run a command, and compare what it prints and how it ends."""
        script = f"set -e; . {self._state}; {command.line}; export -p >{self._state}"
        done: subprocess.CompletedProcess[str] = self._repository.run("bash", "-c", script)
        assert done.returncode == command.code, f"$ {command.line}\n{done.stdout}"
        printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
        for line in command.shown:
            assert any(" ".join(line.split()) in one for one in printed), f"$ {command.line}\n{done.stdout}"
