"""`dataclass`, `field` and `replace` as the standard library has them, for what a short command imports by the dozen.

The library compiles six methods a class from text when a module is imported, and imports `inspect` for it: half of what
a cold process takes. Here a class is nearly what was written; ``__init__`` is compiled at the first instance, and the
rest needs no text. `dataclasses.replace`, `fields`, `asdict` and `is_dataclass` take such classes as their own.
Modules that use it import annotations from the future; ``__match_args__`` has the names of the fields, in order.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass, field, replace

__all__ = ["dataclass", "field", "replace"]

_NONE: Any = object()  # stands for no default


class _Field:
    """How one field is set and shown."""

    __slots__ = ("compare", "default", "default_factory", "repr")

    def __init__(self, default: Any, default_factory: Any, repr: bool, compare: bool) -> None:
        self.default, self.default_factory = default, default_factory
        self.repr, self.compare = repr, compare


class _ForLibrary:
    """``__dataclass_fields__``, by which the library's functions know a class: made when one of them asks."""

    def __get__(self, instance: object, cls: type) -> dict[str, Any]:
        import dataclasses

        made = []
        for name, (kind, one) in cls.__fields__.items():  # type: ignore[attr-defined]
            told = {"default": one.default, "default_factory": one.default_factory}
            told = {key: value for key, value in told.items() if value is not _NONE}
            made.append((name, kind, dataclasses.field(repr=one.repr, compare=one.compare, **told)))
        twin: Any = dataclasses.make_dataclass(cls.__name__, made, init=False, repr=False, eq=False)
        fields: dict[str, Any] = twin.__dataclass_fields__
        cls.__dataclass_fields__ = fields  # type: ignore[attr-defined]
        return fields


if not TYPE_CHECKING:

    def field(*, default: Any = _NONE, default_factory: Any = _NONE, repr: bool = True, compare: bool = True) -> _Field:
        """Return what a class body says of a field, as `dataclasses.field` does."""
        return _Field(default, default_factory, repr, compare)

    def dataclass(cls: Any = None, /, *, frozen: bool = False) -> Any:
        """Make a class with fields of one that has annotations, as `dataclasses.dataclass` does."""
        return _made(cls, frozen) if cls is not None else lambda one: _made(one, frozen)

    def replace(one: Any, /, **changes: Any) -> Any:
        """Return another instance, with some fields changed, as `dataclasses.replace` does."""
        return type(one)(**{**{name: getattr(one, name) for name in one.__fields__}, **changes})


def _made(cls: Any, frozen: bool) -> Any:
    fields = _fields(cls)
    compared = _values([name for name, (_, one) in fields.items() if one.compare])
    shown = [name for name, (_, one) in fields.items() if one.repr]

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        cls.__init__ = _init(fields, frozen)
        cls.__init__(self, *args, **kwargs)

    def text(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def equal(self: Any, other: Any) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def digest(self: Any) -> int:
        return hash(compared(self))

    def refuse(self: Any, name: str, *value: Any) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot {'assign to' if value else 'delete'} field {name!r}")

    own = {"__init__": init, "__repr__": text, "__eq__": equal, "__hash__": digest if frozen else None}
    if frozen:
        own.update(__setattr__=refuse, __delattr__=refuse)
    for name, method in own.items():
        setattr(cls, name, method)
    cls.__fields__ = fields
    cls.__match_args__ = tuple(fields)  # type: ignore[misc]
    cls.__dataclass_fields__ = _ForLibrary()
    return cls


def _fields(cls: Any) -> dict[str, tuple[str, _Field]]:
    """Return a class's fields, those of its bases first, with their annotations; leave only defaults in its body."""
    found: dict[str, tuple[str, _Field]] = {}
    for base in cls.__mro__[-1:0:-1]:
        found.update(vars(base).get("__fields__", {}))
    # A class has annotations of its own since Python 3.10; before, one without any shows those of a base, or none.
    own = cls.__annotations__ if sys.version_info >= (3, 10) else vars(cls).get("__annotations__", {})
    for name, kind in own.items():
        if kind.startswith("ClassVar["):
            continue
        said = vars(cls).get(name, _NONE)
        one = said if isinstance(said, _Field) else _Field(said, _NONE, True, True)
        if said is one:
            delattr(cls, name)
            if one.default is not _NONE:
                setattr(cls, name, one.default)
        found[name] = (kind, one)
    return found


def _values(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that gives these attributes of an object as a tuple."""
    return attrgetter(*names) if len(names) > 1 else lambda one: tuple(getattr(one, name) for name in names)


def _init(fields: dict[str, tuple[str, _Field]], frozen: bool) -> Callable[..., None]:
    """Return ``__init__`` of a class: compiled, for it is what a class with many instances spends its time in."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_none": _NONE}
    parameters, lines = ["self"], []
    for name, (_, one) in fields.items():
        default: Optional[str] = None
        value = name
        if one.default_factory is not _NONE:
            known[f"_new_{name}"] = one.default_factory
            default, value = "_none", f"_new_{name}() if {name} is _none else {name}"
        elif one.default is not _NONE:
            default = f"_default_{name}"
            known[default] = one.default
        parameters.append(name if default is None else f"{name}={default}")
        lines.append(f" _set(self, {name!r}, {value})" if frozen else f" self.{name} = {value}")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or [" pass"]), known)
    made: Callable[..., None] = known["__init__"]
    return made
