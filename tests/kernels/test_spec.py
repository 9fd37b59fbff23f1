"""Kernel specs are read, or refused with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel.architectures import ARCHITECTURES
from everykernel.errors import UnknownKernel, UsageError
from everykernel.kernels import local
from everykernel.kernels.spec import Spec, parse

I386 = ARCHITECTURES["i386"]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("6.1", Spec("6.1", "series", "6.1")),
        ("6.1.192", Spec("6.1.192", "version", "6.1.192")),
        ("6.1+generic", Spec("6.1+generic", "series", "6.1", flavour="generic")),
        ("6.1-nobtf", Spec("6.1-nobtf", "series", "6.1", btf="nobtf")),
        ("6.1-btf", Spec("6.1-btf", "series", "6.1", btf="btf")),
        ("6.1.192-supplied", Spec("6.1.192-supplied", "version", "6.1.192", btf="supplied")),
        ("6.1/i386", Spec("6.1/i386", "series", "6.1", arch=I386)),
        ("6.1/amd64", Spec("6.1/amd64", "series", "6.1")),
        (
            "6.1.7-nobtf+686/i386",
            Spec("6.1.7-nobtf+686/i386", "version", "6.1.7", btf="nobtf", flavour="686", arch=I386),
        ),
        ("5.10..6.12", Spec("5.10..6.12", "range", "5.10", until="6.12")),
        ("5.10..6.12/i386", Spec("5.10..6.12/i386", "range", "5.10", until="6.12", arch=I386)),
        ("lts", Spec("lts", "lts", "lts")),
        ("latest+generic", Spec("latest+generic", "latest", "latest", flavour="generic")),
        (
            "debian:6.1.0-56-cloud-amd64",
            Spec("debian:6.1.0-56-cloud-amd64", "named", "6.1.0-56-cloud-amd64", source="debian"),
        ),
        (
            "debian:6.1+generic/i386",
            Spec("debian:6.1+generic/i386", "named", "6.1", flavour="generic", arch=I386, source="debian"),
        ),
        ("debian6.1", Spec("debian6.1", "named", "6.1", source="debian")),
        (
            "debian:6.12.117+deb13-amd64",
            Spec("debian:6.12.117+deb13-amd64", "named", "6.12.117+deb13-amd64", source="debian"),
        ),
        ("./bzImage", Spec("./bzImage", "path", "./bzImage", arch=None)),
        ("/boot/vmlinuz", Spec("/boot/vmlinuz", "path", "/boot/vmlinuz", arch=None)),
        ("~/linux", Spec("~/linux", "path", "~/linux", arch=None)),
    ],
)
def test_a_spec_is_read(text: str, spec: Spec) -> None:
    """Each form of the grammar means what docs/kernels.md says."""
    assert parse(text) == [spec]


def test_lists_are_split_at_commas() -> None:
    """A list may be one text or several, with spaces and empty items."""
    assert [spec.text for spec in parse(["5.10, 6.1,", "6.12"])] == ["5.10", "6.1", "6.12"]


def test_a_path_may_hold_a_comma(tmp_path: Path) -> None:
    """A file of that very name is not split."""
    path = tmp_path / "a,b"
    path.touch()
    assert [spec.value for spec in parse(str(path))] == [str(path)]


def test_a_bare_file_name_is_a_path_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build directory below the current folder needs no ./ before it."""
    (tmp_path / "linux").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse("linux")[0].kind == "path"


def test_a_range_names_its_series() -> None:
    """The columns of a range carry its flavour and architecture."""
    assert parse("5.10..6.12+generic/i386")[0].named("6.1") == "6.1+generic/i386"
    assert parse("lts")[0].named("6.1") == "6.1"


@pytest.mark.parametrize("text", ["bla", "6", "6.1.", "6.1-both", "6.1+", "v6.1", "5.10...6.1"])
def test_what_is_no_spec_says_how_to_write_one(text: str) -> None:
    """A misspelt spec names all forms."""
    with pytest.raises(UnknownKernel) as caught:
        parse(text)
    assert str(caught.value) == (
        f"{text}: is not a kernel spec [write a series like 6.1, a version like 6.1.192, a range like 5.10..6.12, "
        "lts or latest, or give a path to a bzImage or a kernel build directory, like ./bzImage]"
    )


def test_an_unknown_architecture_names_those_known() -> None:
    """An architecture without a row in the table is refused."""
    with pytest.raises(UsageError) as caught:
        parse("6.1/vax")
    assert (
        str(caught.value)
        == "6.1/vax: architecture 'vax' is not supported [one of x86_64, i386, arm64, armhf, s390x, riscv64, ppc64el]"
    )


@pytest.mark.parametrize("text", ["", " , "])
def test_an_empty_list_is_an_error(text: str) -> None:
    """Naming no kernel is never taken for success."""
    with pytest.raises(UsageError, match="no kernel is named"):
        parse(text)


@pytest.mark.parametrize("text", ["./" + "x" * 300, "~nobody-of-that-name/vmlinuz", "./a\0b", "~\0/b"])
def test_a_path_that_cannot_be(text: str) -> None:
    """A path that no file system takes is refused in one line, like one that is not there."""
    (found,) = parse(text)
    with pytest.raises(UnknownKernel, match="starts at the current folder"):
        local.resolve(found)


def test_a_name_that_no_file_system_takes() -> None:
    """What is no spec, and too long for a file's name, is no spec."""
    with pytest.raises(UnknownKernel, match="is not a kernel spec"):
        parse("<=6" + "é" * 200 + ".1")
