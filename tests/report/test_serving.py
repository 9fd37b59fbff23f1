"""The local page over a folder of runs: what it shows, and whom and what it does not serve."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from tests.report import made

from everykernel import cli
from everykernel.report.serving.server import Server, allowed

HOSTILE = "</td><script>alert(1)</script>\u202e"


def write(folder: Path, started: str, **change: Any) -> None:
    """Write the results of a run of two objects on three kernels; ``change`` is made to its first cell."""
    results: Any = made.results(2, 3)
    results["run"]["started"] = started
    results["results"][0].update(change)
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs: two good ones, one that is damaged, and things that are none."""
    folder = tmp_path / "runs"
    write(folder / "a b", "2026-11-28T10:00:00+00:00")
    refused = {"outcome": "failed", "stage": "load", "code": "verifier-rejected", "message": HOSTILE}
    write(folder / "second", "2026-11-29T10:00:00+00:00", **refused, evidence="cells/x/y")
    own = folder / "second" / "cells" / "x" / "y"
    own.mkdir(parents=True)
    (own / "console.txt").write_text("<b>console</b>\n")
    (own / "page.html").write_text("<script>alert(1)</script>")
    (tmp_path / "secret.txt").write_text("secret")
    (own / "attempt-1").mkdir()
    (own / "attempt-1" / "console.txt").write_text("the first")
    (own / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "results.json").write_text('{"schema": "everykernel/1", "results": [7]}')
    write(tmp_path / "outside", "2026-11-30T10:00:00+00:00")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "half").mkdir()
    (folder / "half" / "results.json").symlink_to(tmp_path / "outside" / "results.json")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def server(runs: Path) -> Iterator[Server]:
    """A server of them."""
    with Server(runs, "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(server: Server, path: str, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, str]:
    """Return an answer and its text."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def test_the_list_of_runs(server: Server) -> None:
    """Every folder with results is a run, the newest first; one that cannot be shown says so; no link is followed."""
    answer, text = ask(server, "/")
    assert answer.status == 200
    assert re.findall('href="/run/([^"]*)/"', text) == ["second", "a%20b", "damaged"]
    assert "6 cells: 5 passed, 1 failed" in text
    assert "2026-11-29 10:00:00 UTC" in text
    assert re.search(r"damaged.*<td colspan=\"4\" class=\"bad\">", text, re.DOTALL)


def test_the_history(server: Server) -> None:
    """Each object has, for every kernel, what it was in each run, and stands out where the last run differs."""
    _, text = ask(server, "/history")
    cells = re.findall(
        r'<a class="(\w*)" href="(/cell[^"]*)".*?>(?:<i class="(\w)"[^>]*>✓</i>)(?:<i class="(\w)"[^>]*>✓</i>)', text
    )
    assert len(cells) == 6
    assert cells[0] == ("p", "/cell?row=tools%2Fasnoop_000.bpf.o&amp;kernel=5.10", "p", "p")
    assert {cell[0] for cell in cells[1:]} == {""}
    _, text = ask(server, "/cell?row=tools%2Fasnoop_000.bpf.o&kernel=5.10")
    assert text.index("/run/second/#row=tools%2Fasnoop_000.bpf.o&amp;kernel=5.10") < text.index("/run/a%20b/#row=")
    assert "verifier-rejected" in text
    assert "<script>" not in text
    assert "\u202e" not in text
    assert "No run has this cell." in ask(server, "/cell?row=x&kernel=y")[1]


def test_a_run_and_its_evidence(server: Server) -> None:
    """A run's page is the one that is written into its folder; its cells' texts are served as texts."""
    answer, text = ask(server, "/run/second/")
    assert answer.status == 200
    assert 'id="row1"' in text
    assert ask(server, "/run/a%20b")[0].getheader("Location") == "/run/a%20b/"
    answer, text = ask(server, "/run/second/cells/x/y/console.txt")
    assert (answer.status, text) == (200, "<b>console</b>\n")
    assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    _, text = ask(server, "/run/second/cells/x/y/")
    assert re.findall('<li><a href="(\\w[^"]*)"', text) == ["console.txt", "link.txt", "attempt-1/"]
    assert ask(server, "/run/second/cells/x/y/attempt-1/console.txt")[1] == "the first"
    assert json.loads(ask(server, "/run/second/results.json")[1])["schema"] == "everykernel/1"
    assert ask(server, "/run/damaged/")[0].status == 422
    assert ask(server, "/favicon.ico")[0].status == 204


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/run/",
        "/run/../",
        "/run/%2e%2e/",
        "/run/..%2f..%2fetc/",
        "/run/linked/",
        "/run/half/",
        "/run/empty/",
        "/run/second/cells/x/y/link.txt",
        "/run/second/cells/x/y/page.html",
        "/run/second/cells/x/y/../../../../../secret.txt",
        "/run/second/cells/x/..%2f..%2f..%2fsecret.txt/console.txt",
        "/run/second/cells/x/%2e%2e/console.txt",
        "/run/second/cells/x/y/%00.txt",
        "/run/second/cells//",
        "/run/second/cells/x/",
        "/run/second/cells/x/y/no.txt",
        "http://127.0.0.1/",
        "*",
        "/cell?" + "a=b&" * 99,
        "//[",
        "/run/second/secret.txt",
        "//etc/passwd",
        "/run/second//etc/passwd",
        "/" + "a" * 9000,
        "/run/second/cells/x/y/z/console.txt",
        "/run/second/cells/x/y/z/a/console.txt",
    ],
)
def test_addresses_lead_nowhere_else(server: Server, path: str) -> None:
    """Only what a run of the folder holds is served, by whatever way an address goes."""
    answer, text = ask(server, path)
    assert answer.status == 404
    assert "secret" not in text.replace("secret.txt", "")


def test_it_is_for_reading(server: Server, runs: Path) -> None:
    """What is not GET or HEAD is refused, HEAD has no body, and no file is changed or made."""
    before = sorted(runs.rglob("*"))
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(server, "/", method)[0].status == 405
    answer, text = ask(server, "/", "HEAD")
    assert (answer.status, text) == (200, "")
    assert int(answer.getheader("Content-Length") or 0) > 1000
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "", "a@b"]
)
def test_other_names_are_refused(server: Server, host: str) -> None:
    """A page elsewhere that makes its own name point here gets nothing."""
    answer, text = ask(server, "/", host=host or " ")
    assert answer.status == 421
    assert "second" not in text


def test_names_of_its_own() -> None:
    """IP addresses, localhost and what it was bound to are the server's own, with a port and without."""
    for host in (
        "127.0.0.1",
        "127.0.0.1:80",
        "localhost:1",
        "LOCALHOST",
        "[::1]:8080",
        "[::1]",
        "192.168.1.7:99",
        "box:80",
    ):
        assert allowed(host, "box")
    assert not allowed("box.evil.example", "box")


def test_a_run_that_grows_is_read_again(server: Server, runs: Path) -> None:
    """What a run that goes on has written since is shown when it is asked for."""
    assert "6 cells" in ask(server, "/")[1]
    results: Any = made.results(3, 3)
    (runs / "second" / "results.json").write_text(json.dumps(results))
    assert "9 cells" in ask(server, "/")[1]
    assert 'id="row2"' in ask(server, "/run/second/")[1]


def test_a_folder_that_is_a_run_itself(tmp_path: Path) -> None:
    """The report folder of one run can be served as it is."""
    write(tmp_path / "one", "2026-11-29T10:00:00+00:00")
    with Server(tmp_path / "one", "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        found = [ask(server, path)[1] for path in ("/", "/this/", "/run/./")]
        moved = ask(server, "/this")[0].getheader("Location")
        server.shutdown()
    assert 'href="/this/"' in found[0]
    assert 'id="row0"' in found[1]
    assert "Not found" in found[2]
    assert moved == "/this/"


def test_the_command(runs: Path) -> None:
    """It prints where it is to be found, and ends at Ctrl-C without a word too much."""
    argv = [sys.executable, "-m", "everykernel", "report", "serve", str(runs), "--port", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        url = command.stdout.readline().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", url)
        assert found is not None
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=10):
            pass
        command.send_signal(signal.SIGINT)
        out, error = command.communicate(timeout=10)
    assert (command.returncode, out, error) == (0, "", "everykernel: stopped\n")


def test_a_port_that_is_taken(server: Server, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it cannot listen, it says why and what to do."""
    assert cli.main(["report", "serve", str(runs), "--port", str(server.server_port)]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"everykernel: serve: cannot listen on 127.0.0.1, port {server.server_port}: Address already in use "
        "[another --port]\n"
    )
