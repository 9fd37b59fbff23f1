"""The columns of the page: what each kernel is, and the order that makes neighbours of what belongs together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from everykernel.escaping import printable
from everykernel.loaders.names import OWN
from everykernel.report import columns
from everykernel.report.columns import Column

_SERIES = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_NAMED = re.compile(r"([a-z][a-z-]*)(?=:|\d)")


@dataclass(frozen=True)
class Head:
    """One column.

    Attributes:
        column: its record.
        name: the spec, with the loader behind it where that is not our own: what cells name.
        vendor: the source of the kernel's package: ``debian``.
        arch: ``x86_64``.
        series: ``6.1``, "" where nothing tells.
        group: what its neighbours share with it and others lack: ``debian · i386``; "" where there is one group.
    """

    column: Column
    name: str
    vendor: str
    arch: str
    series: str
    group: str

    @property
    def of(self) -> str:
        """The kernel's spec alone."""
        return self.column["of"]

    @property
    def order(self) -> tuple[int, int, int]:
        """The version that its release begins with, for sorting."""
        return _version(self.column)

    @property
    def release(self) -> str:
        """The release without the flavour, printable; "" where no guest told."""
        return printable(columns.short_release(self.column))

    @property
    def btf(self) -> str:
        """What is known of its BTF: ``BTF``, ``no BTF``, ``BTF ?`` or ``missing``."""
        return columns.btf(self.column)


def heads(drawn: Sequence[Column]) -> list[Head]:
    """Return the columns, those of a loader, vendor and architecture together, by version within them."""
    vendors = _known(drawn, _vendor)
    arches = _known(drawn, _arch)
    loaders = [column.get("loader", OWN) for column in drawn]
    told = [
        [value for value, all_of in zip(one, (loaders, vendors, arches)) if len(set(all_of)) > 1]
        for one in zip(loaders, vendors, arches)
    ]
    made = [
        Head(column, column["spec"], vendor, arch, _series(column), printable(" · ".join(group)))
        for column, vendor, arch, group in zip(drawn, vendors, arches, told)
    ]
    first: dict[tuple[str, str, str], int] = {}
    for number, head in enumerate(made):
        first.setdefault((head.column.get("loader", OWN), head.vendor, head.arch), number)
    places = {head.name: first[head.column.get("loader", OWN), head.vendor, head.arch] for head in made}
    return sorted(made, key=lambda head: (places[head.name], head.order))


def spans(of: Sequence[Head], what: Callable[[Head], str]) -> list[tuple[str, int]]:
    """Return what neighbouring columns share, and how many they are."""
    found: list[tuple[str, int]] = []
    for head in of:
        if found and found[-1][0] == what(head):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((what(head), 1))
    return found


def _known(drawn: Sequence[Column], what: Callable[[Column], str]) -> list[str]:
    """Return what each column is, the usual where a kernel that is missing tells nothing."""
    found = [what(column) for column in drawn]
    usual = Counter(filter(None, found)).most_common(1)
    return [one or (usual[0][0] if usual else "") for one in found]


def _vendor(column: Column) -> str:
    source = column.get("source", "").partition(":")[0]
    named = _NAMED.match(column["of"])
    return source or (named[1] if named else "")


def _arch(column: Column) -> str:
    arch = column.get("arch", "")
    return arch or (column["of"].rpartition("/")[2] if re.search(r"\d/\w+$", column["of"]) else "")


def _series(column: Column) -> str:
    major, minor, _ = _version(column)
    return f"{major}.{minor}" if major else ""


def _version(column: Column) -> tuple[int, int, int]:
    found = _SERIES.match(column.get("release", "")) or _SERIES.search(column["of"])
    return (int(found[1][:9]), int(found[2][:9]), int((found[3] or "0")[:9])) if found else (0, 0, 0)
