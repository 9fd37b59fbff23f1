"""A suite's index is checked, kept for a day, served offline, and asked for at the archive server when it is gone."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from everykernel import cache
from everykernel.errors import DownloadError
from everykernel.kernels.debian import Archive
from everykernel.kernels.download import Mismatch, NotThere, Unreachable
from everykernel.kernels.index import Entry, _decompress
from everykernel.kernels.mirror import Mirror
from everykernel.kernels.trust import Trust

from .archive import CATALOGUE, Server, TestTrust, TinyArchive, kernel_deb
from .test_download import Recorder

INRELEASE = "/debian-security/dists/old-security/InRelease"
PACKAGES = "/debian-security/dists/old-security/main/binary-amd64/Packages.xz"


def names(archive: Archive, suite: str = "old-security") -> list[str]:
    return [entry.name for entry in archive.index(suite, "amd64").kernels()]


def age(suite: str, seconds: float) -> None:
    """Make a cached index older."""
    path = cache.folder("indexes") / f"{suite}_amd64" / "state.json"
    state = json.loads(path.read_text())
    state["checked"] = time.time() - seconds
    path.write_text(json.dumps(state))


def test_an_index_is_asked_for_once_a_day(tiny: TinyArchive, server: Server) -> None:
    """Within a day nothing is asked; after it the small signed file alone, if nothing has changed."""
    assert names(tiny.archive()) == ["linux-image-5.10.0-46-cloud-amd64"]
    assert server.paths() == [INRELEASE, PACKAGES]
    assert names(tiny.archive()) == ["linux-image-5.10.0-46-cloud-amd64"]
    assert server.paths() == []
    age("old-security", 90_000)
    names(tiny.archive())
    assert server.paths() == [INRELEASE]


def test_update_asks_at_once(tiny: TinyArchive, server: Server) -> None:
    """--update sees what the archive has had since."""
    names(tiny.archive())
    tiny.add("old-security", "linux-image-5.10.0-47-cloud-amd64", "5.10.270-1", kernel_deb("5.10.0-47-cloud-amd64"))
    tiny.publish()
    assert len(names(tiny.archive())) == 1
    assert len(names(tiny.archive(update=True))) == 2


def test_an_old_index_serves_without_network(tiny: TinyArchive, server: Server) -> None:
    """Where the network fails, the cached index serves, and a note says how old it is."""
    names(tiny.archive())
    age("old-security", 3 * 86400)
    gone = Mirror("http://127.0.0.1:1/debian", "http://127.0.0.1:1/debian-security", "http://127.0.0.1:1", "setting")
    archive = Archive(catalogue=CATALOGUE, mirror=gone, trust=TestTrust("gpgv", ()))
    progress = Recorder()
    assert len(archive.index("old-security", "amd64", progress).kernels()) == 1
    assert len(progress.notes) == 1
    assert progress.notes[0].startswith("old-security: using the cached index, 3.0 days old (cannot be had: ")


def test_without_network_and_cache_it_is_an_error() -> None:
    """Nothing cached and no network: the error names the URL and what to look at."""
    gone = Mirror("http://127.0.0.1:1/debian", "http://127.0.0.1:1/debian-security", "http://127.0.0.1:1", "setting")
    archive = Archive(catalogue=CATALOGUE, mirror=gone, trust=TestTrust("gpgv", ()))
    with pytest.raises(Unreachable) as caught:
        archive.index("stable", "amd64")
    assert str(caught.value) == (
        "http://127.0.0.1:1/debian/dists/stable/InRelease: cannot be had: [Errno 111] Connection refused "
        "[look at the network and the proxy settings, or set EVERYKERNEL_DEBIAN_MIRROR to a mirror in reach]"
    )


def test_a_suite_that_left_the_mirror_is_asked_for_at_the_archive_server(server: Server) -> None:
    """404 at the mirror leads to Debian's archive server, for the index and for the packages."""
    tiny = TinyArchive(server)
    name = "linux-image-5.10.0-46-cloud-amd64"
    path = tiny.add("old-security", name, "5.10.262-1", kernel_deb("5.10.0-46-cloud-amd64"), top="/archive")
    tiny.publish(top="/archive")
    archive = tiny.archive()
    entry = archive.package("old-security", name, "amd64")
    assert entry is not None
    assert archive.fetch(entry).exists()
    assert server.paths() == [INRELEASE, "/archive" + INRELEASE, "/archive" + PACKAGES, path]


