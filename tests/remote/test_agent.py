"""The agent of a machine without Python, asked for what needs no BPF: the program runs here, beside this process."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path
from typing import Any

import pytest

from everykernel import wire
from everykernel.errors import GuestLost
from everykernel.load import KernelTypes
from everykernel.machine import fake
from everykernel.remote import agent
from everykernel.remote.agent import FarAgent, Learnt
from everykernel.remote.system import Remote

PAGE = Path(__file__).parents[2] / "docs/boards.md"
SOON = 30.0


@pytest.fixture
def far(there: Remote, monkeypatch: pytest.MonkeyPatch) -> FarAgent:
    """An agent of this host, that has nothing of its kernel's BPF asked for."""
    monkeypatch.setattr(agent.usage, "count", lambda system: -1)  # type: ignore[attr-defined]
    facts = fake.facts(fake.kernel())
    hello = there.line.greet()
    name = "x86_64" if hello.pointer_size == 8 else "i386"
    return FarAgent(there.line, name, Learnt(hello, facts, KernelTypes(None, there)))


def _answer(far: FarAgent, message: wire.Request[Any]) -> wire.Message:
    return far.answer(message, time.monotonic() + SOON)


def test_files_are_pushed_and_pulled(far: FarAgent, tmp_path: Path) -> None:
    """With their folders and modes; what the system refuses is an answer too."""
    path = tmp_path / "a" / "file"
    assert _answer(far, wire.Push(str(path), b"data", 0o751)) == wire.Done()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"data", 0o751)
    assert _answer(far, wire.Pull(str(path))) == wire.Value(b"data")
    for message in (wire.Pull(str(tmp_path / "none")), wire.Pull("with\0nul"), wire.Push(str(tmp_path), b"")):
        told = _answer(far, message)
        assert isinstance(told, wire.Failed)
        assert told.code == "load-failed"


def test_nothing_runs_here_in_place_of_there(far: FarAgent, tmp_path: Path) -> None:
    """Programs, commands and checks are refused: none is run on this host."""
    mark = tmp_path / "ran"
    argv = ["/usr/bin/touch", str(mark)]
    check = wire.Check(1, f"open({str(mark)!r}, 'w')", "case.py")
    for message in (wire.Run(argv), wire.Start(argv), wire.Command(argv, 1.0), wire.Follow(1), check, wire.Room()):
        told = _answer(far, message)
        assert isinstance(told, wire.Failed)
        assert (told.code, told.message) == ("command-not-started", agent.NOTHING_RUNS)
    assert not mark.exists()


def test_what_it_is_asked_of_itself(far: FarAgent) -> None:
    """A ping goes there and back, facts are those that were learnt, an object that is not there is told."""
    before = far.line.exchanges
    assert _answer(far, wire.Ping()) == wire.Done()
    assert far.line.exchanges == before + 1
    assert _answer(far, wire.Hello(0, b"")) is far.facts
    told = _answer(far, wire.Attach(7))
    assert isinstance(told, wire.Failed)
    assert told.message == "there is no loaded object 7"
    assert far.line.deadline is None


def test_a_line_that_ends_is_no_answer(far: FarAgent) -> None:
    """What ended the line is raised, whatever the request was, and again for the next."""
    with pytest.raises(GuestLost, match="no answer in time"):
        far.answer(wire.Ping(), time.monotonic() - 1)
    with pytest.raises(GuestLost, match="no answer in time"):
        _answer(far, wire.Hello(0, b""))
    far.line.end = None  # nothing was sent: it serves the tests that follow


def test_the_page_of_boards_is_true() -> None:
    """What its example imports and calls is there; it is run in the form of `tests/vm/test_bare.py`."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    tree = ast.parse(block)
    names: dict[str, Any] = {}
    imports = ast.Module([n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))], [])
    exec(compile(imports, "page", "exec"), names)
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert called - {"print"} <= set(names)
