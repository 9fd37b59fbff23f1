"""Shards: each cell in one of them, whatever the order, and a kernel in as few as can be."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everykernel.errors import UsageError
from everykernel.matrix.shard import Shard, Unit, told

UNITS = st.lists(
    st.builds(
        Unit, st.sampled_from(["5.10", "6.1", "6.12", "7.3", ""]), st.text(max_size=3), st.sampled_from(["", "g", "h"])
    ),
    max_size=60,
    unique=True,
)  # fmt: skip


@given(UNITS, st.integers(1, 9), st.randoms())
def test_each_cell_is_in_one_shard_whatever_the_order(units: list[Unit], count: int, chance: random.Random) -> None:
    """All shards together are the whole, and shuffling what is run moves nothing."""
    shards = [Shard(index, count).of(units) for index in range(1, count + 1)]
    assert sum(map(len, shards)) == len(units)
    assert set().union(*shards) == set(units)
    chance.shuffle(units)
    assert [Shard(index, count).of(units) for index in range(1, count + 1)] == shards


@given(UNITS, st.integers(1, 9))
def test_what_shares_a_guest_stays_together(units: list[Unit], count: int) -> None:
    """Tests of one kernel that share a guest are one shard's."""
    homes: dict[tuple[str, str], set[int]] = {}
    for index in range(1, count + 1):
        for unit in Shard(index, count).of(units):
            if unit.group:
                homes.setdefault((unit.kernel, unit.group), set()).add(index)
    assert all(len(home) == 1 for home in homes.values())


@pytest.mark.parametrize("count", range(1, 13))
def test_cells_are_balanced_where_kernels_are_few(count: int) -> None:
    """Two kernels, a hundred objects: no shard has more than one cell more than another, and few boot both kernels."""
    units = [Unit(kernel, f"o{n}") for kernel in ("6.1", "6.12") for n in range(100)]
    shards = [Shard(index, count).of(units) for index in range(1, count + 1)]
    sizes = [len(shard) for shard in shards]
    if count > 2:
        assert max(sizes) - min(sizes) <= 1
    assert sum(len({unit.kernel for unit in shard}) for shard in shards) <= count + 1


def test_a_kernel_is_one_shards_where_there_are_enough() -> None:
    """Six kernels in four shards: each is booted once, and the largest have a shard of their own."""
    sizes = {"5.10": 10, "5.15": 10, "6.1": 10, "6.6": 10, "6.12": 40, "7.3": 40}
    units = [Unit(kernel, f"o{n}") for kernel, size in sizes.items() for n in range(size)]
    shards = [Shard(index, 4).of(units) for index in range(1, 5)]
    assert sum(Counter(kernel for shard in shards for kernel in {unit.kernel for unit in shard}).values()) == 6
    assert sorted(len(shard) for shard in shards) == [20, 20, 40, 40]


def test_more_shards_than_cells_leave_some_empty() -> None:
    """That is said, and is no error by itself."""
    units = [Unit("6.1", name) for name in "abc"]
    sizes = [len(Shard(index, 5).of(units)) for index in range(1, 6)]
    assert sorted(sizes) == [0, 0, 1, 1, 1]
    assert told(Shard(2, 5), [], 3) == (
        "shard 2/5: 0 of 3 cells: there is nothing to run, the other shards have them all"
    )
    assert told(Shard(2, 5), [1], 3) == "shard 2/5: 1 of 3 cells"


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2", "1/99999", "²/4"])
def test_what_is_no_shard(text: str) -> None:
    """A shard is one of so many, counted from 1."""
    with pytest.raises(UsageError, match=r"is no shard \[2/4 is the second of four\]"):
        Shard.parse(text)
    assert str(Shard.parse(" 2/4 ")) == "2/4"