def test_a_suite_that_is_nowhere_names_the_mirror(server: Server) -> None:
    """A suite that neither server has is told apart from a network that fails."""
    with pytest.raises(NotThere) as caught:
        TinyArchive(server).archive().index("nonesuch", "amd64")
    assert str(caught.value) == (
        f"{server.url}/debian/dists/nonesuch/InRelease: neither the mirror nor Debian's archive server has this suite "
        "[set EVERYKERNEL_DEBIAN_MIRROR to a mirror that has it]"
    )


def test_an_index_that_its_signature_does_not_cover_is_refused(tiny: TinyArchive, server: Server) -> None:
    """Packages.xz must be the one that the signed file names; its by-hash name is tried before giving up."""
    right = server.files[PACKAGES]
    server.files[PACKAGES] = right[:-4] + b"evil"
    with pytest.raises(Mismatch, match="not the file that the signed index promises"):
        names(tiny.archive())
    by_hash = server.paths()[-1]
    assert by_hash.startswith(PACKAGES.replace("Packages.xz", "by-hash/SHA256/"))
    server.files[by_hash] = right
    assert len(names(tiny.archive(update=True))) == 1


def test_a_mirror_out_of_step_is_left_alone_for_an_hour(
    tiny: TinyArchive, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every run asks again for an index that is known not to fit, --update and another hour do."""
    right = server.files[PACKAGES]
    server.files[PACKAGES] = b"stale"
    for _ in range(2):
        with pytest.raises(Mismatch) as caught:
            names(tiny.archive())
        assert caught.value.where == f"{server.url}{PACKAGES}"
    assert server.paths().count(PACKAGES) == 1
    server.files[PACKAGES] = right
    with monkeypatch.context() as patch:
        patch.setattr("everykernel.kernels.index.PATIENCE", 0.0)
        assert len(names(tiny.archive())) == 1


def test_a_damaged_cached_index_is_fetched_again(tiny: TinyArchive, server: Server) -> None:
    """A truncated Packages.xz of the cache is noticed."""
    names(tiny.archive())
    path = cache.folder("indexes") / "old-security_amd64" / "Packages.xz"
    path.write_bytes(path.read_bytes()[:-10])
    assert len(names(tiny.archive())) == 1


def test_a_corrupted_cached_index_is_told_and_had_anew(tiny: TinyArchive) -> None:
    """A Packages.xz of the right size with wrong bytes is an error once, and right again in the next run."""
    assert tiny.archive().package("stable", "hello", "amd64") is None
    path = cache.folder("indexes") / "stable_amd64" / "Packages.xz"
    path.write_bytes(bytes(path.stat().st_size))
    _decompress.cache_clear()
    with pytest.raises(DownloadError) as caught:
        tiny.archive().package("stable", "hello", "amd64")
    assert str(caught.value) == f"{path}: the cached index is damaged [run the same again: it is had anew]"
    assert tiny.archive().package("stable", "hello", "amd64") is None


def test_without_gpgv_plain_http_is_refused(tiny: TinyArchive, server: Server) -> None:
    """Where no signature can be checked, the mirror is asked by HTTPS or not at all."""
    archive = Archive(catalogue=CATALOGUE, mirror=tiny.mirror(), trust=Trust(None, ()))
    with pytest.raises(DownloadError) as caught:
        archive.index("stable", "amd64")
    assert caught.value.where.startswith("https://127.0.0.1:")
    assert server.asked == []


def test_the_reduced_index_is_enough(tiny: TinyArchive, server: Server) -> None:
    """The second reading of a suite's kernels does not unpack Packages.xz."""
    first = tiny.archive().index("stable-security", "amd64").kernels()
    index = tiny.archive().index("stable-security", "amd64")
    (index.folder / "Packages.xz").unlink()
    assert index.kernels() == first
    assert {entry.signed for entry in first} == {"gpgv"}


def test_an_index_from_another_mirror_is_not_served(tiny: TinyArchive, server: Server) -> None:
    """Changing the mirror asks the new one."""
    names(tiny.archive())
    server.paths()
    server.files |= {f"/m2{path}": data for path, data in server.files.items()}
    other = Mirror(f"{server.url}/m2/debian", f"{server.url}/m2/debian-security", f"{server.url}/archive", "setting")
    names(Archive(catalogue=CATALOGUE, mirror=other, trust=TestTrust("gpgv", ())))
    assert server.paths() == [f"/m2{INRELEASE}"]


def test_a_bad_signature_is_never_passed_over(tiny: TinyArchive, server: Server) -> None:
    """A forged index is an error even where an old one is cached: somebody is at work between here and the mirror."""
    names(tiny.archive())
    age("old-security", 90_000)
    gpgv = shutil.which("gpgv")
    assert gpgv is not None
    trust = Trust(gpgv, (Path(__file__).parent / "data" / "keyring.gpg",))
    archive = Archive(catalogue=CATALOGUE, mirror=tiny.mirror(), trust=trust)
    with pytest.raises(DownloadError) as caught:
        names(archive)
    assert caught.value.where == f"{server.url}{INRELEASE}"
    assert caught.value.message.startswith("the signature is not good: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "linux-image-5.10.0/../../x"}, "'linux-image-5.10.0/../../x' is no name for a package"),
        ({"version": "../1"}, "'../1' is no name for a version"),
        ({"filename": "pool/../../etc/x.deb"}, "'..' is no name for a part of a package's path"),
        ({"filename": "/etc/x.deb"}, "'' is no name for a part of a package's path"),
    ],
)
def test_an_entry_that_leads_elsewhere_is_refused(change: dict[str, str], said: str) -> None:
    """Names, versions and paths of an index are checked wherever an entry is made, from the archive or the cache."""
    sound = {"name": "linux-image-5.10.0", "version": "1:5.10.1-1~bpo11+1", "filename": "pool/main/l/linux/x_1.deb"}
    Entry(**sound, arch="amd64", suite="s", size=1, sha256="0" * 64)
    with pytest.raises(DownloadError) as caught:
        Entry(**(sound | change), arch="amd64", suite="s", size=1, sha256="0" * 64)
    assert str(caught.value) == f"index of s for amd64: {said} [it would lead out of its folder]"


