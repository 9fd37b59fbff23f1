"""The fake machines behave as the real ones do towards whoever uses them."""

from __future__ import annotations

import pytest

from everykernel import wire
from everykernel.errors import GuestLost, KernelPanic, RequestFailed
from everykernel.machine import MachineSource
from everykernel.machine.fake import FakeMachines, kernel


def test_the_fake_is_a_source_of_machines() -> None:
    """It can stand wherever machines are taken."""
    source: MachineSource = FakeMachines()
    assert source.prepare(kernel()).booted
    assert not source.prepare(kernel()).booted
    with source.start(kernel("6.1/i386", arch="i386")) as guest:
        assert not guest.facts.btf
        guest.push("/a", b"b")
        assert guest.pull("/a") == b"b"
        with pytest.raises(RequestFailed, match="/c: no such file or directory"):
            guest.pull("/c")
    with pytest.raises(GuestLost):
        guest.pull("/a")


def test_answers_are_the_tests_own() -> None:
    """Replies, functions, failures and exceptions all come as the real guest would give them."""
    machines = FakeMachines()
    machines.answer(wire.Run, lambda message: wire.Ran(len(message.argv), b"", b""))
    machines.answer(wire.Unload, wire.Failed("harness-error", "no"))
    machines.answer(wire.Load, KernelPanic("the kernel panicked", console="trace", where="6.1"))
    guest = machines.start(kernel())
    assert guest.run(["a", "b"]).code == 2
    with pytest.raises(RequestFailed, match="no"):
        guest.request(wire.Unload(1))
    with pytest.raises(KernelPanic):
        guest.request(wire.Load("x", b""))
    with pytest.raises(GuestLost):
        guest.run(["a"])
