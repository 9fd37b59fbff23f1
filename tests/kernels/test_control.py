"""Control stanzas and versions are read as Debian means them."""

from __future__ import annotations

import pytest

from everykernel.kernels.control import Version, fields


def test_fields_go_on_in_further_lines() -> None:
    """Names are taken in any case, comments left out, and lines that go on keep their ends."""
    text = "Package: a\n# a comment\nDESCRIPTION: one\n two\n .\nEmpty:\nurl: http://x:1/\n"
    assert fields(text) == {"package": "a", "description": "one\ntwo\n.", "empty": "", "url": "http://x:1/"}


def test_a_value_cannot_bring_a_field() -> None:
    """Only a line feed ends a line: other characters that Python takes for line ends do not."""
    assert fields("Package: a\x0cFilename: x\u2028Size: 1\x85y: 2") == {
        "package": "a\x0cFilename: x\u2028Size: 1\x85y: 2"
    }
    assert fields(" what goes on from nothing\nno field") == {}


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("1.9-1", "1.10-1"),
        ("1.0~rc1", "1.0"),
        ("1.0~~", "1.0~"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+b"),
        ("1.0-1", "1.0-1+b1"),
        ("6.12.43-1~bpo12+1", "6.12.43-1"),
        ("9.9", "1:0.1"),
        ("1.0-1", "1.0.1-1"),
        ("1-2-1", "1-2-2"),
        ("1.2", "1.2.0"),
        ("5.10.262-1", "6.1.1-1"),
    ],
)
def test_versions_sort_as_dpkg_sorts_them(smaller: str, larger: str) -> None:
    """The order is that of `dpkg --compare-versions`."""
    assert Version(smaller) < Version(larger)
    assert not Version(larger) < Version(smaller)
    assert Version(smaller) != Version(larger)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0-0"), ("0:1", "1"), ("1.01", "1.1"), ("a", "a0")])
def test_versions_that_dpkg_takes_for_equal(one: str, other: str) -> None:
    """What does not count does not part versions."""
    assert Version(one) == Version(other)
    assert hash(Version(one)) == hash(Version(other))
