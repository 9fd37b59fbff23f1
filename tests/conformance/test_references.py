"""Each reference can be had, also where the archive has moved on from what is pinned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance import libbpf, loading, references

from everykernel.kernels import debian
from everykernel.kernels.debian import Archive
from everykernel.kernels.release import Stale

pytestmark = pytest.mark.conformance

MOVED_ON = "pool/main/l/linux/no-such-package_1.0_all.deb"


def test_a_reference_is_compared_on_the_kernels_that_it_knows() -> None:
    """The newest knows every default kernel, the one before it all but those that came after it."""
    newest, older = references.REFERENCES
    assert all(newest.knows_series(series) for series in loading.KERNELS.split(","))
    assert [s for s in loading.KERNELS.split(",") if not older.knows_series(s)] == ["7.3"]


@pytest.mark.parametrize("reference", references.REFERENCES, ids=str)
def test_a_reference_says_its_version(reference: references.Reference, tmp_path: Path) -> None:
    """The program that is built is of the version that the session prints."""
    assert libbpf.Loader(Archive(), tmp_path, reference).version == f"libbpf v{reference.version}"


def _gone(entry: debian.Entry) -> debian.Entry:
    """Return an entry whose file no archive has."""
    return replace(entry, filename=MOVED_ON, sha256=entry.sha256[::-1])


def test_the_older_one_is_had_from_a_crate_where_debian_has_moved_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sid no longer has the pinned package, the crate's sources of that version are built."""
    gone = {arch: _gone(entry) for arch, entry in references._DEV.items()}
    monkeypatch.setattr(references, "_DEV", gone)
    loader = libbpf.Loader(Archive(), tmp_path, references.REFERENCES[1])
    assert loader.version == "libbpf v1.7"
    assert list(tmp_path.rglob("crate/src/libbpf.c"))


def test_the_older_one_is_had_from_a_crate_where_the_index_of_sid_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror whose sid stands still has no index that is valid; what is pinned by its digest needs none."""

    def old(*_: object) -> None:
        raise Stale("was valid until yesterday")

    monkeypatch.setattr(references, "unpack", old)
    loader = libbpf.Loader(Archive(), tmp_path, references.REFERENCES[1])
    assert loader.version == "libbpf v1.7"


def test_the_newest_is_had_from_the_series_newest_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the archive has another point release of the source package, its signed index vouches for that one."""
    monkeypatch.setattr(references, "_SOURCE", _gone(references._SOURCE))
    assert libbpf.Loader(Archive(), tmp_path).version == "libbpf v1.8"
