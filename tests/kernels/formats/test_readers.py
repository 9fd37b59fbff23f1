"""What packages, indexes and images say is bounded, and damage in them is an error of one line."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import tarfile
from pathlib import Path

import pytest
import zstandard

from everykernel.errors import DownloadError
from everykernel.kernels.formats import cpio, oci, pacman, repodata, rpm
from everykernel.kernels.formats.evr import Evr
from everykernel.kernels.formats.layout import Layout

from .. import vendors

PRIMARY = b"""<?xml version="1.0"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1">
<package type="rpm"><name>kernel-core</name><arch>x86_64</arch><version epoch="0" ver="5.14.0" rel="1.el9"/>
<checksum type="sha256" pkgid="YES">%s</checksum><size package="7" installed="9"/><location href="Packages/k.rpm"/>
<format><rpm:provides><rpm:entry name="kernel-core" ver="9"/></rpm:provides><file>/boot/x</file></format></package>
</metadata>""" % (b"a" * 64)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"lib/modules/1/vmlinuz": b"a kernel", "lib/modules/1/kernel/a.ko.xz": b"a module" * 100, "boot/empty": b""}
    return vendors.rpm(tmp_path_factory.mktemp("rpm"), "kernel-core", "1", "1", files, ghosts=["boot/vmlinuz-1"])


def contents(path: Path) -> dict[str, bytes]:
    return {member.name: content.read() for member, content in rpm.unpack(path) if content is not None}


def test_an_rpm_package(package: Path) -> None:
    """All files with their contents; what is only claimed (%ghost) is in no payload."""
    assert rpm.read(package).name == "kernel-core-1-1.x86_64"
    assert contents(package) == {
        "lib/modules/1/vmlinuz": b"a kernel",
        "lib/modules/1/kernel/a.ko.xz": b"a module" * 100,
        "boot/empty": b"",
    }


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a file of three names."""
    folder = tmp_path_factory.mktemp("linked")
    links = {"boot/vmlinuz-1": "lib/modules/1/vmlinuz", "boot/old": "lib/modules/1/vmlinuz"}
    files = {"lib/modules/1/vmlinuz": b"a kernel" * 9, "lib/modules/1/config": b"x"}
    return vendors.rpm(folder, "kernel-core", "1", "1", files, links=links)


def test_hard_links_in_an_rpm_package(linked: Path) -> None:
    """Each name has the content, which rpm packs once, with the last of them."""
    kernel = b"a kernel" * 9
    names = {"boot/old": kernel, "boot/vmlinuz-1": kernel, "lib/modules/1/vmlinuz": kernel}
    assert contents(linked) == {**names, "lib/modules/1/config": b"x"}


def test_links_that_unpack_to_too_much(linked: Path) -> None:
    """What links multiply counts."""
    with pytest.raises(ValueError, match="the links in it unpack to more than is allowed"):
        list(rpm._members(_payload(linked), rpm.read(linked), linked, 143))


def _payload(path: Path) -> io.BytesIO:
    data = path.read_bytes()[rpm.read(path).payload :]
    return io.BytesIO(zstandard.ZstdDecompressor().stream_reader(data).read())


def test_a_link_whose_content_does_not_come(linked: Path) -> None:
    """A name without content is no empty file."""
    data = _payload(linked).getvalue()
    at = [one.start() for one in re.finditer(b"070701", data)]  # config, old, vmlinuz-1, vmlinuz, the trailer
    cut = data[at[1] : at[2]] + data[at[-1] :]
    with pytest.raises(ValueError, match="its payload has no content for 'boot/old'"):
        list(rpm._members(io.BytesIO(cut), rpm.read(linked), linked, 1 << 20))


def test_damage_in_an_rpm_package(package: Path, tmp_path: Path) -> None:
    """Whatever is damaged, it is a DownloadError or makes no difference to the contents: never another error."""
    data, dice, path = package.read_bytes(), random.Random(7), tmp_path / "x.rpm"
    whole, refused = contents(package), 0
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.choice((0, 255, 127, dice.randrange(256)))
        path.write_bytes(damaged[: dice.randrange(len(damaged))] if dice.random() < 0.2 else damaged)
        try:
            assert set(contents(path).values()) <= set(whole.values())
        except DownloadError:
            refused += 1
    assert refused > 100


