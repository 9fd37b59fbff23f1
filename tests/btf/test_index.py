"""Types by name: flavours (what follows the last triple underscore); a search and a sorted index find the same."""

from __future__ import annotations

import random
from array import array

import pytest

from everykernel.btf.index import NameIndex, StringTable, essential


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___a", "___a"),
        ("a___", "a___"),
        ("a____b", "a____b"),
        ("_a___b_", "_a"),
        ("a___b____c", "a"),
        ("a___b", "a"),
        ("__", "__"),
        ("", ""),
    ],
)
def test_essential_name(name: str, expected: str) -> None:
    """A flavour stands behind three underscores between two other characters, and only the last one counts."""
    assert essential(name) == expected


def _index(seed: int) -> tuple[NameIndex, list[str]]:
    """Return an index of names, some of them shared, anonymous, inside longer strings, or written twice."""
    choose = random.Random(seed)
    parts = ("a", "b", "task", "task_struct", "_", "___old", "___new", "2", "A")
    names = ["".join(choose.choices(parts, k=choose.randint(1, 3))) for _ in range(60)]
    data = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    offsets = array("I", [0, 0] + [choose.randrange(len(data) + 4) for _ in range(150)])
    return NameIndex(offsets, 1, (StringTable(data, 0),)), names


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("flavours", [False, True])
def test_sorted_and_searched(seed: int, *, flavours: bool) -> None:
    """What is sorted finds what a search finds, wherever names point."""
    built, names = _index(seed)
    built.build()
    for name in [*names, *(name[1:] for name in names), "", "nope", "task", "a\0b", "zz"]:
        searched, _ = _index(seed)
        assert built.find(name, flavours=flavours) == searched.find(name, flavours=flavours), name


def test_names_that_would_be_too_large_are_searched() -> None:
    """Types that all point into one long string do not take its size each."""
    text = b"x" * (1 << 14)
    index = NameIndex(array("I", range(1, 1 << 13)), 1, (StringTable(b"\0" + text + b"\0", 0),))
    index.build()
    assert index.find("x" * len(text), flavours=False) == [1]
    assert index.find("x" * (len(text) - 9), flavours=True) == [10]
