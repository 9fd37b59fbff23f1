"""Downloads are whole, verified and resumed, or fail with where and what to do."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from everykernel.errors import CacheError, DownloadError
from everykernel.kernels import download
from everykernel.kernels.download import Downloader, Mismatch, NotThere, Unreachable
from everykernel.kernels.progress import Progress

from .archive import Server

DATA = os.urandom(1_000_000)
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def get(server: Server, path: Path, *, sha256: str = SHA, size: int = len(DATA)) -> Path:
    downloader = Downloader()
    try:
        return downloader.file(f"{server.url}/f", path, sha256=sha256, size=size)
    finally:
        downloader.close()


def test_a_file_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    """What is there and right is not asked for again."""
    server.files["/f"] = DATA
    path = get(server, tmp_path / "f")
    assert path.read_bytes() == DATA
    get(server, tmp_path / "f")
    assert server.paths() == ["/f"]
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["f"]


def test_a_broken_transfer_is_resumed(server: Server, tmp_path: Path) -> None:
    """What came before the connection broke is not asked for again."""
    server.files["/f"] = DATA
    server.break_after["/f"] = 400_000
    assert get(server, tmp_path / "f").read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == ["", "bytes=400000-"]


def test_what_another_run_left_is_resumed(server: Server, tmp_path: Path) -> None:
    """A killed run's part is the next run's beginning."""
    server.files["/f"] = DATA
    (tmp_path / ".f.part").write_bytes(DATA[:300_000])
    assert get(server, tmp_path / "f").read_bytes() == DATA
    assert server.asked == [("/f", "bytes=300000-")]


def test_a_part_of_something_else_is_thrown_away(server: Server, tmp_path: Path) -> None:
    """A part that turns out to be no beginning of the file costs a second download, not a failure."""
    server.files["/f"] = DATA
    (tmp_path / ".f.part").write_bytes(b"something else")
    assert get(server, tmp_path / "f").read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == ["bytes=14-", ""]


def test_a_server_without_ranges_serves_too(server: Server, tmp_path: Path) -> None:
    """A server that answers a range with the whole file is understood."""
    server.files["/f"] = DATA
    server.ranges = False
    (tmp_path / ".f.part").write_bytes(DATA[:300_000])
    assert get(server, tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("damage", [lambda d: d[:-10], lambda d: b"x" + d[1:], lambda d: b""])
def test_a_damaged_cached_file_is_fetched_again(server: Server, tmp_path: Path, damage: object) -> None:
    """A truncated, corrupted or empty file of the cache is noticed and replaced."""
    server.files["/f"] = DATA
    assert callable(damage)
    (tmp_path / "f").write_bytes(damage(DATA))
    assert get(server, tmp_path / "f").read_bytes() == DATA


def test_other_bytes_of_the_same_size_are_refused(server: Server, tmp_path: Path) -> None:
    """SHA-256 decides, and nothing unverified is left under the file's name."""
    server.files["/f"] = bytes(len(DATA))
    with pytest.raises(Mismatch) as caught:
        get(server, tmp_path / "f")
    assert str(caught.value) == (
        f"{server.url}/f: not the file that the signed index promises (SHA-256) "
        "[the mirror is out of step or damaged: try later, or set EVERYKERNEL_DEBIAN_MIRROR to another mirror]"
    )
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == []


def test_a_file_of_another_size_is_not_even_downloaded(server: Server, tmp_path: Path) -> None:
    """A mirror that is out of step is told from a broken connection."""
    server.files["/f"] = DATA[:-1]
    with pytest.raises(Mismatch, match=r"\(999999 bytes instead of 1000000\)"):
        get(server, tmp_path / "f")
    assert len(server.paths()) == 1


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_file_is_told_apart(server: Server, tmp_path: Path, status: int) -> None:
    """404 and 410 mean that the server does not have it."""
    server.files["/f"] = DATA
    server.status["/f"] = status
    with pytest.raises(NotThere) as caught:
        get(server, tmp_path / "f")
    assert str(caught.value) == f"{server.url}/f: not there (HTTP {status})"


def test_a_refusal_is_an_error_at_once(server: Server, tmp_path: Path) -> None:
    """403 is not tried again, and names the URL."""
    server.files["/f"] = DATA
    server.status["/f"] = 403
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path / "f")
    assert str(caught.value) == f"{server.url}/f: HTTP 403 Forbidden"
    assert len(server.asked) == 1


def test_a_struggling_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    """503 is tried a few times, then reported."""
    server.files["/f"] = DATA
    server.status["/f"] = 503
    with pytest.raises(Unreachable, match="cannot be had: HTTP 503"):
        get(server, tmp_path / "f")
    assert len(server.asked) == download.TRIES


def test_no_network_says_what_to_look_at(tmp_path: Path) -> None:
    """A server that cannot be reached is an error with a remedy."""
    with Server() as gone:
        pass
    with pytest.raises(Unreachable) as caught:
        get(gone, tmp_path / "f")
    assert str(caught.value) == (
        f"{gone.url}/f: cannot be had: [Errno 111] Connection refused "
        "[look at the network and the proxy settings, or set EVERYKERNEL_DEBIAN_MIRROR to a mirror in reach]"
    )


