"""Packages of Debian's archive are found, fetched and unpacked, and a damaged or hostile one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel.errors import DownloadError
from everykernel.kernels.debian import unpack
from everykernel.kernels.download import Mismatch, NotThere

from .archive import Server, TinyArchive, ar, deb
from .test_download import Recorder


def contents(path: Path) -> dict[str, bytes]:
    return {member.name: content.read() for member, content in unpack(path) if content is not None}


@pytest.mark.parametrize("compression", ["xz", "zst", ""])
def test_packages_are_unpacked_whatever_their_compression(tmp_path: Path, compression: str) -> None:
    """Members come with their content, names relative, symbolic links without content."""
    path = tmp_path / "x.deb"
    path.write_bytes(
        deb({"./usr/bin/a": b"A", "usr/b": b"B" * 100_000}, compression=compression, links={"./c": "/usr/b"})
    )
    assert contents(path) == {"usr/bin/a": b"A", "usr/b": b"B" * 100_000}
    assert [member.name for member, _ in unpack(path)] == ["usr/bin/a", "usr/b", "c"]


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    """A package cannot write outside of where it is unpacked."""
    path = tmp_path / "x.deb"
    path.write_bytes(deb({name: b"x"}))
    with pytest.raises(DownloadError) as caught:
        contents(path)
    assert str(caught.value) == f"{path}: a member leads outside of the package: {name!r}"


@pytest.mark.parametrize(
    "data",
    [b"", b"no package", deb({"a": b"x" * 5000})[:-2000], ar({"debian-binary": b"2.0\n"}), ar({"data.tar.rar": b"x"})],
)
def test_a_damaged_package_is_an_error(tmp_path: Path, data: bytes) -> None:
    """Whatever the damage, the error names the file and what to do."""
    path = tmp_path / "x.deb"
    path.write_bytes(data)
    with pytest.raises(DownloadError) as caught:
        contents(path)
    assert str(caught.value).startswith(f"{path}: not a sound package: ")
    assert caught.value.remedy == "delete it, so that it is downloaded again"


def test_the_newest_version_counts(tiny: TinyArchive) -> None:
    """Of several versions in one suite the newest by Debian's rules is taken; what is not there is None."""
    for version in ("1.9-1", "1.10-1", "1.10-1~bpo1"):
        tiny.add("stable", "tool", version, version.encode())
    tiny.publish()
    archive = tiny.archive()
    entry = archive.package("stable", "tool", "amd64")
    assert entry is not None
    assert (entry.version, entry.signed) == ("1.10-1", "gpgv")
    assert archive.fetch(entry).read_bytes() == b"1.10-1"
    assert archive.package("stable", "too", "amd64") is None


def test_a_suite_out_of_step_is_passed_over(tiny: TinyArchive, server: Server) -> None:
    """The newest of several suites comes from those whose index can be had, with one note on the other."""
    tiny.add("stable", "tool", "1", b"1")
    tiny.add("stable-security", "tool", "2", b"2")
    tiny.publish()
    server.files["/debian-security/dists/stable-security/main/binary-amd64/Packages.xz"] = b"stale"
    archive, progress = tiny.archive(), Recorder()
    for _ in range(2):
        assert archive.newest(("stable", "stable-security"), "tool", "amd64", progress).version == "1"
    assert len(progress.notes) == 1
    assert progress.notes[0].startswith("stable-security for amd64 is left out: http://127.0.0.1:")
    with pytest.raises(Mismatch):
        archive.newest(("stable", "stable-security"), "nonesuch", "amd64", progress)
    with pytest.raises(DownloadError) as caught:
        archive.newest(("stable", "next"), "nonesuch", "amd64", progress)
    assert str(caught.value) == "package nonesuch: neither stable nor next has it for amd64"


def test_a_package_gone_from_the_pool_says_how_to_go_on(tiny: TinyArchive, server: Server) -> None:
    """A package that no server has any more points to a new index."""
    archive = tiny.archive()
    entry = archive.package("next", "linux-image-6.12.117+deb13-cloud-amd64", "amd64")
    assert entry is not None
    path = f"/debian/{entry.filename}"
    data = server.files.pop(path)
    with pytest.raises(NotThere) as caught:
        archive.fetch(entry)
    assert str(caught.value) == (
        f"{server.url}{path}: not there (HTTP 404) "
        "[the index has moved on: everykernel kernels fetch --update; or name another version]"
    )
    server.files[f"/archive{path}"] = data
    assert archive.fetch(entry).exists()
