"""A signed index answers for the suite that was asked for, as it is now: nobody can replay another or an old one."""

from __future__ import annotations

import dataclasses
import datetime
import time

import pytest

from everykernel.errors import DownloadError
from everykernel.kernels.catalogue import load
from everykernel.kernels.debian import Archive
from everykernel.kernels.release import Release, Stale

from .archive import CATALOGUE, DATE, Server, TestTrust, TinyArchive
from .test_download import Recorder
from .test_index import INRELEASE, age, names

DAY = 86400.0


def frozen(tiny: TinyArchive, day: datetime.date) -> Archive:
    catalogue = dataclasses.replace(CATALOGUE, frozen={"old-security": day})
    return Archive(catalogue=catalogue, mirror=tiny.mirror(), trust=TestTrust("gpgv", ()), update=True)


def test_another_suites_index_is_refused(tiny: TinyArchive, server: Server) -> None:
    """An index that is signed, and of another suite, is no answer, not even where an old one is cached."""
    assert names(tiny.archive())
    tiny.publish(codename="stable-security")
    for archive in (tiny.archive(update=True), tiny.archive(update=True)):
        with pytest.raises(DownloadError) as caught:
            names(archive)
        assert str(caught.value) == (
            f"{server.url}{INRELEASE}: is the index of stable-security or old, not of old-security "
            "[do not use this mirror; set EVERYKERNEL_DEBIAN_MIRROR to another mirror]"
        )


def test_an_index_that_has_ended_is_refused(tiny: TinyArchive, server: Server) -> None:
    """Past its Valid-Until an index is no answer; the error names both times and the clock."""
    tiny.publish(until=time.time() - DAY)
    with pytest.raises(Stale) as caught:
        names(tiny.archive())
    assert str(caught.value).startswith(f"{server.url}{INRELEASE}: was valid until 20")
    assert "UTC [look at this host's clock; if it is right, the mirror is out of date: set EVERYK" in str(caught.value)
    tiny.publish(until=time.time() + DAY)
    assert names(tiny.archive())


def test_a_cached_index_serves_where_the_mirror_has_an_old_one(tiny: TinyArchive) -> None:
    """A mirror that is out of date is like one that is out of reach: the cached index serves, and that is said."""
    expected = names(tiny.archive())
    age("old-security", 2 * DAY)
    tiny.publish(until=time.time() - DAY)
    recorder = Recorder()
    assert [e.name for e in tiny.archive().index("old-security", "amd64", recorder).kernels()] == expected
    (note,) = recorder.notes
    assert note.startswith("old-security: using the cached index, 2.0 days old (was valid until ")


def test_an_index_from_before_the_cached_one_is_not_taken(tiny: TinyArchive, server: Server) -> None:
    """A suite without Valid-Until cannot be taken back to an older state."""
    expected = names(tiny.archive())
    tiny.packages.clear()
    tiny.add("old-security", "linux-image-5.10.0-1-cloud-amd64", "5.10.1-1", b"an old kernel with holes")
    tiny.publish(date=DATE - 30 * DAY)
    recorder = Recorder()
    archive = tiny.archive(update=True)
    assert [e.name for e in archive.index("old-security", "amd64", recorder).kernels()] == expected
    assert "older than the one of" in recorder.notes[0]
    assert "that was had before" in recorder.notes[0]


def test_a_frozen_suite_is_told_apart(tiny: TinyArchive, server: Server) -> None:
    """What Debian has ended may be past its Valid-Until, and may not be older than its last index."""
    tiny.publish(until=DATE + 7 * DAY)
    assert time.time() > DATE + 7 * DAY
    with pytest.raises(Stale):
        names(tiny.archive())
    last = datetime.datetime.fromtimestamp(DATE, datetime.UTC).date()
    assert names(frozen(tiny, last))
    with pytest.raises(Stale) as caught:
        Release.read(b"Codename: a\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n", "x").check(
            "a", "x", frozen=datetime.date(2026, 9, 12), now=datetime.datetime.now(datetime.UTC)
        )
    assert str(caught.value) == (
        "x: is of 2026-01-01, and the last one is of 2026-09-12 [set EVERYKERNEL_DEBIAN_MIRROR to another mirror]"
    )


@pytest.mark.parametrize("date", ["", "Date: yesterday\n", "Date: Thu, 99 Foo 2026\n"])
def test_an_index_without_a_date_is_refused(date: str) -> None:
    """What does not say when it was written proves nothing."""
    with pytest.raises(DownloadError) as caught:
        Release.read(f"Codename: a\n{date}".encode(), "x")
    assert str(caught.value) == "x: has no Date that can be read [set EVERYKERNEL_DEBIAN_MIRROR to another mirror]"


def test_what_is_frozen_is_among_the_catalogues_suites() -> None:
    """A misspelt row of the catalogue would free nothing: each names a suite that a series comes from."""
    catalogue = load()
    suites = {suite for row in catalogue.series.values() for suite in (*row.suites, *row.more)}
    assert set(catalogue.frozen) == {"bullseye", "bullseye-security"}
    assert set(catalogue.frozen) <= suites
    assert all(isinstance(day, datetime.date) for day in catalogue.frozen.values())
