"""A tiny Debian archive, written by the test and served by a local HTTP server that can misbehave on request."""

from __future__ import annotations

import functools
import hashlib
import io
import lzma
import struct
import tarfile
import threading
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import zstandard

from everykernel.kernels.catalogue import Catalogue, Series
from everykernel.kernels.debian import Archive
from everykernel.kernels.mirror import Mirror
from everykernel.kernels.trust import Trust

DATE = 1_700_000_000.0  # seconds since the epoch: when the archive was written, if a test says nothing else
BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 16, 16, 5) + struct.pack("<IIII", 1, 1 << 24, 4, 32) + b"\0int\0"


def bzimage(release: str, payload: bytes, *, wide: bool = True) -> bytes:
    """Return an image with the header that Linux's boot protocol 2.15 has (Documentation/arch/x86/boot.rst)."""
    setup = bytearray(1024)
    setup[0x1F1] = 1  # setup_sects
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, 0x020F)
    struct.pack_into("<H", setup, 0x20E, 0x100)  # the version string is at 0x300
    struct.pack_into("<H", setup, 0x236, 1 if wide else 0)
    struct.pack_into("<II", setup, 0x248, 16, len(payload))
    text = f"{release} (builder@example) #1 SMP\0".encode()
    setup[0x300 : 0x300 + len(text)] = text
    return bytes(setup) + bytes(16) + payload


@functools.cache
def kernel_image(release: str, *, btf: bool = True, wide: bool = True) -> bytes:
    """Return an image whose kernel is some bytes with or without BTF among them."""
    return bzimage(
        release, lzma.compress(b"\x7fELF" + bytes(500) + (BTF if btf else b"") + bytes(100), preset=0), wide=wide
    )


def deb(files: dict[str, bytes], *, compression: str = "xz", links: dict[str, str] | None = None) -> bytes:
    """Return a package with these files (deb(5): an ar archive of two tar archives)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    plain = data.getvalue()
    packed = plain if not compression else lzma.compress(plain, preset=0)
    if compression == "zst":
        packed = zstandard.ZstdCompressor().compress(plain)
    suffix = f".{compression}" if compression else ""
    return ar({"debian-binary": b"2.0\n", "control.tar.xz": lzma.compress(b""), f"data.tar{suffix}": packed})


def ar(members: dict[str, bytes]) -> bytes:
    """Return an ar archive (ar(5))."""
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" if len(content) % 2 else b""
    return out


@functools.cache
def kernel_deb(release: str, *, btf: bool = True, modules: bool = True, wide: bool = True) -> bytes:
    """Return a package in the layout that Debian had up to 6.18."""
    files = {f"./boot/vmlinuz-{release}": kernel_image(release, btf=btf, wide=wide)}
    files |= {f"./boot/config-{release}": b"CONFIG_BPF=y\n"}
    if modules:
        files[f"./lib/modules/{release}/kernel/a.ko"] = b"a module"
        files[f"./lib/modules/{release}/modules.order"] = b"kernel/a.ko\n"
    return deb(files)


@dataclass
class Server:
    """A local HTTP server with ranges.

    Attributes:
        files: what it serves, by path.
        asked: the path and Range header of each request, in order.
        break_after: paths at which it breaks off once, after so many bytes.
        status: paths that it answers with another status.
        redirects: paths that it sends elsewhere.
        codes: the status of those, where it is not 302.
        lengths: whether it says how long its answers are; else they end with the connection.
        tags: ETags, by path; a range of another is answered with all of it.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    break_after: dict[str, int] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    lengths: bool = True
    tags: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def __enter__(self) -> Server:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is what some tests are about."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Be gone from the network."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        wanted = request.headers.get("Range", "")
        self.asked.append((path, wanted))
        if path in self.redirects:
            request.send_response(self.codes.get(path, 302))
            request.send_header("Location", self.redirects[path])
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        data = self.files.get(path)
        status = self.status.get(path, 200 if data is not None else 404)
        if status != 200 or data is None:
            request.send_response(status)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        same = request.headers.get("If-Range", self.tags.get(path)) == self.tags.get(path)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges and same else 0
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if path in self.tags:
            request.send_header("ETag", self.tags[path])
        body = data[start:]
        if self.lengths:
            request.send_header("Content-Length", str(len(body)))
        else:
            request.send_header("Connection", "close")
            request.close_connection = True
        request.end_headers()
        limit = self.break_after.pop(path, None)
        request.wfile.write(body if limit is None else body[:limit])
        if limit is not None:
            request.close_connection = True

    def paths(self) -> list[str]:
        """Return the paths that were asked for, and forget them."""
        found = [path for path, _ in self.asked]
        self.asked.clear()
        return found


