"""What a URL gave is had once, found again by its digest, and never taken for what it is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.btfwriter import Writer

from everykernel import cache
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import DownloadError, GuestLost, UsageError
from everykernel.kernels import btfhub, unlisted
from everykernel.kernels.supplied import Supplied, Supply

from .archive import Server

X86, I386 = ARCHITECTURES["x86_64"], ARCHITECTURES["i386"]
RELEASE, SOURCE = "5.4.0-84-generic", "ubuntu:focal-updates"
PLACE = f"/hub/ubuntu/20.04/x86_64/{RELEASE}.btf.tar.xz"


def btf(name: str = "long") -> bytes:
    writer = Writer()
    writer.integer(name, 4)
    return writer.image()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    unlisted.forget()
    yield
    unlisted.forget()
    cache.let_go()


@pytest.fixture
def hub(server: Server) -> Supply:
    """A tree in the public archive's layout, with one kernel's BTF."""
    server.files[PLACE] = btfhub.pack(f"{RELEASE}.btf", btf())
    return Supply.parse(f"{server.url}/hub/")


def find(supply: Supply, release: str = RELEASE, source: str = SOURCE) -> Supplied | None:
    return supply.find(release, X86, source)


def test_one_file_of_a_tree(hub: Supply, server: Server) -> None:
    """The one file that is meant for the kernel is fetched, nothing else is asked for, and the record says how."""
    assert server.asked == []
    found = find(hub)
    assert found is not None
    assert (found.name, found.data) == (f"{server.url}{PLACE}", btf())
    (note,) = found.notes
    assert note.startswith(f"BTF from {server.url}{PLACE} (SHA-256 ")
    assert note.endswith(", signed: none)")
    assert server.paths() == [PLACE]


def test_it_is_had_once(hub: Supply, server: Server) -> None:
    """What is in the cache serves without the server, in the next process too."""
    find(hub)
    server.stop()
    unlisted.forget()
    again = find(hub)
    assert again is not None
    assert again.data == btf()
    server.__enter__()


def test_several_threads_have_it_once(hub: Supply, server: Server) -> None:
    """Cells that run at the same time wait for one another."""
    found: list[Supplied | None] = []
    threads = [threading.Thread(target=lambda: found.append(find(hub))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.data if one else None for one in found] == [btf()] * 4
    assert server.paths() == [PLACE]


@pytest.mark.parametrize(("arch", "name"), [(I386, "i686"), (X86, "amd64")])
def test_other_names_of_an_architecture_and_raw_files(server: Server, arch: object, name: str) -> None:
    """As in a folder: the architecture by any of its names, packed or raw."""
    assert arch in (X86, I386)
    server.files[f"/hub/debian/12/{name}/6.1.0-50.btf"] = btf()
    found = Supply.parse(f"{server.url}/hub").find("6.1.0-50", I386 if arch is I386 else X86, "debian:bookworm")
    assert found is not None
    assert found.name.endswith(f"/hub/debian/12/{name}/6.1.0-50.btf")


def test_a_miss_is_remembered(hub: Supply, server: Server) -> None:
    """What the tree does not have is asked for once in a process, and its kernel stays without."""
    assert find(hub, "5.4.0-1-generic") is None
    asked = len(server.paths())
    assert 2 <= asked <= 6
    assert find(hub, "5.4.0-1-generic") is None
    assert server.paths() == []
    unlisted.forget()
    find(hub, "5.4.0-1-generic")
    assert len(server.paths()) == asked


def test_what_is_damaged_in_the_cache_is_had_again(hub: Supply, server: Server, cache_root: Path) -> None:
    """The digest in its name is checked whenever it is used."""
    find(hub)
    (kept,) = (cache_root / "btf").glob("file-*")
    kept.write_bytes(b"damaged")
    server.paths()
    found = find(hub)
    assert found is not None
    assert found.data == btf()
    assert server.paths() == [PLACE]


def test_what_broke_off_goes_on(hub: Supply, server: Server) -> None:
    """A server that dies half way is asked for the rest."""
    server.tags[PLACE] = '"one"'
    server.break_after[PLACE] = 60
    assert find(hub) is not None
    assert [wanted for _, wanted in server.asked] == ["", "bytes=60-"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Server.stop, r"cannot be had: .*Connection refused.* \[look at the URL, the network and the proxy settings\]"),
        (lambda server: server.status.update({PLACE: 500}), r"cannot be had: HTTP 500 \[look at the URL"),
        (lambda server: server.status.update({PLACE: 403}), r"HTTP 403"),
        (lambda server: server.files.update({PLACE: bytes(3 << 20)}), r"has more than 2 MiB"),
    ],
    ids=["away", "broken", "forbidden", "huge"],
)
def test_one_line_and_one_try(
    hub: Supply, server: Server, spoil: object, message: str, monkeypatch: pytest.MonkeyPatch, cache_root: Path
) -> None:
    """A server that cannot be asked, or gives too much, is an error of one line; the next cell gets it at once."""
    monkeypatch.setattr("everykernel.kernels.supplied._FETCHED", 2 << 20)
    assert callable(spoil)
    spoil(server)
    for _ in range(2):
        with pytest.raises(DownloadError, match=message) as caught:
            find(hub)
        assert "\n" not in str(caught.value)
        assert "DEBIAN_MIRROR" not in str(caught.value)
        asked = server.paths()
        assert set(asked) <= {PLACE}
    assert asked == []
    assert not list((cache_root / "btf").glob("file-*"))
    if spoil is Server.stop:
        server.__enter__()


def test_what_is_no_btf(hub: Supply, server: Server) -> None:
    """A page that a portal answers with is not taken for BTF."""
    server.files[PLACE] = b"<html>log in</html>"
    with pytest.raises(UsageError, match=r"is not a sound \.tar\.xz"):
        find(hub)


def test_the_url_of_one_file(server: Server) -> None:
    """A URL that ends as a file of BTF does is that file, for whatever kernel."""
    server.files["/any.btf"] = btf()
    found = find(Supply.parse(f"{server.url}/any.btf"), "any", "path:x")
    assert found is not None
    assert (found.data, server.paths()) == (btf(), ["/any.btf"])


def test_what_the_option_means() -> None:
    """A URL may have a spec before it, and the sign in its query; nothing is asked when the option is read."""
    parse = Supply.parse
    assert parse("https://h/t") == Supply(None, "https://h/t", "", "https://h/t")
    assert parse("6.1/i386=https://h/t") == Supply(None, "https://h/t", "6.1/i386", "https://h/t")
    assert parse("https://h/x.btf?a=b").spec == ""
    assert parse("https://h/linux.deb=https://h/t").spec == "https://h/linux.deb"
    secret = parse("https://me:word@h/t")
    assert (secret.name, secret.url) == ("https://h/t", "https://me:word@h/t")


def test_https_vouches() -> None:
    """The record says how what a URL gives is vouched for."""
    assert [unlisted.vouched(url) for url in ("https://h/x", "http://h/x", "")] == ["https", "none", "none"]


@pytest.mark.parametrize("release", ["../outside", "a/b", "x?y", "x#y", "", "%2e%2e"])
def test_a_guest_cannot_choose_what_is_fetched(hub: Supply, server: Server, release: str) -> None:
    """The release is what the guest says: one that leads elsewhere is the guest's end, and nothing is asked for."""
    with pytest.raises(GuestLost, match="is no name for a kernel's release"):
        find(hub, release)
    assert server.asked == []
