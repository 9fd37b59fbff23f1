"""A suite's signed index of indexes, InRelease: that it is the suite's that was asked for, and not an old one.

A signature says who wrote an index, not for which request it is the answer. Whoever stands between may answer with
another suite's, or with one from before a fix. So its Codename or Suite must be what was asked for, and its Valid-Until
must lie ahead. Debian's point releases have no Valid-Until: of those, none may be older than what was had before. A
*frozen* suite, one that Debian has ended, is told apart by the catalogue, which has the date of its last index: nothing
that is older passes, and its Valid-Until (if it has one) is history.
"""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Mapping
from dataclasses import dataclass

from everykernel.errors import DownloadError
from everykernel.kernels.control import fields

_OTHER_MIRROR = "set EVERYKERNEL_DEBIAN_MIRROR to another mirror"


class Stale(DownloadError):
    """An index that was good once: a mirror that is out of date, or somebody who replays it."""


@dataclass(frozen=True)
class Release:
    """What an InRelease says.

    Attributes:
        names: its codename and its suite (``bookworm``, ``oldstable``).
        date: when it was written.
        until: when it ends to be valid, None if it does not say.
        files: SHA-256 (hex) and size in bytes of each index, by its path below the suite's folder.
    """

    names: tuple[str, str]
    date: datetime.datetime
    until: datetime.datetime | None
    files: Mapping[str, tuple[str, int]]

    @classmethod
    def read(cls, text: bytes, where: str) -> Release:
        """Return what the signed text says; raise DownloadError if it has no Date."""
        found = fields(text.decode("utf-8", "replace"))
        rows = (line.split() for line in found.get("sha256", "").split("\n"))
        files = {row[2]: (row[0].lower(), int(row[1])) for row in rows if len(row) == 3 and row[1].isdecimal()}
        date = _time(found.get("date", ""))
        if date is None:
            raise DownloadError("has no Date that can be read", where=where, remedy=_OTHER_MIRROR)
        names = (found.get("codename", ""), found.get("suite", ""))
        return cls(names, date, _time(found.get("valid-until", "")), files)

    def check(self, suite: str, where: str, *, frozen: datetime.date | None, now: datetime.datetime) -> None:
        """Check that this is the index of ``suite``, as it is now.

        Args:
            suite: what was asked for.
            where: the URL, for errors.
            frozen: the day of the suite's last index, None for a suite that is alive.
            now: the time.

        Raises:
            DownloadError: it is another suite's.
            Stale: it is an old one.
        """
        if suite not in self.names:
            is_of = " or ".join(name for name in dict.fromkeys(self.names) if name) or "no suite"
            remedy = f"do not use this mirror; {_OTHER_MIRROR}"
            raise DownloadError(f"is the index of {is_of}, not of {suite}", where=where, remedy=remedy)
        if frozen is not None:
            if self.date.date() < frozen:
                raise Stale(
                    f"is of {self.date:%F}, and the last one is of {frozen:%F}", where=where, remedy=_OTHER_MIRROR
                )
        elif self.until is not None and self.until < now:
            raise Stale(
                f"was valid until {self.until:%F %H:%M}, and now is {now:%F %H:%M} UTC",
                where=where,
                remedy=f"look at this host's clock; if it is right, the mirror is out of date: {_OTHER_MIRROR}",
            )

    def check_not_before(self, known: float, where: str) -> None:
        """Check that this index is not older than one of the time ``known`` (seconds since the epoch, 0.0: none)."""
        if self.date.timestamp() < known:
            before = datetime.datetime.fromtimestamp(known, datetime.UTC)
            text = f"is of {self.date:%F %H:%M}, older than the one of {before:%F %H:%M} that was had before"
            raise Stale(text, where=where, remedy=_OTHER_MIRROR)


def _time(text: str) -> datetime.datetime | None:
    """Return a time as Debian writes it (``Thu, 26 Nov 2026 21:03:35 UTC``), None for what is none."""
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found