def test_a_file_is_what_the_header_promises(package: Path, tmp_path: Path) -> None:
    """A payload put behind another package's header is found out by the digests in the header."""
    other = vendors.rpm(tmp_path, "kernel-core", "1", "2", {"lib/modules/1/vmlinuz": b"a Kernel"})
    mixed = tmp_path / "mixed.rpm"
    mixed.write_bytes(package.read_bytes()[: rpm.read(package).payload] + other.read_bytes()[rpm.read(other).payload :])
    with pytest.raises(DownloadError, match="lib/modules/1/vmlinuz is not what its header promises"):
        contents(mixed)


def test_a_header_that_asks_for_too_much(package: Path, tmp_path: Path) -> None:
    """Counts are bounded before anything is read by them."""
    data = bytearray(package.read_bytes())
    struct.pack_into(">II", data, 96 + 8, 0xFFFF, 0xFFFFFFFF)
    path = tmp_path / "x.rpm"
    path.write_bytes(data)
    with pytest.raises(DownloadError, match="a header of 65535 tags and 4294967295 bytes"):
        rpm.read(path)


def test_an_rpm_package_larger_than_allowed(package: Path) -> None:
    """The payload stops at the ceiling."""
    with pytest.raises(DownloadError, match="it unpacks to more than"):
        list(rpm.unpack(package, largest=100))


@pytest.mark.parametrize("data", [b"", b"070701", b"070701" + b"f" * 104, b"x" * 110, b"070701" + b"g" * 104])
def test_what_is_no_cpio(data: bytes) -> None:
    """Short, without a name that could be, or something else."""
    with pytest.raises(ValueError, match=r"ends early|a name of|damaged|invalid literal"):
        list(cpio.members(io.BytesIO(data)))


def test_primary() -> None:
    """Only packages that are wanted, with what is theirs and not their dependencies'."""
    (one,) = repodata.primary(io.BytesIO(PRIMARY), ["kernel-core"], "x")
    assert (one.evr, one.arch, one.href, one.size) == ("0:5.14.0-1.el9", "x86_64", "Packages/k.rpm", 7)
    assert repodata.primary(io.BytesIO(PRIMARY), ["kernel"], "x") == []


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PRIMARY.replace(b"<metadata", BOMB + b"<metadata", 1), "it has a document type"),
        (PRIMARY[:-9], "not a sound index"),
        (b"", "not a sound index"),
        (PRIMARY.replace(b"a" * 64, b"a" * 63), "is no SHA-256"),
        (PRIMARY.replace(b"Packages/k", b"../../k"), "is no name for a part of a package's path"),
        (PRIMARY.replace(b"<location ", b'<location xml:base="http://elsewhere" '), "is not in this repository"),
        (PRIMARY.replace(b'ver="5.14.0"', b'ver="5/14"'), "is no name for a package's name or version"),
        (b"<a " + b"b" * (5 << 20), "a tag of more than 4 MiB"),
        (b"<a>" * 70, "nested more than 64 deep"),
    ],
)
def test_hostile_indexes(data: bytes, message: str) -> None:
    """Entities, endless tags, paths that lead out, cut ends: an error of one line."""
    with pytest.raises(DownloadError, match=message) as caught:
        repodata.primary(io.BytesIO(data), ["kernel-core"], "x")
    assert "\n" not in str(caught.value)


