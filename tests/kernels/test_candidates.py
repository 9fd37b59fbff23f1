"""Kernel packages are put together by release, whatever layout Debian had at the time."""

from __future__ import annotations

import pytest

from everykernel.architectures import ARCHITECTURES
from everykernel.kernels import candidates, packages
from everykernel.kernels.index import Entry

X86_64, I386 = ARCHITECTURES["x86_64"], ARCHITECTURES["i386"]


def entry(name: str, version: str = "1-1", depends: str = "") -> Entry:
    return Entry(name, version, "amd64", "suite", f"pool/{name}", 1, "0" * 64, depends)


def group(*entries: Entry) -> list[tuple[str, str, list[str]]]:
    found = candidates.group(entries, X86_64, ("amd64", "cloud-amd64", "rt-amd64"))
    return [(one.series, one.flavour, [package.name for package in one.packages]) for one in found]


@pytest.mark.parametrize(
    ("release", "series", "flavour"),
    [
        ("5.10.0-46-cloud-amd64", "5.10", "cloud-amd64"),
        ("6.1.0-56-amd64", "6.1", "amd64"),
        ("6.1.0-0.deb11.48-rt-amd64", "6.1", "rt-amd64"),
        ("6.12.90+deb13.1-cloud-amd64", "6.12", "cloud-amd64"),
    ],
)
def test_a_release_tells_series_and_flavour(release: str, series: str, flavour: str) -> None:
    """Releases are read in all forms that Debian has used."""
    assert group(entry(f"linux-image-{release}")) == [(series, flavour, [f"linux-image-{release}"])]


@pytest.mark.parametrize(
    "name",
    [
        "linux-image-6.1-cloud-amd64",  # only depends on the newest
        "linux-image-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64-unsigned",
        "linux-image-6.1.0-56-exotic",
        "linux-headers-6.1.0-56-cloud-amd64",
    ],
)
def test_other_packages_are_no_kernels(name: str) -> None:
    """Metapackages, headers, unsigned twins and other flavours are left out."""
    assert group(entry(name)) == []


def test_the_layout_of_6_19_to_7_1() -> None:
    """A linux-image that only depends on linux-binary counts for nothing: the binary is the kernel."""
    release = "7.1.13+deb13-cloud-amd64"
    image = entry(f"linux-image-{release}", depends=f"linux-binary-{release} (= 1-1)")
    assert group(image) == []
    assert group(image, entry(f"linux-binary-{release}")) == [("7.1", "cloud-amd64", [f"linux-binary-{release}"])]


def test_the_layout_from_7_2_on() -> None:
    """The image comes first, then modules and configuration of the very same version."""
    release = "7.3.4+deb13-cloud-amd64"
    parts = [entry(f"linux-{kind}-{release}") for kind in ("base", "modules", "binary")]
    expected = [f"linux-{kind}-{release}" for kind in ("binary", "modules", "base")]
    assert group(*parts) == [("7.3", "cloud-amd64", expected)]
    other = entry(f"linux-modules-{release}", "0-9")
    assert group(other, parts[0], parts[2]) == [("7.3", "cloud-amd64", [expected[0], expected[2]])]


def test_the_newest_version_of_a_package_counts() -> None:
    """An index may list several versions of one package."""
    name = "linux-image-6.1.0-56-amd64"
    found = candidates.group([entry(name, "6.1.9-1"), entry(name, "6.1.10-1")], X86_64, ("amd64",))
    assert [one.version for one in found] == ["6.1.10-1"]


def test_i386_flavours_begin_with_a_digit() -> None:
    """686-pae is a flavour, not a part of the version."""
    found = candidates.group([entry("linux-image-6.1.0-54-686-pae")], I386, ("686", "686-pae"))
    assert [(one.release, one.flavour) for one in found] == [("6.1.0-54-686-pae", "686-pae")]


@pytest.mark.parametrize(
    ("version", "upstream"),
    [("6.1.192-2", "6.1.192"), ("6.12.43-1~bpo12+1", "6.12.43"), ("7.3~rc4-1~exp1", "7.3"), ("1:2.3-4", "2.3")],
)
def test_upstream_versions(version: str, upstream: str) -> None:
    """An exact version in a spec is what upstream calls it."""
    assert packages.upstream(version) == upstream
