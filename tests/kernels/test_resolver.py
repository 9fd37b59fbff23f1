"""A spec means the newest kernel that fits, and one that means nothing is told in one line with the nearest."""

from __future__ import annotations

import pytest

from everykernel import cache, kernels
from everykernel.errors import UnknownKernel
from everykernel.kernels.debian import Archive
from everykernel.kernels.download import NotThere, Unreachable
from everykernel.kernels.mirror import Mirror

from .archive import CATALOGUE, Server, TestTrust, TinyArchive
from .test_download import Recorder

HINT = "or give a path to a bzImage or a kernel build directory, like ./bzImage]"
OFFLINE = Mirror("http://127.0.0.1:1/debian", "http://127.0.0.1:1/debian-security", "http://127.0.0.1:1", "setting")


def releases(tiny: TinyArchive, *specs: str) -> list[tuple[str, str]]:
    return [(one.spec, one.release) for one in kernels.resolve(specs, archive=tiny.archive())]


@pytest.mark.parametrize(
    ("spec", "release"),
    [
        ("5.10", "5.10.0-46-cloud-amd64"),
        ("6.1", "6.1.0-56-cloud-amd64"),
        ("6.1+generic", "6.1.0-56-amd64"),
        ("6.1+amd64", "6.1.0-56-amd64"),
        ("6.1/i386", "6.1.0-54-686-pae"),
        ("6.1.99", "6.1.0-9-cloud-amd64"),
        ("6.1.176", "6.1.0-50-cloud-amd64"),
        ("6.1.158", "6.1.0-0.deb11.48-cloud-amd64"),
        ("debian:6.1.0-47-cloud-amd64", "6.1.0-47-cloud-amd64"),
        ("debian:linux-image-6.1.0-47-cloud-amd64", "6.1.0-47-cloud-amd64"),
        ("debian:linux-binary-7.1.13+deb13-cloud-amd64", "7.1.13+deb13-cloud-amd64"),
        ("7.1", "7.1.13+deb13-cloud-amd64"),
        ("7.3", "7.3.4+deb13-cloud-amd64"),
        ("7.4", "7.4.1+deb13-cloud-amd64"),
    ],
)
def test_a_spec_means_one_kernel(tiny: TinyArchive, spec: str, release: str) -> None:
    """Series take the newest by Debian's version rules over all their suites; a series that is new is found too."""
    assert releases(tiny, spec) == [(spec, release)]


def test_several_series(tiny: TinyArchive) -> None:
    """A range, lts and latest become one column a series, oldest first, each kernel once."""
    assert [spec for spec, _ in releases(tiny, "5.10..6.12,6.1")] == ["5.10", "6.1", "6.12"]
    assert [spec for spec, _ in releases(tiny, "lts")] == ["5.10", "6.1"]
    assert releases(tiny, "latest") == [("7.4", "7.4.1+deb13-cloud-amd64")]
    assert [spec for spec, _ in releases(tiny, "5.10..7.4/i386")] == ["6.1/i386"]


def test_what_is_known_of_a_resolved_kernel(tiny: TinyArchive) -> None:
    """Resolving downloads indexes only, and tells what will be fetched from where."""
    (one,) = kernels.resolve("6.1", archive=tiny.archive())
    assert (one.series, one.version, one.flavour) == ("6.1", "6.1.192-2", "cloud-amd64")
    assert (one.package, one.source) == ("linux-image-6.1.0-56-cloud-amd64", "debian:stable-security")
    assert not one.cached
    assert not [path for path in tiny.server.paths() if path.endswith(".deb")]


@pytest.mark.parametrize(
    ("spec", "message", "nearest"),
    [
        ("6.8", "no source has kernel 6.8", "6.12"),
        ("5.4", "no source has kernel 5.4", "5.10"),
        ("9.9", "no source has kernel 9.9", "7.4"),
        ("6.12/i386", "no source has kernel 6.12 for i386, only for x86_64", "6.1/i386"),
        ("6.1+nonesuch", "no flavour 'nonesuch' of 6.1 for x86_64, only cloud-amd64, amd64", "6.1"),
        ("6.1.111", "no source has 6.1.111", "6.1.99"),
        ("6.8.1", "no source has 6.8.1", "6.12"),
        ("debian:6.1.0-1-cloud-amd64", "no source has 6.1.0-1-cloud-amd64", "6.1"),
        ("2.6..3.2", "no known series is in it", "5.10"),
    ],
)
def test_an_unknown_kernel_names_the_nearest(tiny: TinyArchive, spec: str, message: str, nearest: str) -> None:
    """One line names the spec, the nearest that is to be had, and how to give a path instead."""
    with pytest.raises(UnknownKernel) as caught:
        kernels.resolve(["6.1", spec], archive=tiny.archive())
    assert str(caught.value) == f"{spec}: {message} [the nearest to be had is {nearest}, {HINT}"
    assert (caught.value.spec, caught.value.nearest, caught.value.exit_code) == (spec, nearest, 2)


