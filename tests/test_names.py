"""A name from outside that becomes part of a path is a name, or an error of one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel import cache, names
from everykernel.errors import CacheError, DownloadError

EVIL = ["", ".", "..", "/", "a/b", "../x", "-rf", ".hidden", "a b", "a\nb", "a\0", "ä", "a\u202e", "a:b", "x" * 201]


@pytest.mark.parametrize("name", ["6.1.0-56-cloud-amd64", "6.12.117+deb13", "5.10.262-1~bpo_1", "A", "x" * 200])
def test_names_pass(name: str) -> None:
    """What distributions and kernels are called passes as it is."""
    assert names.checked(name, "a release") == name


@pytest.mark.parametrize("name", EVIL)
def test_what_is_no_name_is_refused_in_one_printable_line(name: str) -> None:
    """What leads elsewhere, or does something to a shell or a terminal, is refused; what is shown of it is escaped."""
    with pytest.raises(DownloadError, match="is no name for a release") as caught:
        names.checked(name, "a release", where="x", error=DownloadError)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii() or len(name) > 200
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", EVIL)
def test_no_path_of_the_cache_is_made_of_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was forgotten where a name enters is caught where the path is made."""
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    with pytest.raises(CacheError, match="is no name for an entry of the cache's kernels"):
        cache.entry("kernels", name)
    assert cache.entry("kernels", "x86_64-6.1_6.1-1") == tmp_path / "cache/kernels/x86_64-6.1_6.1-1"
