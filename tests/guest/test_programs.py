"""Programs that run on in the guest while the host asks what they wrote; here outside any guest."""

from __future__ import annotations

import pytest

from everykernel import wire
from everykernel.errors import UsageError
from everykernel.guest import programs
from everykernel.guest.programs import Programs


def _outputs(argv: list[str], stdin: bytes = b"") -> list[wire.Output]:
    """Run a program to its end; return all answers."""
    running = Programs()
    started = running.start(wire.Start(argv, stdin))
    assert isinstance(started, wire.Value)
    found: list[wire.Output] = []
    while not found or found[-1].code is None:
        output = running.follow(wire.Follow(started.value))
        assert isinstance(output, wire.Output)
        found.append(output)
    with pytest.raises(UsageError, match="there is no started program 1"):
        running.follow(wire.Follow(started.value))
    return found


def test_a_program_s_output_and_end() -> None:
    """Both streams come whole and apart, and the last answer has the exit code."""
    found = _outputs(["sh", "-c", "cat; echo no >&2; exit 3"], b"yes")
    assert b"".join(output.stdout for output in found) == b"yes"
    assert b"".join(output.stderr for output in found) == b"no\n"
    assert found[-1].code == 3


def test_a_program_that_closes_its_output_and_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and each answer comes soon all the same: a guest that gives none is taken for hung."""
    monkeypatch.setattr(programs, "_PATIENCE", 0.1)
    found = _outputs(["sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 4"])
    assert len(found) > 2
    assert found[-1].code == 4


def test_a_program_that_is_not_there() -> None:
    """Why it cannot be started is the answer."""
    failed = Programs().start(wire.Start(["/no/such/program"]))
    assert isinstance(failed, wire.Failed)
    assert failed.message == "/no/such/program: ENOENT: no such file or directory"
