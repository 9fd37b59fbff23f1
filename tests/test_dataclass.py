"""`everykernel.dataclass` makes what the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from everykernel import dataclass as ours


@ours.dataclass(frozen=True)
class Frozen:
    """Some fields."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = ours.field(default_factory=tuple)
    d: bytes = ours.field(default=b"", repr=False, compare=False)

    @property
    def double(self) -> int:
        """Twice a."""
        return 2 * self.a


@ours.dataclass
class Open:
    """Not frozen."""

    a: int
    c: list[int] = ours.field(default_factory=list)


@ours.dataclass(frozen=True)
class Derived(Frozen):
    """With a field more."""

    e: int = 7


@dataclasses.dataclass(frozen=True)
class Library:
    """`Frozen` by the standard library."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = dataclasses.field(default_factory=tuple)
    d: bytes = dataclasses.field(default=b"", repr=False, compare=False)


def test_instances_are_as_the_librarys() -> None:
    """Arguments, defaults, text, comparison and hash."""
    one, other = Frozen(1, c=(2,), d=b"z"), Library(1, c=(2,), d=b"z")
    assert repr(one) == repr(other).replace("Library", "Frozen")
    assert vars(one) == vars(other)
    assert hash(one) == hash(other)
    assert one == Frozen(1, "x", (2,)) != Frozen(1)
    assert one.__eq__(other) is NotImplemented
    assert one.double == 2
    assert repr(Derived(1, e=8)) == "Derived(a=1, b='x', c=(), e=8)"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        Frozen()  # type: ignore[call-arg]


def test_frozen_is_frozen() -> None:
    """What is frozen cannot be assigned to or deleted; what is not has no hash."""
    one: Any = Frozen(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'a'"):
        one.a = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'a'"):
        del one.a
    changing = Open(1)
    changing.a = 2
    assert changing == Open(2)
    assert changing.c is not Open(2).c
    with pytest.raises(TypeError, match="unhashable"):
        hash(changing)


def test_the_library_takes_them_as_its_own() -> None:
    """`replace`, `fields`, `asdict` and `is_dataclass`, of an instance and of a class that has none yet."""

    @ours.dataclass(frozen=True)
    class Fresh:
        a: int
        b: str = "x"

    assert [(f.name, f.type) for f in dataclasses.fields(Fresh)] == [("a", "int"), ("b", "str")]
    assert dataclasses.replace(Fresh(1), b="y") == ours.replace(Fresh(1), b="y") == Fresh(1, "y")
    assert dataclasses.asdict(Derived(1)) == {"a": 1, "b": "x", "c": (), "d": b"", "e": 7}
    assert dataclasses.is_dataclass(Open)
    assert [f.name for f in dataclasses.fields(Derived)] == ["a", "b", "c", "d", "e"]


def test_instances_travel() -> None:
    """They can be copied and pickled."""
    one = Derived(1, "y", (3,), b"d", 4)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
