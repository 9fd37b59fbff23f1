"""A way to a server that can be cut, or go silent, whenever a test wants it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class Relay:
    """Passes on what comes to a port of the loopback, to another one.

    Attributes:
        port: of the loopback.
        room: bytes to the server after which the way is cut; None: none.
    """

    def __init__(self, to: int) -> None:
        self.room: int | None = None
        self._to = to
        self._open = threading.Event()
        self._open.set()
        self._ends: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                self._open.wait()
                sink.sendall(data)
                if counted and self.room is not None:
                    self.room -= len(data)
                    if self.room <= 0:
                        self.cut()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def freeze(self) -> None:
        """Pass on nothing any more, and close nothing."""
        self._open.clear()

    def cut(self) -> None:
        """End every connection at once, as a cable that is pulled and a host that notices."""
        self.room = None
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends = []

    def close(self) -> None:
        """Cut, and listen no more."""
        self._listening.close()
        self._open.set()
        self.cut()
