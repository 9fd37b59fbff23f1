"""The line to a program: it is greeted, then each request has one answer, by a deadline."""

from __future__ import annotations

import secrets
import time

from everykernel.errors import EverykernelError, GuestLost
from everykernel.remote import gate
from everykernel.remote.batch import Batch, Order
from everykernel.remote.stream import DeadlinePassed, Stream, StreamClosed

_NOISE = 64 << 10  # bytes that may come before the greeting: what a login says
_MOST = 512 << 20  # bytes of all answers by one deadline: a kernel's BTF and symbols have some 20 MB
PATIENCE = 60.0  # seconds for an answer, where nobody sets another deadline


class Line:
    """Requests and answers over a stream.

    Args:
        stream: bytes to and from the program.
        where: what errors name.

    Attributes:
        doing: what is being asked for, in words, for who waits in vain.
        end: what ended it: everything that is asked from then on raises it again.
        exchanges: how many requests were answered.
    """

    def __init__(self, stream: Stream, where: str) -> None:
        self._stream = stream
        self.where = where
        self._deadline: float | None = None
        self._heard = 0
        self.end: EverykernelError | None = None
        self.exchanges = 0
        self.doing = ""

    @property
    def deadline(self) -> float | None:
        """When answers have to be there, in `time.monotonic` seconds; None: each has `PATIENCE`."""
        return self._deadline

    @deadline.setter
    def deadline(self, value: float | None) -> None:
        self._deadline, self._heard = value, 0

    def greet(self) -> gate.Hello:
        """Return what the program says of its machine, whatever a login says before it; raise GuestLost for none."""
        try:
            deadline = self._until()
            self._stream.send(gate.MAGIC, deadline)
            seen = self._stream.take(len(gate.MAGIC), deadline)
            for _ in range(_NOISE):
                if seen == gate.MAGIC:
                    break
                seen = seen[1:] + self._stream.take(1, deadline)
            return gate.hello(seen + self._stream.take(gate.HELLO - len(seen), deadline))
        except (gate.Odd, StreamClosed, DeadlinePassed) as e:
            raise self._ended(e) from e

    def exchange(self, batch: Batch, order: Order) -> list[int]:
        """Have steps done and return their results, what the machine wrote in the batch's buffers.

        Raises GuestLost where the program does not answer as it should, or not by the deadline.
        """
        if self.end is not None:
            raise self.end
        number = secrets.randbits(63)
        try:
            deadline = self._until()
            self._stream.send(batch.frame(number), deadline)
            head = self._stream.take(gate.HEAD, deadline)
            body = self._stream.take(self._counted(gate.length(head, order, batch), deadline), deadline)
            self.exchanges += 1
            return gate.answer(head, body, order, batch, number)
        except (gate.Odd, StreamClosed, DeadlinePassed) as e:
            raise self._ended(e) from e

    def _counted(self, size: int, deadline: float) -> int:
        """Return the size of an answer; raise where those by one deadline are too many, or go on beyond it."""
        self._heard += size
        if self._heard > _MOST:
            raise gate.Odd(f"more than {_MOST >> 20} MiB of answers")
        if time.monotonic() > deadline:
            raise DeadlinePassed
        return size

    def _until(self) -> float:
        return time.monotonic() + PATIENCE if self._deadline is None else self._deadline

    def _ended(self, error: Exception) -> EverykernelError:
        if isinstance(error, DeadlinePassed):
            message = f"no answer in time{f' to {self.doing}' if self.doing else ''}"
        elif isinstance(error, StreamClosed):
            message = "the program closed its stream"
        else:
            message = f"the program's stream is broken: {error}"
        self.end = GuestLost(message, where=self.where)
        self.end.__cause__ = error
        return self.end
