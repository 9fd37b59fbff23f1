"""The line to an agent, whatever machine it runs on: numbered requests, answers through the gate, and how it ended."""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from everykernel import wire
from everykernel.errors import EverykernelError, GuestLost
from everykernel.machine import console, gate
from everykernel.machine.channel import Channel, ChannelClosed, DeadlinePassed

Asked = Mapping[int, wire.Request[Any]]  # requests without an answer so far, by number
Heard = TypeVar("Heard")


def draw() -> int:
    """Return the number of a new request: what a guest cannot guess, it cannot answer before it is asked."""
    return secrets.randbits(62)


class Line(ABC):
    """A line to an agent.

    Attributes:
        where: what errors name.
        channel: its frames.
    """

    where: str
    channel: Channel

    @abstractmethod
    def death(self) -> EverykernelError:
        """Return the error that says how this machine, whose channel closed, ended."""

    @abstractmethod
    def console(self) -> str:
        """Return the console so far, "" where there is none."""

    @abstractmethod
    def flooded(self) -> GuestLost | None:
        """Return the error of a machine whose console is full: what it printed after that, nobody knows."""

    @abstractmethod
    def interrogate(self) -> None:
        """Have a hung kernel print where it is, if there is a way."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once; whoever waits for it finds that out. `close` is still to be called."""

    @abstractmethod
    def close(self) -> None:
        """End it at once; the console can still be read."""

    def receive(self, deadline: float, asked: Asked) -> tuple[int, Any]:
        """Return number and message of the next answer, to one of the requests ``asked``.

        Raises DeadlinePassed, the `death` of a guest that ended, and GuestLost for what is no answer to them.
        """
        room = max(request.room for request in asked.values())
        return self.heard(lambda: gate.admit(*self.channel.receive(deadline, wire.TEXT_LIMIT, room), asked))

    def heard(self, hear: Callable[[], Heard]) -> Heard:
        """Return what ``hear`` returns; its errors name the machine, and have its console."""
        try:
            return hear()
        except ChannelClosed as e:
            raise self.death() from e
        except GuestLost as e:
            raise GuestLost(e.message, console=console.tail(self.console()), where=self.where) from e

    def send(self, number: int, message: wire.Request[Any], deadline: float) -> None:
        """Send one message."""
        self.send_frame(wire.encode(number, message), deadline)

    def send_frame(self, frame: bytes, deadline: float) -> None:
        """Send one frame; a guest that ended raises its `death`."""
        try:
            self.channel.send(frame, deadline)
        except ChannelClosed as e:
            raise self.death() from e

    def answers_ping(self, patience: float, asked: Asked) -> bool:
        """Return whether the agent answers a ping within ``patience`` seconds; a dead guest raises its `death`.

        The answer to a request ``asked`` before may come too.
        """
        deadline = time.monotonic() + patience
        number = draw()
        asked = {**asked, number: wire.Ping()}
        try:
            self.send(number, asked[number], deadline)
            while number in asked:
                answered, _ = self.receive(deadline, asked)
                del asked[answered]
        except DeadlinePassed:
            return False
        return True