class TestTrust(Trust):
    """Takes any clear-signed text for signed: real signatures are checked in test_trust.py."""

    __test__ = False

    @property
    def complete(self) -> bool:
        return True

    def _checked(self, data: bytes, where: str) -> tuple[bytes, str]:
        from everykernel.kernels.trust import _unchecked

        return _unchecked(data), ""


@dataclass
class TinyArchive:
    """Packages by suite, published on a server as mirror or as archive server."""

    server: Server
    packages: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # stanzas by (suite, architecture)

    def add(
        self, suite: str, name: str, version: str, data: bytes, *, arch: str = "amd64", depends: str = "", top: str = ""
    ) -> str:
        """Add a package to a suite; return the URL path of its file."""
        filename = f"pool/main/l/linux/{name}_{version}_{arch}.deb"
        stanza = f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n"
        stanza += f"Depends: {depends}\n" if depends else ""
        stanza += f"Filename: {filename}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        self.packages.setdefault((suite, arch), []).append(stanza)
        path = f"{top}{self.base(suite)}/{filename}"
        self.server.files[path] = data
        return path

    @staticmethod
    def base(suite: str) -> str:
        return "/debian-security" if suite.endswith("-security") else "/debian"

    def publish(self, *, top: str = "", date: float = DATE, until: float | None = None, codename: str = "") -> None:
        """Write the indexes of all suites.

        Args:
            top: ``/archive`` for the archive server.
            date, until: Date and Valid-Until of InRelease, in seconds since the epoch.
            codename: what InRelease says instead of the suite's name.
        """
        for suite in {suite for suite, _ in self.packages}:
            lines = []
            for (owner, arch), stanzas in self.packages.items():
                if owner == suite:
                    packed = lzma.compress("\n".join(stanzas).encode(), preset=0)
                    name = f"main/binary-{arch}/Packages.xz"
                    self.server.files[f"{top}{self.base(suite)}/dists/{suite}/{name}"] = packed
                    lines.append(f" {hashlib.sha256(packed).hexdigest()} {len(packed)} {name}")
            head = ["Suite: old", f"Codename: {codename or suite}", f"Date: {formatdate(date, usegmt=True)}"]
            head += [f"Valid-Until: {formatdate(until, usegmt=True)}"] if until is not None else []
            text = "\n".join([*head, "SHA256:", *lines])
            signed = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}\n-----BEGIN PGP SIGNATURE-----\n\nx\n"
            self.server.files[f"{top}{self.base(suite)}/dists/{suite}/InRelease"] = signed.encode()

    def mirror(self) -> Mirror:
        url = self.server.url
        return Mirror(f"{url}/debian", f"{url}/debian-security", f"{url}/archive", "setting")

    def archive(self, *, update: bool = False) -> Archive:
        """Return the archive as the code under test sees it."""
        return Archive(catalogue=CATALOGUE, mirror=self.mirror(), trust=TestTrust("gpgv", ()), update=update)


CATALOGUE = Catalogue(
    mirror="http://127.0.0.1:1/debian",
    security="http://127.0.0.1:1/debian-security",
    archive="http://127.0.0.1:1",
    codenames=("bookworm",),
    rolling={"x86_64": ("rolling",)},
    flavours={"x86_64": {"cloud": "cloud-amd64", "generic": "amd64"}, "i386": {"generic": "686-pae"}},
    series={
        row.name: row
        for row in (
            Series("5.10", ("old-security",), lts=True, btf=("x86_64",)),
            Series("6.1", ("stable-security", "stable"), ("other",), ("x86_64", "i386"), ("x86_64",), True),
            Series("6.12", ("next",), btf=("x86_64",)),
            Series("7.1", ("rolling",), btf=("x86_64",)),
            Series("7.3", ("rolling",), btf=("x86_64",)),
        )
    },
)