def test_passwords_are_not_shown() -> None:
    """Errors and records never show a URL's user name and password."""
    assert download.shown("http://user:secret@m.example/debian") == "http://m.example/debian"


def test_https_only_refuses_http(server: Server) -> None:
    """Where HTTPS has to do for a signature, plain HTTP is not asked at all."""
    downloader = Downloader(https_only=True)
    with pytest.raises(DownloadError, match="plain HTTP, where HTTPS is required"):
        downloader.get(f"{server.url}/f")
    downloader.close()
    assert server.asked == []


def test_a_full_disk_is_a_cache_error(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while a file comes is reported as such, with what helps."""
    server.files["/f"] = DATA

    def full(self: Downloader, part: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))

    monkeypatch.setattr(Downloader, "_into", full)
    with pytest.raises(CacheError) as caught:
        get(server, tmp_path / "f")
    assert str(caught.value).startswith(f"{tmp_path}/.f.part: no space left for the cache [free some space, lower ")


def test_parallel_runs_download_once(server: Server, tmp_path: Path) -> None:
    """Two that want the same file wait for one another, and one downloads it."""
    server.files["/f"] = DATA
    threads = [threading.Thread(target=get, args=(server, tmp_path / "f")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.paths() == ["/f"]


def test_progress_is_told(server: Server, tmp_path: Path) -> None:
    """The caller's progress sees the size, and every byte."""
    server.files["/f"] = DATA
    (tmp_path / ".f.part").write_bytes(DATA[:300_000])
    seen = Recorder()
    progress: Progress = seen
    downloader = Downloader()
    downloader.file(
        f"{server.url}/f", tmp_path / "f", sha256=SHA, size=len(DATA), description="a file", progress=progress
    )
    downloader.close()
    assert (seen.description, seen.total, seen.done) == ("a file", len(DATA), len(DATA))


class Recorder:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.description, self.total, self.done = "", 0, 0
        self.notes: list[str] = []

    def task(self, description: str, total: int | None) -> Recorder:
        self.description, self.total = description, total or 0
        return self

    def note(self, message: str) -> None:
        self.notes.append(message)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def advance(self, amount: int) -> None:
        self.done += amount


def test_a_download_stops_past_the_promised_size(server: Server, tmp_path: Path) -> None:
    """A server that says nothing of the length and never ends is left where the index says that the file ends."""
    server.files["/f"] = DATA + bytes(50_000_000)
    server.lengths = False
    with pytest.raises(Mismatch, match=r"not the file that the signed index promises \(more than 1000000 bytes\)"):
        get(server, tmp_path / "f")
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.name.startswith(".f")) == 0


def test_a_small_file_is_small(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read into memory has a ceiling."""
    monkeypatch.setattr(download, "SMALL", 1 << 20)
    server.files["/f"] = bytes((1 << 20) + 1)
    server.lengths = False
    downloader = Downloader()
    with pytest.raises(DownloadError) as caught:
        downloader.get(f"{server.url}/f")
    downloader.close()
    assert str(caught.value) == f"{server.url}/f: has more than 1 MiB, for a small file"


def unlisted(server: Server, path: Path, *, limit: int = len(DATA)) -> bytes:
    downloader = Downloader()
    try:
        return downloader.unlisted(f"{server.url}/f", path, limit=limit).read_bytes()
    finally:
        downloader.close()


@pytest.mark.parametrize(
    ("tag", "second"), [('"one"', "bytes=400000-"), ("", ""), ('W/"one"', "")], ids=["strong", "none", "weak"]
)
def test_what_no_index_lists_is_resumed_if_it_is_the_same_file(
    server: Server, tmp_path: Path, tag: str, second: str
) -> None:
    """Only a strong ETag says that the second half is of the same file; else all of it is had again."""
    server.files["/f"] = DATA
    server.break_after["/f"] = 400_000
    if tag:
        server.tags["/f"] = tag
    assert unlisted(server, tmp_path / "f") == DATA
    assert [wanted for _, wanted in server.asked] == ["", second]


def test_a_file_that_changed_between_two_tries_is_had_whole(server: Server, tmp_path: Path) -> None:
    """The server answers a range of what was there before with all of what is there now."""
    server.files["/f"], server.tags["/f"] = DATA, '"one"'
    server.break_after["/f"] = 400_000

    class Changed(dict[str, bytes]):
        def get(self, path: str, default: object = None) -> bytes:
            if len(server.asked) == 2:
                server.tags[path] = '"two"'
                return DATA[::-1]
            return self[path]

    server.files = Changed(server.files)
    assert unlisted(server, tmp_path / "f") == DATA[::-1]
    assert [wanted for _, wanted in server.asked] == ["", "bytes=400000-"]


def test_what_no_index_lists_ends_at_the_limit(server: Server, tmp_path: Path) -> None:
    """A file that does not end is had as far as it may go, and nothing of it stays."""
    server.files["/f"], server.lengths = DATA + bytes(1 << 20), False
    with pytest.raises(DownloadError) as caught:
        unlisted(server, tmp_path / "f", limit=1 << 20)
    assert str(caught.value) == f"{server.url}/f: has more than 1 MiB"
    assert not [path for path in tmp_path.iterdir() if path.is_file()]