def test_a_series_that_left_the_archive_is_unknown(tiny: TinyArchive) -> None:
    """A series of the catalogue that no suite lists any more is told as such."""
    tiny.packages = {key: value for key, value in tiny.packages.items() if key[0] != "next"}
    tiny.packages["next", "amd64"] = []
    tiny.publish()
    with pytest.raises(
        UnknownKernel, match=r"^6\.12: Debian no longer lists kernel 6\.12 \[the nearest to be had is 7\.1,"
    ):
        kernels.resolve("6.12", archive=tiny.archive())


def test_a_suite_out_of_step_is_passed_over(tiny: TinyArchive, server: Server) -> None:
    """Where one suite's index is damaged, another serves, and the kernel's record says what may be missing."""
    server.files["/debian-security/dists/stable-security/main/binary-amd64/Packages.xz"] = b"stale"
    progress = Recorder()
    (one,) = kernels.resolve("6.1", progress, archive=tiny.archive())
    assert one.release == "6.1.0-50-cloud-amd64"
    assert progress.notes[0].startswith("stable-security for amd64 is left out: ")
    (note,) = one.fetch().notes
    assert note.startswith("a newer version may be in an index that could not be had: http://127.0.0.1:")


def test_everything_cached_works_offline(tiny: TinyArchive) -> None:
    """With the index in the cache, the same kernel comes without any network."""
    (first,) = kernels.resolve("6.1", archive=tiny.archive())
    kernel = first.fetch()
    archive = Archive(catalogue=CATALOGUE, mirror=OFFLINE, trust=TestTrust("gpgv", ()))
    (again,) = kernels.resolve("6.1", archive=archive)
    assert again.cached
    assert again.fetch() == kernel


def test_a_cached_kernel_serves_without_any_index(tiny: TinyArchive) -> None:
    """Offline with kernels but no index, a series means the newest of the cache, and exact versions are found."""
    for spec in ("6.1.99", "6.1.176", "6.1+generic"):
        kernels.resolve(spec, archive=tiny.archive())[0].fetch()
    for folder in cache.folder("indexes").iterdir():
        folder.rename(folder.with_name(f".{folder.name}"))
    archive = Archive(catalogue=CATALOGUE, mirror=OFFLINE, trust=TestTrust("gpgv", ()))
    found = {
        spec: kernels.resolve(spec, archive=archive)[0].fetch().release for spec in ("6.1.99", "6.1", "6.1+generic")
    }
    assert found == {"6.1.99": "6.1.0-9-cloud-amd64", "6.1": "6.1.0-50-cloud-amd64", "6.1+generic": "6.1.0-56-amd64"}


def test_offline_with_nothing_is_told_as_no_network() -> None:
    """Without network, index or kernel the error is about the network, not about the spec."""
    archive = Archive(catalogue=CATALOGUE, mirror=OFFLINE, trust=TestTrust("gpgv", ()))
    with pytest.raises(Unreachable, match=r"cannot be had: .*Connection refused"):
        kernels.resolve("6.1", archive=archive)


def test_a_mirror_whose_index_is_ahead_of_its_files(tiny: TinyArchive) -> None:
    """A series is the newest kernel that is there, and its notes say which should be; a version is that one alone."""
    for abi, version in ((56, "6.1.192-2"), (50, "6.1.176-1")):
        package = f"linux-image-6.1.0-{abi}-cloud-amd64"
        gone = [path for path in tiny.server.files if f"/{package}_{version}_" in path]
        assert gone
        for path in gone:
            del tiny.server.files[path]
    (resolved,) = kernels.resolve("6.1", archive=tiny.archive())
    kernel = resolved.fetch()
    assert kernel.release == "6.1.0-47-cloud-amd64"
    assert "6.1.192-2 is in the index and not on the server: 6.1.170-1 was taken" in kernel.notes
    with pytest.raises(NotThere, match=r"6\.1\.0-56-cloud-amd64_6\.1\.192-2_amd64\.deb: not there \(HTTP 404\)"):
        kernels.resolve("6.1.192", archive=tiny.archive())[0].fetch()
