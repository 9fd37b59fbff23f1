"""The server: reads, answers GET and HEAD, and only who asks for it by an address that no other site can have.

A page elsewhere could make its own name point at this machine (DNS rebinding) and then read what is served here: a
request must name an IP address, ``localhost``, or what the server was bound to.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from everykernel.errors import UsageError
from everykernel.report.files import listed, opened
from everykernel.report.folder import RESULTS
from everykernel.report.serving import pages
from everykernel.report.serving.runs import SELF, Runs

_LONGEST = 8192  # characters of an address
_CHUNK = 1 << 16
_PATIENCE = 30.0  # seconds that a client may be silent
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ATTEMPT = re.compile(r"attempt-\d+")  # the folder of an attempt before
_TYPES = {".txt": "text/plain", ".jsonl": "text/plain", ".json": "application/json"}


class Server(ThreadingHTTPServer):
    """The server of a folder of runs.

    Args:
        folder: the folder.
        bind: the address or name that it listens on.
        port: the port, 0 for any that is free.

    Raises OSError where it cannot listen.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, bind: str, port: int) -> None:
        self.runs = Runs(folder)
        self.bind = bind
        if ":" in bind:
            self.address_family = socket.AF_INET6
        super().__init__((bind, port), Handler)

    @property
    def url(self) -> str:
        """Where it is to be found."""
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"http://{host}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """Bind without asking who this host is by name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.bind, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Server
    timeout = _PATIENCE
    server_version = "everykernel"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with what an address names."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            try:
                self._answer()
            except ValueError:  # of a query with more fields than any of ours
                self._missing()
            except OSError as e:  # the folder is gone, say; a client that is gone is told nothing
                if isinstance(e, (ConnectionError, TimeoutError)):
                    raise
                text = f"The folder cannot be read: {e.strerror}."
                self._text(pages.wrong("Not to be had", text), HTTPStatus.INTERNAL_SERVER_ERROR)

    do_HEAD = do_GET  # noqa: N815 - named by http.server

    def _refused(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.close_connection = True
            self._text(pages.wrong("Not allowed", "This page is for reading."), HTTPStatus.METHOD_NOT_ALLOWED)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refused  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what clients ask for is no news."""

    def _answer(self) -> None:
        if not allowed(self.headers.get("Host", ""), self.server.bind):
            text = "Ask by the address that the server prints: this name is not its own."
            self._text(pages.wrong("Not here", text), HTTPStatus.MISDIRECTED_REQUEST)
            return
        path, _, query = self.path.partition("?")
        if len(self.path) > _LONGEST or not path.startswith("/"):
            self._missing()
            return
        parts = [unquote(part) for part in path.strip("/").split("/")]
        runs = self.server.runs
        if parts == [""]:
            self._text(pages.listed(str(runs.folder), runs.all()))
        elif parts == ["history"]:
            self._text(pages.past(runs.all()))
        elif parts == ["cell"]:
            asked = parse_qs(query, keep_blank_values=True, max_num_fields=8)
            row, column = (asked.get(name, [""])[0] for name in ("row", "kernel"))
            self._text(pages.one(runs.all(), row, column))
        elif parts == ["favicon.ico"]:
            self._head(HTTPStatus.NO_CONTENT, "image/x-icon", 0)
        elif parts[0] == "this" and (folder := runs.folders().get(SELF)) is not None:
            self._of_run("/this", SELF, folder, parts[1:], self._slash)
        elif (
            len(parts) >= 2
            and parts[0] == "run"
            and parts[1] != SELF
            and (folder := runs.folders().get(parts[1])) is not None
        ):
            self._of_run(f"/run/{pages.address(parts[1])}", parts[1], folder, parts[2:], self._slash)
        else:
            self._missing()

    @property
    def _slash(self) -> bool:
        return self.path.partition("?")[0].endswith("/")

    def _of_run(self, address: str, name: str, folder: Path, rest: list[str], slash: bool) -> None:
        if not rest and not slash:
            self._head(HTTPStatus.MOVED_PERMANENTLY, "text/plain", 0, Location=f"{address}/")
        elif not rest or rest == ["index.html"]:
            try:
                self._text(self.server.runs.page(name, folder))
            except UsageError as e:
                self._text(pages.wrong("This run cannot be shown", str(e)), HTTPStatus.UNPROCESSABLE_ENTITY)
        elif rest == [RESULTS] or (rest[0] == "cells" and len(rest) in (4, 5) and rest[-1]):
            self._file(folder, rest)
        elif rest[0] == "cells" and len(rest) in (3, 4) and slash:
            self._folder(folder, rest)
        else:
            self._missing()

    def _file(self, folder: Path, rest: list[str]) -> None:
        kind = _TYPES.get(Path(rest[-1]).suffix)
        try:
            if kind is None or any("/" in part for part in rest):
                raise FileNotFoundError
            file = os.fdopen(opened(folder, "/".join(rest)), "rb")
        except OSError:
            self._missing()
            return
        with file:
            left = os.fstat(file.fileno()).st_size
            self._head(HTTPStatus.OK, f"{kind}; charset=utf-8", left)
            while self.command != "HEAD" and left and (data := file.read(min(left, _CHUNK))):
                self.wfile.write(data)
                left -= len(data)

    def _folder(self, folder: Path, rest: list[str]) -> None:
        """Name the files of a cell that can be read here."""
        try:
            if any("/" in part for part in rest):
                raise FileNotFoundError
            every = listed(folder, "/".join(rest))
            names = [name for name in every if Path(name).suffix in _TYPES]
            names += [f"{name}/" for name in every if _ATTEMPT.fullmatch(name)]
        except OSError:
            self._missing()
        else:
            self._text(pages.files(" on ".join(rest[1:]), names))

    def _missing(self) -> None:
        self._text(pages.wrong("Not found", "There is nothing at this address."), HTTPStatus.NOT_FOUND)

    def _text(self, text: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        data = text.encode("utf-8", errors="backslashreplace")
        self._head(status, "text/html; charset=utf-8", len(data))
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, kind: str, length: int, **more: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **_HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()


def allowed(host: str, bind: str) -> bool:
    """Return whether a request's Host is an IP address, ``localhost``, or what the server was bound to."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    name = name.removeprefix("[").removesuffix("]").lower().rstrip(".")
    if name in ("localhost", bind.lower()):
        return True
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False