def test_a_hostile_package_of_an_index_is_refused(tiny: TinyArchive, cache_root: Path) -> None:
    """A signed index that names a package out of its folder gives one line, and no file anywhere."""
    tiny.add("old-security", "linux-image-9.9.0/../../../x-cloud-amd64", "9.9.1-1", b"")
    tiny.publish()
    with pytest.raises(DownloadError, match="is no name for a package"):
        tiny.archive().index("old-security", "amd64").kernels()
    assert not list(cache_root.parent.rglob("*x-cloud*"))


def test_an_entry_without_its_fields_is_told(tiny: TinyArchive) -> None:
    """A stanza that lacks what is needed names the package."""
    tiny.packages["old-security", "amd64"] = ["Package: linux-image-5.10.0-1-cloud-amd64\nVersion: 1\n"]
    tiny.publish()
    with pytest.raises(DownloadError) as caught:
        tiny.archive().index("old-security", "amd64").kernels()
    assert str(caught.value) == (
        "index of old-security for amd64: the entry of 'linux-image-5.10.0-1-cloud-amd64' cannot be read: "
        "KeyError('filename')"
    )


def test_an_index_that_is_a_bomb_is_refused(tiny: TinyArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Packages.xz is unpacked as far as Debian's largest index could go."""
    monkeypatch.setattr("everykernel.kernels.index._LARGEST", 1 << 20)
    tiny.packages["old-security", "amd64"] = ["x" * (2 << 20)]
    tiny.publish()
    with pytest.raises(DownloadError, match="not a sound index: it unpacks to more than 1 MiB"):
        tiny.archive().index("old-security", "amd64").kernels()
