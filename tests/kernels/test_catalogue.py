"""The catalogue is sound, and names nobody's servers but Debian's."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from everykernel import kernels
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import HarnessError
from everykernel.kernels import catalogue


def test_the_catalogue_knows_the_promised_series() -> None:
    """The series that the README promises are there, oldest first."""
    known = kernels.series()
    assert known == sorted(known, key=catalogue.order)
    assert {"5.10", "6.1", "6.12", "6.16", "6.18", "7.1", "7.3"} <= set(known)
    assert "i386" in catalogue.load().series["6.1"].architectures


def test_only_debians_own_servers_are_named() -> None:
    """A fresh host asks Debian itself, by HTTPS."""
    loaded = catalogue.load()
    for url in (loaded.mirror, loaded.security, loaded.archive):
        assert httpx.URL(url).scheme == "https"
        assert httpx.URL(url).host in ("security.debian.org", "archive.debian.org", "ftp.debian.org")


def test_every_row_is_sound() -> None:
    """Suites are of known releases, architectures have a row in the table, BTF is claimed of no others."""
    loaded = catalogue.load()
    for row in loaded.series.values():
        assert {suite.partition("-")[0] for suite in (*row.suites, *row.more)} <= set(loaded.codenames)
        assert set(row.btf) <= set(row.architectures) <= set(ARCHITECTURES)
        assert row.suites


@pytest.mark.parametrize("text", ["", "not toml [", "[debian]\nmirror = 1\n"])
def test_a_broken_catalogue_is_told(tmp_path: Path, text: str) -> None:
    """A file that is not what it should be names itself."""
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    with pytest.raises(HarnessError) as caught:
        catalogue.load(path)
    assert str(caught.value).startswith(f"{path}: the catalogue of kernels cannot be read: ")
    assert caught.value.remedy == "install everykernel again"
