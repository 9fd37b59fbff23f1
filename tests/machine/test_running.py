"""A guest that lies, floods or talks for ever is lost by its deadline; one that is late is not. A script stands in."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.machine.test_qemu import Script

from everykernel import wire
from everykernel.errors import CaseTimeout, GuestLost, KernelHung, KernelPanic, RequestFailed
from everykernel.machine import MachineSpec, console, fake, running
from everykernel.machine.command import Place
from everykernel.machine.devices import Device
from everykernel.machine.qemu import Qemu
from everykernel.machine.running import Begun, QemuGuest

PRELUDE = """
import os, time
from everykernel import wire

def take(size):
    data = b""
    while len(data) < size:
        data += os.read(CHANNEL, size - len(data)) or exit()
    return data

def hear():
    text, blob = wire.lengths(take(8))
    return wire.decode(take(text), take(blob))

def say(data):
    while data:
        data = data[os.write(CHANNEL, data):]

def answer(number, message):
    say(wire.encode(number, message))

"""
Start = Callable[[str], QemuGuest]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a guest that is a script: CHANNEL is its descriptor, CONSOLE its console's path."""
    monkeypatch.setattr(running, "PING_PATIENCE", 2.0)
    monkeypatch.setattr(Qemu, "interrogate", lambda self: None)  # there is no monitor
    started: list[QemuGuest] = []

    def start(script: str) -> QemuGuest:
        def devices(place: Place) -> list[Device]:
            text = (
                (PRELUDE + script).replace("CHANNEL", str(place.channel)).replace("CONSOLE", repr(str(place.console)))
            )
            return [Script(text)]

        qemu = Qemu(Path(sys.executable), devices, "6.1")
        kernel = fake.kernel()
        begun = Begun(qemu, fake.facts(kernel), "restored", [])
        guest = QemuGuest(kernel, MachineSpec(), begin=lambda: begun, abandon=lambda: None, timeout=20)
        guest.wake()
        started.append(guest)
        return guest

    yield start
    for guest in started:
        guest.close()


def lost(guest: QemuGuest, timeout: float = 20) -> GuestLost:
    """Ask, and return why the guest is lost; nothing can be asked after that."""
    with pytest.raises(GuestLost) as caught:
        guest.run(["x"], timeout=timeout)
    with pytest.raises(GuestLost, match="not there any more: "):
        guest.run(["x"])
    assert guest.qemu._process.ended() is not None
    return caught.value


def test_each_answer_goes_to_its_question(start: Start) -> None:
    """Requests are answered one by one; one that fails costs the guest nothing."""
    guest = start("while True: answer(hear()[0], wire.Failed('attach-failed', 'no', 'p'))")
    for _ in range(3):
        with pytest.raises(RequestFailed, match="p: no") as caught:
            guest.request(wire.Attach(1))
        assert caught.value.code == "attach-failed"


def test_numbers_cannot_be_guessed(start: Start) -> None:
    """No number follows from another."""
    guest = start("while True:\n number, _ = hear()\n answer(number, wire.Value(number))")
    numbers = [guest.request(wire.MapOp(1, "m", "lookup")).value for _ in range(4)]
    assert len({b - a for a, b in itertools.pairwise(numbers)}) == 3
    assert max(numbers) > 1 << 50


def test_an_answer_before_its_question(start: Start) -> None:
    """What was said ahead answers nothing."""
    guest = start("for number in range(10): answer(number, wire.Ran(0, b'', b''))\nhear()\ntime.sleep(60)")
    time.sleep(0.3)
    assert str(lost(guest)) == "6.1: the guest answers what it was not asked"


def test_an_answer_is_said_once(start: Start) -> None:
    """The same answer a second time, as that of the next request, is none."""
    guest = start("number, _ = hear()\nfor _ in range(2): answer(number, wire.Ran(0, b'', b''))\ntime.sleep(60)")
    assert guest.run(["x"]).code == 0
    assert lost(guest).message == "the guest answers what it was not asked"


