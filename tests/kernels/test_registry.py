"""A registry that gives nothing without a token gives it to anybody who asks where it says."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from everykernel.errors import DownloadError, UsageError
from everykernel.kernels.download import Downloader
from everykernel.kernels.formats import oci
from everykernel.kernels.registry import Reference, Registry

BLOB = b"a layer" * 1000
MANIFEST = json.dumps(
    {"layers": [{"digest": f"sha256:{hashlib.sha256(BLOB).hexdigest()}", "size": len(BLOB), "mediaType": "x"}]}
).encode()


class Handler(BaseHTTPRequestHandler):
    challenge = 'Bearer realm="http://{host}/token",service="here",scope="repository:a/b:pull"'

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        host = self.headers["Host"]
        given = self.headers.get("Authorization")
        if path == "/token":
            assert "service=here" in query
            assert "scope=repository%3Aa%2Fb%3Apull" in query
            self.answer(200, b'{"token": "t"}')
        elif path.startswith("/cdn/"):
            self.answer(200 if given is None else 400, BLOB)
        elif given != "Bearer t":
            self.answer(401, b"", {"WWW-Authenticate": self.challenge.format(host=host)})
        elif path == "/v2/a/b/manifests/1":
            self.answer(200, MANIFEST)
        else:
            other = host.replace("127.0.0.1", "localhost")
            self.answer(307, b"", {"Location": f"http://{other}/cdn/blob"})

    def answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        downloader = Downloader()
        yield Registry(f"http://127.0.0.1:{server.server_port}/v2/a/b", downloader)
        downloader.close()
        server.shutdown()


def test_an_anonymous_token(registry: Registry) -> None:
    """The token is asked for once, and is not told to the server that a blob's redirect leads to."""
    (layer,) = oci.find(registry, "1", "amd64").layers
    assert registry.blob(layer).read_bytes() == BLOB


def test_a_registry_that_wants_a_password(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says so, and what to do."""
    monkeypatch.setattr(Handler, "challenge", 'Basic realm="x"')
    with pytest.raises(DownloadError, match=r"wants a name and a password \[only images that anybody may have"):
        oci.find(registry, "1", "amd64")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ghcr.io/cilium/ci-kernels:6.6", ("ghcr.io", "cilium/ci-kernels", "6.6")),
        ("localhost/a", ("localhost", "a", "latest")),
        (f"127.0.0.1:5000/a/b:1@sha256:{'a' * 64}", ("127.0.0.1:5000", "a/b", f"sha256:{'a' * 64}")),
    ],
)
def test_references(text: str, read: tuple[str, str, str]) -> None:
    """A digest counts before a tag."""
    found = Reference.read(text)
    assert (found.host, found.name, found.version) == read


@pytest.mark.parametrize(
    "text", ["kernels", "cilium/ci-kernels:6.6", "ghcr.io/A", "ghcr.io/a@sha256:1", "ghcr.io/../a"]
)
def test_what_is_no_reference(text: str) -> None:
    """A registry has to be named."""
    with pytest.raises(UsageError, match="is no image's name"):
        Reference.read(text)
