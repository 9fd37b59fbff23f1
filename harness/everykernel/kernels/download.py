"""Files over HTTP: resumed where they broke off, verified by SHA-256, and put in place whole.

Proxies of the environment are honoured (httpx does that). Nothing unverified ever gets its final name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import ssl
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from everykernel import cache
from everykernel.errors import DownloadError
from everykernel.kernels.progress import SILENT, Progress, Task

TRIES = 3  # for one file, each going on where the one before it broke off
SMALL = 8 << 20  # bytes that `Downloader.get` takes: Debian's largest InRelease, of sid, has some 200 KB
UNLISTED = 4 << 30  # bytes of a file whose size no index gives: a kernel's package with debug information has 1 GB
READ_TIMEOUT, CONNECT_TIMEOUT = 30.0, 8.0  # seconds
NOTHING: Mapping[str, str] = types.MappingProxyType({})
_T = TypeVar("_T")

if TYPE_CHECKING:
    import httpx  # a fifth of a second: imported where something is really downloaded


class NotThere(DownloadError):
    """The server answered that it does not have the file (404, 410)."""


class Unreachable(DownloadError):
    """The server could not be reached, or broke off again and again."""


class Unauthorised(DownloadError):
    """The server wants to know who asks (401); ``challenge`` is its WWW-Authenticate, "" if it gave none."""

    challenge = ""


class Mismatch(DownloadError):
    """What the server has under that name are not the bytes that the signed index promises."""


class Downloader:
    """Downloads over one connection pool.

    Args:
        https_only: refuse plain HTTP, also behind a redirect.
        proxy: URL of a proxy, None for the environment's.
    """

    def __init__(self, *, https_only: bool = False, proxy: str | None = None) -> None:
        self.https_only = https_only
        self._proxy = proxy
        self._opened: httpx.Client | None = None
        self._away: dict[str, Exception] = {}  # hosts that no connection came to, and why
        self._lock = threading.Lock()

    def _client(self) -> httpx.Client:
        """Return the client: made when it is first needed, since most runs download nothing."""
        with self._lock:
            if self._opened is None:
                import httpx

                timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
                agent = {"User-Agent": "everykernel"}
                self._opened = httpx.Client(
                    timeout=timeout, follow_redirects=True, proxy=self._proxy, headers=agent, verify=_certificates()
                )
                weakref.finalize(self, self._opened.close)  # no unclosed sockets when this is forgotten
            return self._opened

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def get(self, url: str, *, headers: Mapping[str, str] = NOTHING, query: Mapping[str, str] = NOTHING) -> bytes:
        """Return a small file's bytes, at most `SMALL`.

        Args:
            url: its address.
            headers: further headers of the request; a redirect to another server gets no Authorization (httpx).
            query: what is asked, added to the address.

        Raises:
            Unauthorised: the server wants to know who asks.
            NotThere: the server does not have it.
            Unreachable: the server cannot be reached.
            DownloadError: it refused for another reason, or the file is not small.
        """

        def once() -> bytes:
            data = bytearray()
            with self._open(url, start=0, headers=headers, query=query) as response:
                for chunk in response.iter_raw():
                    data += chunk
                    if len(data) > SMALL:
                        raise DownloadError(f"has more than {SMALL >> 20} MiB, for a small file", where=shown(url))
            return bytes(data)

        return self._trying(url, once)

    def file(
        self,
        url: str,
        path: Path,
        *,
        sha256: str,
        size: int,
        description: str = "",
        progress: Progress = SILENT,
        headers: Mapping[str, str] = NOTHING,
    ) -> Path:
        """Download ``url`` to ``path``, unless a file of that SHA-256 is there already; return ``path``.

        What an earlier try left in ``path``.part is resumed. Parallel callers wait for one another. Raises as `get`
        does, Mismatch where the bytes are not those that ``sha256`` promises, and CacheError for a full disk.
        """
        name = f"downloads/{path.parent.name}/{path.name}"
        with cache.lock(name), cache.explained(path):
            if matches(path, sha256, size):
                return path
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.part")
            with progress.task(description or path.name, size) as task:
                meter = _Meter(task)
                for _ in range(2 if part.exists() else 1):  # what was left may be no beginning of this file
                    with _room(part):
                        self._trying(url, lambda: self._into(part, url, size, meter, headers))
                    if matches(part, sha256, size):
                        part.replace(path)
                        return path
                    part.unlink()
            raise _mismatch(url, "SHA-256")

    def unlisted(
        self,
        url: str,
        path: Path,
        *,
        sha256: str = "",
        limit: int = UNLISTED,
        description: str = "",
        progress: Progress = SILENT,
    ) -> Path:
        """Download what no index gives the size of, at most ``limit`` bytes, to ``path``; return ``path``.

        What broke off goes on where it did if the server says that it is still the same file (a strong ETag). Raises
        as `file` does, and Mismatch where ``sha256`` is given and is another's.
        """
        with cache.lock(f"downloads/{path.parent.name}/{path.name}"), cache.explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part, tag = path.with_name(f".{path.name}.part"), ""
            with progress.task(description or path.name, None) as task:
                meter = _Meter(task)

                def once() -> None:
                    nonlocal tag
                    have = part.stat().st_size if tag and part.exists() else 0
                    with self._open(url, start=have, headers={"If-Range": tag} if have else NOTHING) as response:
                        tag = _strong_tag(response)
                        _keep(response, part, limit, meter)

                try:
                    self._trying(url, once)
                    if sha256 and not matches(part, sha256, part.stat().st_size):
                        raise _mismatch(url, "SHA-256")
                    return part.replace(path)
                finally:
                    part.unlink(missing_ok=True)

    def _into(self, part: Path, url: str, size: int, meter: _Meter, headers: Mapping[str, str]) -> None:
        """Append to ``part`` what it lacks of ``url``."""
        import httpx

        have = part.stat().st_size if part.exists() else 0
        if have >= size:
            if have == size:
                return
            part.unlink()
            have = 0
        with self._open(url, start=have, headers=headers) as response, part.open("ab") as file:
            total = _total(response)
            if total is not None and total != size:
                part.unlink()
                raise _mismatch(url, f"{total} bytes instead of {size}")
            if response.status_code != httpx.codes.PARTIAL_CONTENT:  # a server that knows no ranges
                file.truncate(0)
            meter.stand_at(file.seek(0, io.SEEK_END))
            for chunk in response.iter_raw():
                if file.tell() + len(chunk) > size:
                    part.unlink()
                    raise _mismatch(url, f"more than {size} bytes")
                file.write(chunk)
                meter.stand_at(file.tell())
        if part.stat().st_size < size:
            raise httpx.ReadError(f"only {part.stat().st_size} of {size} bytes came")

    @contextlib.contextmanager
    def _open(
        self, url: str, start: int, headers: Mapping[str, str] = NOTHING, query: Mapping[str, str] = NOTHING
    ) -> Iterator[httpx.Response]:
        """Yield the response to a GET of ``url`` from byte ``start`` on, its status checked."""
        import httpx

        ours = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        asked = httpx.URL(url).copy_merge_params(query) if query else url
        with self._client().stream("GET", asked, headers={**headers, **ours}) as response:
            self._check_way([*(one.url for one in response.history), response.url])
            if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
                raise NotThere(f"not there (HTTP {response.status_code})", where=shown(url))
            if response.status_code == httpx.codes.UNAUTHORIZED:
                error = Unauthorised("wants to know who asks (HTTP 401)", where=shown(url))
                error.challenge = response.headers.get("WWW-Authenticate", "")
                raise error
            if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                raise httpx.ReadError(f"HTTP {response.status_code}")
            if start and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _mismatch(url, f"it ends before byte {start}")
            if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                raise DownloadError(f"HTTP {response.status_code} {response.reason_phrase}", where=shown(url))
            yield response

    def _check_way(self, urls: Sequence[httpx.URL]) -> None:
        """Raise DownloadError for redirects that leave HTTPS, or were never on it where it is required."""
        for before, after in zip([None, *urls], urls, strict=False):
            secure = after.scheme == "https"
            if not secure and (self.https_only or (before is not None and before.scheme == "https")):
                raise DownloadError("plain HTTP, where HTTPS is required", where=shown(str(after)))

    def _trying(self, url: str, action: Callable[[], _T]) -> _T:
        """Return what ``action`` returns, trying again when the connection breaks."""
        import httpx

        if self.https_only and not url.startswith("https:"):
            raise DownloadError("plain HTTP, where HTTPS is required", where=shown(url))
        host = url.split("/")[2] if url.count("/") > 1 else url
        if host in self._away:
            raise _unreachable(url, self._away[host])
        for attempt in range(TRIES):
            try:
                return action()
            except (httpx.ConnectError, httpx.ConnectTimeout) as e:  # no use in asking again, for any of its files
                self._away[host] = e
                raise _unreachable(url, e) from e
            except (httpx.HTTPError, httpx.InvalidURL) as e:
                if attempt == TRIES - 1 or isinstance(e, httpx.UnsupportedProtocol | httpx.InvalidURL):
                    raise _unreachable(url, e) from e
                time.sleep(0.3 * 2**attempt)
        raise AssertionError("unreachable")


class _Meter:
    """Tells a task how far a file is, also when it goes back to where an earlier try broke off."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._position = 0

    def stand_at(self, position: int) -> None:
        self._task.advance(position - self._position)
        self._position = position


