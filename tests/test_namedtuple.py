"""`everykernel.namedtuple` makes what the standard library's makes."""

from __future__ import annotations

import copy
import pickle
import typing
from typing import Any

import pytest

from everykernel import namedtuple as ours


class Place(ours.NamedTuple):
    """Some elements."""

    file: str
    line: int = 1

    @property
    def text(self) -> str:
        """Both."""
        return f"{self.file}:{self.line}"


class Library(typing.NamedTuple):
    """`Place` by the standard library."""

    file: str
    line: int = 1


class Nothing(ours.NamedTuple):
    """No elements."""


class Derived(Place):
    """The elements of another, and a method."""

    def upper(self) -> str:
        """Return the file in capitals."""
        return self.file.upper()


def test_instances_are_as_the_librarys() -> None:
    """Arguments, defaults, text, comparison, hash and length: they are tuples."""
    one, other = Place("a.c"), Library("a.c")
    assert repr(one) == repr(other).replace("Library", "Place")
    assert tuple(one) == tuple(other) == one == ("a.c", 1)
    assert hash(one) == hash(other)
    assert one in {("a.c", 1)}
    assert Place(line=3, file="b.c") == ("b.c", 3) > one
    file, line = one
    assert (file, line, len(one), one[1], one.text) == ("a.c", 1, 2, 1, "a.c:1")
    assert isinstance(one, tuple)
    assert Nothing() == ()
    derived = Derived("a.c")
    assert (derived, derived.upper(), derived.text, Derived._fields) == (one, "A.C", "a.c:1", one._fields)
    assert repr(derived) == "Derived(file='a.c', line=1)"


def test_what_the_library_has_beside() -> None:
    """`_replace`, `_asdict`, `_make`, `_fields`, defaults, and the names that `match` goes by."""
    one = Place("a.c")
    assert one._replace(line=2) == Place("a.c", 2)
    assert one._asdict() == Library("a.c")._asdict()
    assert Place._make(["b.c", 4]) == Place("b.c", 4)
    assert Place._fields == Library._fields
    assert Place._field_defaults == Library._field_defaults
    assert typing.get_type_hints(Place) == {"file": str, "line": int}
    match one:
        case Place(name, 1):
            assert name == "a.c"
        case _:
            pytest.fail("no match")


def test_wrong_arguments() -> None:
    """What is missing, or too much, is a TypeError that names the class, each time; nothing can be set."""
    made: Any = Place
    for _ in range(2):
        with pytest.raises(TypeError, match=r"Place.__new__\(\) missing 1 required positional argument: 'file'"):
            made()
        with pytest.raises(TypeError, match="unexpected keyword argument 'column'"):
            made("a.c", column=1)
        with pytest.raises(TypeError, match="column"):
            made("a.c")._replace(column=1)
    with pytest.raises(AttributeError):
        made("a.c").line = 2
    with pytest.raises(AttributeError):
        made("a.c").column = 2


def test_instances_travel() -> None:
    """They can be copied and pickled."""
    one = Place("a.c", 7)
    found = pickle.loads(pickle.dumps(one))
    assert found == copy.deepcopy(one) == copy.copy(one) == one
    assert type(found) is Place