def test_a_flood(start: Start) -> None:
    """Frames without end that answer nothing are not waited out."""
    began = time.monotonic()
    assert "not asked" in lost(start("while True: answer(7, wire.Done())")).message
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("rest", ["say(b'x' * 1000)", "say(b'x'); time.sleep(0.01)"])
def test_a_frame_without_end(start: Start, rest: str) -> None:
    """A guest that goes on talking is lost by its deadline, fast or slow, whatever it is asked meanwhile."""
    began = time.monotonic()
    error = lost(start(f"say(wire.HEADER.pack(30 << 20, 60 << 20))\nwhile True: {rest}"), timeout=1)
    assert error.message.startswith(("no whole answer within 1 s, only the first ", "the channel's stream is broken"))
    assert time.monotonic() - began < 10


def test_a_blob_is_as_long_as_its_request_allows(start: Start) -> None:
    """A file may be long; that a thing is done takes no bytes."""
    guest = start("while True: answer(hear()[0], wire.Value(bytes(2 << 20)))")
    assert len(guest.pull("/x")) == 2 << 20
    with pytest.raises(GuestLost, match=r"the channel's stream is broken: a frame of \d+ \+ 2097152 bytes"):
        guest.push("/x", b"")


def test_silence(start: Start) -> None:
    """A guest that says nothing is hung."""
    with pytest.raises(KernelHung, match=r"no answer within 0.3 s, nor to a ping"):
        start("time.sleep(60)").run(["x"], timeout=0.3)


def test_silence_after_a_panic(start: Start) -> None:
    """A kernel that panicked and stays there, as that of a board, did not hang."""
    script = "open(CONSOLE, 'w').write('Kernel panic - not syncing: it was asked to\\n'); time.sleep(60)"
    with pytest.raises(KernelPanic, match="the kernel panicked: it was asked to"):
        start(script).run(["x"], timeout=0.3)


@pytest.mark.parametrize("late", ["", "answer(number, wire.Ran(0, b'', b''))"])
def test_a_late_answer(start: Start, late: str) -> None:
    """A guest that answers a ping is in time, also where the late answer comes first."""
    guest = start(f"number, _ = hear()\nping, _ = hear()\n{late}\nanswer(ping, wire.Done())\ntime.sleep(60)")
    with pytest.raises(CaseTimeout, match=r"'x' did not end within 1 s, while the guest still answers"):
        guest.run(["x"], timeout=1)


def test_a_ping_that_another_answer_is_given_to(start: Start) -> None:
    """A ping has one answer too."""
    guest = start("hear()\nping, _ = hear()\nanswer(ping, wire.Value(1))\ntime.sleep(60)")
    assert lost(guest, timeout=1).message == "answer to ping: is 'value', not done, broke, failed"


def test_what_was_interrupted_is_still_asked(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a request that Ctrl-C ended is not taken for another's, nor for a lie."""
    guest = start("for code in (1, 2): answer(hear()[0], wire.Ran(code, b'', b''))\ntime.sleep(60)")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(guest.qemu, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            guest.run(["x"])
    assert guest.run(["x"]).code == 2


def test_a_lie(start: Start) -> None:
    """An odd answer ends the guest, with one line and the console."""
    guest = start("open(CONSOLE, 'w').write('last words')\nanswer(hear()[0], wire.Ran('0', b'', b''))\ntime.sleep(60)")
    error = lost(guest)
    assert str(error) == "6.1: answer to run: code is '0', not a number of 64 bits"
    assert error.console == "last words"


def test_an_agent_that_broke(start: Start) -> None:
    """A defect of the agent's ends the guest, and its traceback is kept: who is to blame cannot be known."""
    guest = start(
        "open(CONSOLE, 'w').write('last words')\nanswer(hear()[0], wire.Broke('KeyError: x\\ny', 'Traceback'))"
    )
    error = lost(guest)
    assert str(error) == (
        "6.1: the agent broke: KeyError: x [report it, with the traceback, unless the object took the agent over]"
    )
    assert error.console == "last words\n\nThe agent says:\nTraceback"


@pytest.mark.parametrize("then", ["answer(hear()[0], wire.Ran(0, b'', b''))", "time.sleep(60)"])
def test_a_console_that_is_full(start: Start, then: str) -> None:
    """Whether it answers or not: nobody knows what such a guest printed since."""
    guest = start(
        f"file = open(CONSOLE, 'wb', 0)\nfile.write(b'line\\n' * ({console.LIMIT} // 5 - 1) + b'rest of it')\n{then}"
    )
    error = lost(guest, timeout=2)
    assert error.message == "it printed more than 2048 KiB on its console"
    assert len(guest.console()) <= console.END