def _keep(response: httpx.Response, part: Path, limit: int, meter: _Meter) -> None:
    """Write what comes to ``part``, behind what is there if that is what was asked for."""
    import httpx

    with part.open("ab" if response.status_code == httpx.codes.PARTIAL_CONTENT else "wb") as file:
        for chunk in response.iter_raw():
            if file.tell() + len(chunk) > limit:
                raise DownloadError(f"has more than {limit >> 20} MiB", where=shown(str(response.url)))
            file.write(chunk)
            meter.stand_at(file.tell())


def _strong_tag(response: httpx.Response) -> str:
    """Return the ETag by which a server knows a file to the byte (RFC 9110, section 8.8.3), "" where it gives none."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else ""


def matches(path: Path, sha256: str, size: int) -> bool:
    """Tell whether ``path`` is a file of that size and SHA-256."""
    try:
        if path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def shown(url: str) -> str:
    """Return the URL as it may be shown: without user name and password."""
    import httpx

    try:
        return str(httpx.URL(url).copy_with(username=None, password=None))
    except httpx.InvalidURL:
        return url


@contextlib.contextmanager
def _room(part: Path) -> Iterator[None]:
    """Give a full disk back what a file that does not fit has taken of it."""
    try:
        yield
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _certificates() -> ssl.SSLContext:
    """Return whom to trust for HTTPS: the system's authorities (a company's own too), and those that httpx brings."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _total(response: httpx.Response) -> int | None:
    """Return how many bytes the whole file has, as the server says (RFC 9110: Content-Range, Content-Length)."""
    text = response.headers.get("Content-Range", "").rpartition("/")[2] or response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _mismatch(url: str, what: str) -> Mismatch:
    return Mismatch(
        f"not the file that the signed index promises ({what})",
        where=shown(url),
        remedy="the mirror is out of step or damaged: try later, or set EVERYKERNEL_DEBIAN_MIRROR to another mirror",
    )


def _unreachable(url: str, cause: Exception) -> Unreachable:
    return Unreachable(
        f"cannot be had: {cause or type(cause).__name__}",
        where=shown(url),
        remedy="look at the network and the proxy settings, or set EVERYKERNEL_DEBIAN_MIRROR to a mirror in reach",
    )
