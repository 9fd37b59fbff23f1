"""Shards: which cells of a run are whose, where several machines divide it.

A shard is decided by what the cells are, never by their place: kernels, objects and tests may be listed in any order.

Where there are at least as many kernels as shards, each kernel is one shard's alone: the largest first, each to the
shard that has least so far. A kernel is then downloaded, booted, snapshotted and cached once, and a boot costs as much
as many cells. Where there are fewer, all cells stand in a line, kernel after kernel, and the line is cut into pieces of
equal length: most pieces still meet one kernel, none is longer than another by more than what belongs together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from everykernel.errors import UsageError

_TEXT = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


class Unit(NamedTuple):
    """A cell, as shards see it.

    Attributes:
        kernel: its kernel's spec.
        name: what tells it from the other cells of the run.
        group: what it cannot be parted from (tests that share a guest); "" for nothing.
    """

    kernel: str
    name: str
    group: str = ""


@dataclass(frozen=True)
class Shard:
    """One of several shards, counted from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str, where: str = "--shard") -> Shard:
        """Return the shard that ``2/4`` means; raise UsageError for what is none."""
        found = _TEXT.fullmatch(text.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"{text!r} is no shard", where=where, remedy="2/4 is the second of four")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, units: Iterable[Unit]) -> set[Unit]:
        """Return those of a run's cells that are this shard's; over all shards, each cell is in one."""
        every = set(units)
        kernels = {unit.kernel for unit in every}
        dealt = _by_kernel(every, self.count) if len(kernels) >= self.count else _in_line(every, self.count)
        return {unit for unit in every if dealt[unit] == self.index - 1}


def _by_kernel(units: Iterable[Unit], count: int) -> dict[Unit, int]:
    """Return each cell's shard, that of its kernel: the largest kernels first, each to the shard that has least."""
    by_kernel: dict[str, list[Unit]] = {}
    for unit in units:
        by_kernel.setdefault(unit.kernel, []).append(unit)
    loads = [0] * count
    dealt = {}
    for kernel in sorted(by_kernel, key=lambda kernel: (-len(by_kernel[kernel]), _digest(kernel), kernel)):
        least = min(range(count), key=lambda number: (loads[number], number))
        loads[least] += len(by_kernel[kernel])
        dealt.update(dict.fromkeys(by_kernel[kernel], least))
    return dealt


def _in_line(units: Iterable[Unit], count: int) -> dict[Unit, int]:
    """Return each cell's shard, that of its place in the line; what belongs together goes where its first cell is."""
    groups: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        groups.setdefault((unit.kernel, unit.group or f"\0{unit.name}"), []).append(unit)
    line = sorted(groups, key=lambda one: (_digest(one[0]), one[0], _digest(one[1]), one[1]))
    total, place = sum(map(len, groups.values())), 0
    dealt = {}
    for one in line:
        dealt.update(dict.fromkeys(groups[one], place * count // total))
        place += len(groups[one])
    return dealt


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def told(shard: Shard, own: Sequence[object], total: int) -> str:
    """Return how many cells of a run are a shard's, and that there is nothing to run where it has none by right."""
    text = f"shard {shard}: {len(own)} of {total} cell{'' if total == 1 else 's'}"
    return text if own else f"{text}: there is nothing to run, the other shards have them all"