def test_too_many_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that is nothing but entries ends, too."""
    monkeypatch.setattr("everykernel.kernels.formats.repodata._PACKAGES", 0)
    with pytest.raises(DownloadError, match="it lists more than 0 packages"):
        repodata.primary(io.BytesIO(PRIMARY), [], "x")


@pytest.mark.parametrize("data", [b"<repomd/>", b"x", PRIMARY])
def test_what_is_no_repomd(data: bytes) -> None:
    """Without a primary index there is none."""
    with pytest.raises(DownloadError, match=r"names no primary index|not a sound index"):
        repodata.repomd(data, "x")


@pytest.mark.parametrize(
    "ordered",
    [
        ["1~rc1", "1", "1^git1", "1a", "1.1", "1.10", "2", "1:1"],
        ["5.14.0-70.el9", "5.14.0-284.30.1.el9_2", "5.14.0-284.30.2.el9_2", "5.14.0-503.el9"],
        ["6.6.9.arch1-1", "6.6.10.arch1-1", "6.6.10.arch1-2"],
    ],
)
def test_versions_in_rpms_order(ordered: list[str]) -> None:
    """As rpm's own rpmvercmp orders them; zeros in front and separators do not count."""
    assert sorted({*ordered}, key=Evr) == ordered
    assert Evr("1.01-1") == Evr("1_1-1")


def test_a_pacman_package_with_a_sparse_file(tmp_path: Path) -> None:
    """PAX headers are taken, but no map of a sparse file, whose length nothing bounds."""
    path = tmp_path / "x.pkg.tar.zst"
    for headers, message in (
        ({"comment": "x"}, ""),
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}, "a sparse file"),
    ):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo("a")
            info.pax_headers, info.size = headers, 1024
            tar.addfile(info, io.BytesIO(b"1\n" * 512))
        path.write_bytes(zstandard.ZstdCompressor().compress(out.getvalue()))
        if message:
            with pytest.raises(DownloadError, match=message):
                list(pacman.unpack(path))
        else:
            assert [member.name for member, _ in pacman.unpack(path)] == ["a"]


def descriptor(digit: str, **more: object) -> dict[str, object]:
    return {"mediaType": "x", "digest": f"sha256:{digit * 64}", "size": 1, **more}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({}, "is no manifest"),
        ([], "is no manifest"),
        ({"layers": 1}, "has no list of layers"),
        ({"layers": [{"digest": "sha256:x", "size": 1}]}, "without a SHA-256"),
        ({"layers": [{"digest": "sha256:" + "a" * 64, "size": -1}]}, "without size"),
        (
            {"manifests": [descriptor("a", platform={"os": "linux", "architecture": "arm64"})]},
            "no image for amd64, only",
        ),
        ({"manifests": [descriptor("a", platform={"os": "unknown"})]}, "only for no platform"),
        ({"manifests": [descriptor("a")]}, "cannot be read"),
    ],
)
def test_hostile_manifests(tmp_path: Path, manifest: object, message: str) -> None:
    """What is no manifest, or names nothing for the platform, is an error of one line."""
    (tmp_path / "index.json").write_text(json.dumps(manifest))
    with pytest.raises(DownloadError, match=message):
        oci.find(Layout(tmp_path), "", "amd64")


def test_a_manifest_is_what_its_digest_says(tmp_path: Path) -> None:
    """One that is another is refused; the names that hide a lower layer's files are no files."""
    (tmp_path / "blobs/sha256").mkdir(parents=True)
    (tmp_path / "blobs/sha256" / ("a" * 64)).write_text(json.dumps({"layers": []}))
    with pytest.raises(DownloadError, match="its manifest is not what its digest promises"):
        oci.find(Layout(tmp_path), f"sha256:{'a' * 64}", "amd64")
    layer = tmp_path / "layer"
    with tarfile.open(layer, "w") as tar:
        for name in ("boot/.wh.vmlinuz", "boot/config"):
            tar.addfile(tarfile.TarInfo(name))
    assert [member.name for member, _ in oci.unpack(layer)] == ["boot/config"]


def test_malformed_is_told_with_its_package(tmp_path: Path) -> None:
    """The package is named, and what to do."""
    path = tmp_path / "x.rpm"
    path.write_bytes(b"no package")
    with pytest.raises(DownloadError) as caught:
        rpm.read(path)
    assert (
        str(caught.value)
        == f"{path}: not a sound package: it is no RPM package [delete it, so that it is downloaded again]"
    )
