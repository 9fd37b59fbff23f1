"""`NamedTuple` as `typing` has it, for what a short command imports by the dozen.

The library compiles a constructor from text for each class when its module is imported, and wraps each annotation. Here
the constructor is compiled at the first instance, and the rest needs no text.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import sys
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NamedTuple

__all__ = ["NamedTuple"]

if not TYPE_CHECKING:

    def _element(position: int, _: None) -> Any:
        return property(itemgetter(position))

    with contextlib.suppress(ImportError):  # what the library takes where it is there: half as fast again
        from _collections import _tuplegetter as _element

    class _Made(type):
        """The class of classes with named elements."""

        def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            """Make a class of its annotations, each an element, with the default that its body gives it."""
            made = super().__new__(meta, name, bases, {**body, "__slots__": ()})
            # A class has annotations of its own since Python 3.10; before, one without any shows those of a base.
            own = made.__annotations__ if sys.version_info >= (3, 10) else body.get("__annotations__", {})
            if not own and hasattr(made, "_fields"):  # of a class with elements: as that
                return made
            made._fields = made.__match_args__ = fields = tuple(own)
            made._field_defaults = {field: body[field] for field in fields if field in body}
            for position, field in enumerate(fields):
                setattr(made, field, _element(position, None))
            if fields:
                made.__new__ = _first
            return made

    def _first(cls: type, *args: Any, **kwargs: Any) -> Any:
        cls.__new__ = _constructor(cls)
        return cls(*args, **kwargs)

    class NamedTuple(tuple, metaclass=_Made):
        """A tuple whose elements have names."""

        @classmethod
        def _make(cls, values: Iterable[Any]) -> Any:
            """Return an instance of all of its elements."""
            return cls(*values)

        def _replace(self, /, **changes: Any) -> Any:
            """Return another instance, with some elements changed."""
            return type(self)(**{**self._asdict(), **changes})

        def _asdict(self) -> dict[str, Any]:
            """Return the elements by their names."""
            return dict(zip(self._fields, self))

        def __repr__(self) -> str:
            shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
            return f"{type(self).__name__}({shown})"

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)


def _constructor(cls: Any) -> Callable[..., Any]:
    """Return ``__new__`` of a class."""
    fields, defaults = cls._fields, cls._field_defaults
    parameters = [f"{field}=_defaults[{field!r}]" if field in defaults else field for field in fields]
    known: dict[str, Any] = {"_defaults": defaults, "_new": tuple.__new__}
    made: Callable[..., Any] = eval(f"lambda _cls, {', '.join(parameters)}: _new(_cls, ({', '.join(fields)},))", known)
    made.__qualname__ = f"{cls.__name__}.__new__"
    return made
