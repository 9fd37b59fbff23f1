"""The agent: serves the host's requests over one read-write descriptor.

Two threads: the reader takes frames from the port, answers a ping at once and queues the rest; the main thread serves
them one by one. So a ping is answered while a request runs, however long, unless the kernel or the interpreter hangs.
Everything that costs time and is the same for every request happens before `serve` says that it is ready: the host
then takes the warm snapshot, from which every guest starts.
"""

from __future__ import annotations

import gc
import pkgutil
import sys
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Optional

from everykernel import wire
from everykernel.errors import EverykernelError
from everykernel.guest import probes, scrub, stage0, system
from everykernel.guest.programs import Programs
from everykernel.guest.rehearsal import rehearse

LEARNT = "learnt"  # a member of the zip, beside this module
Job = tuple[int, wire.Request[Any]]  # a request's number, and the request


class Port:
    """The channel's end here; frames are written whole, whichever thread writes.

    Args:
        sink: the descriptor that is written to.
        read: returns as many bytes as it is asked for; None reads from ``sink``, a virtio port.
    """

    def __init__(self, sink: int, read: Optional[Callable[[int], bytes]] = None) -> None:
        self._sink = sink
        self._read = read or partial(stage0.read_exactly, sink)
        self._lock = threading.Lock()

    def receive(self) -> Job:
        """Return the next request; waits for it. A frame without anything says only that the host is there."""
        text, blob = 0, 0
        while not text:
            text, blob = wire.lengths(self._read(wire.HEADER.size))
        data = self._read(text + blob)
        return wire.decode(data[:text], data[text:])

    def send(self, number: int, reply: wire.Message, room: int = wire.Request.room) -> None:
        """Send the reply to request ``number``, or that it is larger than the host takes (``room``: of its blob)."""
        frame = wire.encode(number, reply)
        text, blob = wire.HEADER.unpack_from(frame)
        start = wire.HEADER.size
        if text > wire.TEXT_LIMIT or blob > room or wire.crowded(frame[start : start + text]):
            message = f"the answer has {text} + {blob} bytes: more than {wire.TEXT_LIMIT} + {room}, or too many values"
            frame = wire.encode(number, wire.Failed("limit-exceeded", message))
        with self._lock:
            stage0.write_all(self._sink, frame)


class Agent:
    """Answers requests; those about objects go to `everykernel.guest.requests`."""

    def __init__(self) -> None:
        from everykernel import load
        from everykernel.guest.requests import Requests
        from everykernel.load.system.local import Local

        self.facts = probes.facts(Local(), sys.version.split()[0])
        self._requests = Requests(load.kernel_btf(learnt=_learnt()))
        programs = Programs()
        self._own: dict[str, Callable[[Any], wire.Message]] = {
            wire.Hello.kind: self._hello,
            wire.Run.kind: system.run,
            wire.Start.kind: programs.start,
            wire.Follow.kind: programs.follow,
            wire.Push.kind: system.push,
            wire.Place.kind: system.place,
            wire.Room.kind: system.room,
            wire.Pull.kind: system.pull,
        }

    def warm(self) -> None:
        """Do beforehand what costs time, and is the same for every request."""
        self._requests.warm()
        rehearse(self.answer)
        gc.collect()
        gc.freeze()  # what is there now is never garbage: collections need not look at it

    def _hello(self, message: wire.Hello) -> wire.Message:
        system.greet(message)
        return self.facts

    def answer(self, message: wire.Request[Any]) -> wire.Message:
        """Return the reply to a request; whatever goes wrong is a reply too."""
        try:
            serve: Callable[[Any], wire.Message] = self._own.get(message.kind, self._requests.serve)
            return serve(message)
        except EverykernelError as e:
            return wire.Failed(e.code, e.message, e.where, "")
        except Exception as e:  # a defect of ours: the host shows the traceback
            return system.broke(e)


def _learnt() -> bytes:
    """Return what the host has found out about this kernel's BTF; nothing where it has not."""
    try:
        return pkgutil.get_data("everykernel.guest", LEARNT) or b""
    except OSError:
        return b""


def serve(descriptor: int) -> None:
    """Warm up, say that we are ready (message 0: `wire.Facts`, or `wire.Broke`), then serve for ever."""
    system.never_killed()
    port = Port(descriptor)
    agent: Optional[Agent] = None
    try:
        agent = Agent()
        agent.warm()
        scrub.scrub()
        ready: wire.Message = agent.facts
    except Exception as e:
        ready = system.broke(e)
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=read, args=(port, jobs), daemon=True).start()
    port.send(0, ready)
    while agent is not None:
        number, message = jobs.get()
        port.send(number, agent.answer(message), message.room)
    threading.Event().wait()


def read(port: Port, jobs: SimpleQueue[Job]) -> None:
    """Answer pings, and queue all else, for as long as the port can be read."""
    while True:
        number, message = port.receive()
        if isinstance(message, wire.Ping):
            port.send(number, wire.Done())
        else:
            jobs.put((number, message))


def main() -> None:
    """Serve on the virtio port; the entry of the zip when it is run by hand in a guest."""
    sys.stdout.flush()
    serve(stage0.open_port())
