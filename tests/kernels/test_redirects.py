"""A server may send elsewhere, but not off HTTPS: what came is recorded as vouched for by it."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from everykernel.errors import DownloadError
from everykernel.kernels import download
from everykernel.kernels.download import Downloader

from .archive import Server
from .test_download import DATA, SHA


@pytest.fixture
def secure(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a server that speaks HTTPS, whose certificate is taken for good, and sends everybody to `server`."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    argv = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*argv, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(download, "_certificates", lambda: trusting)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{server.url}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield f"https://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize("there_and_back", [False, True])
def test_a_redirect_that_leaves_https_is_refused(
    server: Server, secure: str, tmp_path: Path, there_and_back: bool
) -> None:
    """What came over HTTPS is recorded as such: no part of its way may be plain HTTP, though the last one be secure."""
    server.files["/f"] = DATA
    if there_and_back:
        server.redirects["/f"] = f"{secure}/g"
    downloader = Downloader()
    try:
        with pytest.raises(DownloadError) as caught:
            downloader.file(f"{secure}/f", tmp_path / "f", sha256=SHA, size=len(DATA))
    finally:
        downloader.close()
    assert str(caught.value) == f"{server.url}/f: plain HTTP, where HTTPS is required"
    assert [path.name for path in tmp_path.iterdir() if path.is_file() and path.suffix != ".pem"] == []
