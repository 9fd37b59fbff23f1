"""One agent on a target: begun, spoken with, ended, and its folder gone."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import threading
import time
from typing import Any

import paramiko

from everykernel import wire
from everykernel.errors import DiskFull, EverykernelError, FolderRefused, GuestLost, HarnessError, TargetError
from everykernel.machine import console
from everykernel.machine.channel import Channel, DeadlinePassed
from everykernel.machine.line import Line
from everykernel.machine.ssh.connection import BROKEN, Connection
from everykernel.machine.ssh.console import Console
from everykernel.machine.ssh.luggage import Luggage
from everykernel.machine.ssh.target import Target, Terms

READY = wire.Hello(0, b"")  # what the agent's first message, number 0, would answer
_SAID = 64 << 10  # bytes of an agent's standard error that are kept, the last ones
_LAST_WORDS = 10.0  # seconds in which a console tells why its kernel is gone
_BEAT = 4  # beats in the time after which an agent gives up
_REFUSED = dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR), FolderRefused)
_FOLDER = re.compile(r"^/[\w./+-]{0,200}/everykernel-[0-9a-f]{16}$", re.ASCII)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Session(Line):
    """A line to an agent on a target.

    Args:
        connection: to the target.
        target: the target.
        terms: of the run.
        brought: what is brought there, and runs.
        screen: its console, None where there is none.

    Raises TargetError for what the target does not have, GuestLost where it goes away.
    """

    def __init__(
        self, connection: Connection, target: Target, terms: Terms, brought: Luggage, screen: Console | None
    ) -> None:
        self.where = target.spec
        self.folder = ""
        self._connection = connection
        self._terms = terms
        self._screen = screen
        self._from = screen.now if screen is not None else 0
        self._said = bytearray()
        self._closed = threading.Event()
        self._hangs = False
        self._whole = threading.Lock()  # of a frame
        self._agent = self._start(brought.command)
        try:
            self._push(brought)
        except BaseException:
            self._agent.close()
            raise
        ours, self._theirs = socket.socketpair()
        self.channel = Channel(ours)
        works = (self._from_agent, self._to_agent, self._listen, *([self._beat] if brought.beats else []))
        for work in works:
            threading.Thread(target=work, name="everykernel-ssh", daemon=True).start()

    # --- its beginning

    def _start(self, command: str) -> paramiko.Channel:
        """Run the bootstrap; learn where its folder is."""
        patience = self._terms.timeout
        with self._cut("the agent was started"):
            channel = self._connection.transport.open_session(timeout=patience)
            channel.settimeout(patience)
            channel.exec_command(command)
            line = bytearray()
            while not line.endswith(b"\n") and len(line) < 4096:
                data = channel.recv(1)
                if not data:
                    break
                line += data
        try:
            told = json.loads(line)
            if isinstance(told.get("folder"), str) and _FOLDER.search(told["folder"]):
                self.folder = told["folder"]
                return channel
            raise self._no_folder(int(told["errno"]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            pass
        said = self._complaint(channel, line)
        channel.close()
        if not self._connection.alive:
            raise GuestLost("the connection was cut while the agent was started", where=self.where)
        raise TargetError(f"its agent does not start: {said or 'it says nothing'}", where=self.where)

    def _no_folder(self, number: int) -> TargetError:
        kind = DiskFull if number in _FULL else _REFUSED.get(number, TargetError)
        text = f"no folder for the agent can be made: {os.strerror(number).lower()}"
        remedy = 'make room, or name another place: folder = "/dev/shm" for this target in pyproject.toml'
        return kind(text, where=self.where, remedy=remedy)

    def _complaint(self, channel: paramiko.Channel, line: bytearray) -> str:
        """Return what the target says on standard error of a program that did not start."""
        with contextlib.suppress(OSError):
            channel.settimeout(1)
            return console.one_line((channel.recv_stderr(4096) or bytes(line)).decode(errors="replace"))
        return console.one_line(line.decode(errors="replace"))

    def _push(self, brought: Luggage) -> None:
        """Bring it there, and say that it is."""
        sftp = self._connection.sftp(self._terms.patience)
        try:
            with sftp.open(f"{self.folder}/{brought.name}", "wb") as file:
                file.set_pipelined(True)
                file.write(brought.data)
        except BROKEN as e:
            if not self._connection.alive or isinstance(e, EOFError | TimeoutError):
                raise GuestLost("the connection was cut while the agent was brought there", where=self.where) from e
            text = f"the agent cannot be written to {self.folder}: {console.one_line(str(e)).lower()}"
            raise DiskFull(text, where=self.where, remedy="make room, or name another folder in pyproject.toml") from e
        with self._cut("the agent was started"):
            self._agent.sendall(b"\n")

    def greet(self) -> wire.Facts:
        """Return what our agent says first; it is not there any more where that is nothing."""
        try:
            return self._greeting()
        except BaseException:
            self.close()
            raise

    def _greeting(self) -> wire.Facts:
        deadline = time.monotonic() + self._terms.timeout
        try:
            _, ready = self.receive(deadline, {0: READY})
        except DeadlinePassed as e:
            raise GuestLost(f"the agent was not ready within {self._terms.timeout:g} s", where=self.where) from e
        if isinstance(ready, wire.Facts):
            return ready
        raise HarnessError(f"the agent does not start: {ready.message}\n{ready.trace}", where=self.where)

    @contextlib.contextmanager
    def _cut(self, doing: str) -> Any:
        try:
            yield
        except TimeoutError as e:
            text = f"no answer within {self._terms.timeout:g} s while {doing}"
            raise GuestLost(text, where=self.where) from e
        except BROKEN as e:
            raise GuestLost(f"the connection was cut while {doing}", where=self.where) from e

    # --- threads, between the channel and its frames

    def _from_agent(self) -> None:
        self._agent.settimeout(None)
        with contextlib.suppress(*BROKEN):
            while data := self._agent.recv(1 << 16):
                self._theirs.sendall(data)
        with contextlib.suppress(OSError):
            self._theirs.shutdown(socket.SHUT_WR)

    def _to_agent(self) -> None:
        with contextlib.suppress(*BROKEN):
            while data := self._theirs.recv(1 << 16):
                self._agent.sendall(data)
        with contextlib.suppress(*BROKEN):
            self._agent.shutdown_write()

    def _listen(self) -> None:
        """Keep the end of what the agent, and what it runs, says on standard error."""
        with contextlib.suppress(*BROKEN):
            while data := self._agent.recv_stderr(1 << 14):
                self._said += data
                del self._said[:-_SAID]

    def _beat(self) -> None:
        """Say every now and then that we are there: a frame without anything, between the others."""
        nothing = wire.HEADER.pack(0, 0)
        while not self._closed.wait(self._terms.silence / _BEAT):
            with contextlib.suppress(EverykernelError, DeadlinePassed):
                self.send_frame(nothing, time.monotonic() + self._terms.silence)

    def send_frame(self, frame: bytes, deadline: float) -> None:
        """Send one frame whole: requests and beats come from several threads."""
        with self._whole:
            super().send_frame(frame, deadline)

    # --- what became of it

    def death(self) -> EverykernelError:
        """Return what ended it: its kernel, the connection, or the agent itself."""
        if (said := self._epitaph()) is not None:
            return said
        if not self._connection.alive:
            text, remedy = "the connection was lost", ""
        else:
            text, remedy = f"the agent ended{self._exit()}", "report it, unless the object took it over"
        words = self._words()
        last = f": {console.one_line(words.splitlines()[-1])}" if words else ""
        seen = "\n".join(filter(None, (console.tail(self.console()), words)))
        return GuestLost(text + last, console=seen, where=self.where, remedy=remedy)

    def _epitaph(self) -> EverykernelError | None:
        """Return what the console says of its kernel's end, once it had time to."""
        deadline = time.monotonic() + (_LAST_WORDS if self._screen is not None else 0)
        while True:
            found = console.death(self.console(), self.where)
            if found is not None or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _exit(self) -> str:
        code = self._agent.recv_exit_status() if self._agent.exit_status_ready() else -1
        return f" with code {code}" if code >= 0 else ""

    def _words(self) -> str:
        return bytes(self._said).decode(errors="replace").strip()

    def console(self) -> str:
        """Return what the target's console printed since this began, "" where it has none."""
        return self._screen.since(self._from) if self._screen is not None else ""

    def flooded(self) -> GuestLost | None:
        """Return None: of a console only its end is kept."""
        return None

    def interrogate(self) -> None:
        """Take note that it hangs; it is not ours to reset."""
        self._hangs = True

    def kill(self) -> None:
        """End it at once for whoever waits for it: the agent finds its input at its end, and leaves."""
        with contextlib.suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Have the agent leave, and wait for it as long as a step may take."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.kill()
        with contextlib.suppress(*BROKEN):
            self._agent.shutdown_write()
            if self._connection.alive and not self._hangs:
                self._agent.status_event.wait(self._terms.patience)
            self._agent.close()
        self.channel.close()
        self._theirs.close()

    def left(self) -> str:
        """Return what is still there of the agent's folder after its end: a line, "" for nothing or nobody knows."""
        if not self._connection.alive or not self.folder:
            return ""
        try:
            self._connection.sftp(self._terms.patience).stat(self.folder)
        except FileNotFoundError:
            return ""
        except (TargetError, *BROKEN) as e:
            return f"whether {self.folder} is gone is not known: {e}"
        return f"{self.folder} is still there: remove it"
