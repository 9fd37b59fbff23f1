"""The loader contract: what a tool's own user space decides before it loads an object, as plain values.

The form is documented in docs/cases.md. Reading is strict, and the same for a case.toml on the host and for keyword
arguments on a target: an unknown key or a value of the wrong type is a UsageError that names the nearest key.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, Union

from everykernel.errors import UsageError
from everykernel.object.maps import MAP_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEYS = ("programs", "skip", "may_fail", "targets", "maps", "globals", "kconfig", "variants")
NEEDS = ("helper", "function", "tracepoint", "btf", "map_type", "program_type")
"""What a variant can ask of a kernel, each found out by a probe (`load.needs`)."""

_MAP_KEYS = ("create", "type", "max_entries", "key_size", "value_size")
_VARIANT_KEYS = ("programs", "targets", "needs")
_CPUS, _PID_MAX, _PAGES = "cpus", "pid_max", " pages"


@dataclass(frozen=True)
class MapTerms:
    """What is decided about one map; None: as declared.

    Attributes:
        max_entries: a number, ``cpus`` (one a possible CPU), ``pid_max`` (the kernel's setting) or ``N pages``.
        key_size, value_size: in bytes.
        type: the name of another map type.
        create: False: it is left out, and what refers to it is an invalid instruction.
    """

    max_entries: Optional[Union[int, str]] = None
    key_size: Optional[int] = None
    value_size: Optional[int] = None
    type: Optional[str] = None
    create: bool = True

    def entries(self, cpus: int, page: int, pid_max: int) -> Optional[int]:
        """Return ``max_entries`` as a number on a machine with so many CPUs, so large pages and this ``pid_max``."""
        told = self.max_entries
        if not isinstance(told, str):
            return told
        return {_CPUS: cpus, _PID_MAX: pid_max}.get(told) or int(told[: -len(_PAGES)]) * page


@dataclass(frozen=True)
class Variant:
    """One way to do what its group is for: programs that load together, or not at all.

    Attributes:
        programs: their names; none stands for doing without.
        targets: what they attach to instead of what their sections name.
        needs: what the kernel has to have, by a key of `NEEDS`; the variant is passed over where it does not.
    """

    programs: tuple[str, ...]
    targets: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What records and messages call it: its programs, with the targets that it gives them."""
        names = (f"{p} at {self.targets[p]}" if p in self.targets else p for p in self.programs)
        return ", ".join(names) or "none"


@dataclass(frozen=True)
class Contract:
    """What is decided before an object is loaded.

    Attributes:
        programs: only these load, beside those of variants; None: all.
        skip: these do not.
        may_fail: these are tried, and their refusal fails nothing.
        targets: what programs attach to instead of what their sections name.
        maps: what is decided about maps, by their names.
        globals: initial values of global variables, by name.
        kconfig: values of configuration externs, as text of a kernel's .config, by name.
        variants: groups, by name: of each, the first variant that the kernel takes is kept.
    """

    programs: Optional[tuple[str, ...]] = None
    skip: tuple[str, ...] = ()
    may_fail: tuple[str, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, MapTerms] = field(default_factory=dict)
    globals: Mapping[str, Any] = field(default_factory=dict)
    kconfig: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, tuple[Variant, ...]] = field(default_factory=dict)

    @property
    def grouped(self) -> dict[str, str]:
        """The group of each program that belongs to one."""
        return {p: group for group, variants in self.variants.items() for v in variants for p in v.programs}


def parse(table: Mapping[str, Any], where: str) -> Contract:
    """Return the contract that a table (of a case.toml, or keyword arguments) states; raise UsageError."""
    _keys(table, KEYS, where)
    found = Contract(
        programs=_names(table, "programs", where) if "programs" in table else None,
        skip=_names(table, "skip", where),
        may_fail=_names(table, "may_fail", where),
        targets=_texts(table, "targets", where),
        maps={name: _terms(terms, f"{where}: maps.{name}") for name, terms in _table(table, "maps", where).items()},
        globals=dict(_table(table, "globals", where)),
        kconfig={name: _setting(name, v, where) for name, v in _table(table, "kconfig", where).items()},
        variants={g: _group(v, f"{where}: variants.{g}") for g, v in _table(table, "variants", where).items()},
    )
    _check(found, where)
    return found


def _check(found: Contract, where: str) -> None:
    """Refuse what contradicts itself: a program that is decided about twice."""
    owner: dict[str, str] = {}
    for group, variants in found.variants.items():
        for name in {p for v in variants for p in v.programs}:
            if owner.setdefault(name, group) != group:
                raise UsageError(f"program {name!r} is in the variants {owner[name]!r} and {group!r}", where=where)
    for key, names in (("skip", found.skip), ("programs", found.programs or ()), ("may_fail", found.may_fail)):
        for name in names:
            if name in owner:
                raise UsageError(f"{key}: program {name!r} belongs to the variants {owner[name]!r}", where=where)
            if key != "skip" and name in found.skip:
                raise UsageError(f"{key}: program {name!r} is skipped", where=where)


def _group(value: Any, where: str) -> tuple[Variant, ...]:
    if not isinstance(value, (list, tuple)) or not value or not all(_is_table(v) for v in value):
        raise UsageError("is not a list of tables", where=where, remedy="write [[contract.variants.NAME]]")
    return tuple(_variant(v, f"{where} {number}") for number, v in enumerate(value, 1))


def _variant(table: Mapping[str, Any], where: str) -> Variant:
    _keys(table, _VARIANT_KEYS, where)
    if "programs" not in table:
        raise UsageError("has no programs", where=where, remedy="programs = [] stands for doing without")
    programs, targets = _names(table, "programs", where), _texts(table, "targets", where)
    for name in targets:
        known(name, programs, f"{where}: targets", "program")
    needs = _texts(table, "needs", where)
    _keys(needs, NEEDS, f"{where}: needs")
    return Variant(programs, targets, needs)


def _terms(table: Any, where: str) -> MapTerms:
    if not _is_table(table):
        raise UsageError(f"{table!r} is not a table", where=where, remedy='write {max_entries = "cpus"}')
    _keys(table, _MAP_KEYS, where)
    entries = table.get("max_entries")
    if isinstance(entries, str):
        number = entries[: -len(_PAGES)] if entries.endswith(_PAGES) else ""
        if entries not in (_CPUS, _PID_MAX) and not (number.isascii() and number.isdigit()):
            remedy = 'a number, "cpus", "pid_max" or "64 pages"'
            raise UsageError(f"max_entries = {entries!r} is no size", where=where, remedy=remedy)
    elif entries is not None:
        entries = _size(table, "max_entries", where)
    create, type_ = table.get("create", True), table.get("type")
    if not isinstance(create, bool):
        raise UsageError(f"create = {create!r} is neither true nor false", where=where)
    if not create and len(table) > 1:
        raise UsageError("says more of a map that it leaves out", where=where)
    if type_ is not None:
        known(type_, MAP_TYPES[1:], f"{where}: type", "map type")
    return MapTerms(entries, _size(table, "key_size", where), _size(table, "value_size", where), type_, create)


def _size(table: Mapping[str, Any], key: str, where: str) -> Optional[int]:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise UsageError(f"{key} = {value!r} is not a number of 32 bits", where=where)
    return value


def _setting(name: str, value: Any, where: str) -> str:
    """Return a value as a kernel's .config would write it: y, n, m, a number, or text in quotes."""
    if not name.startswith("CONFIG_"):
        raise UsageError(f"kconfig: {name!r} is no CONFIG_ setting", where=where)
    if isinstance(value, bool):
        return "y" if value else "n"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value if value in ("y", "n", "m") else f'"{value}"'
    raise UsageError(f"kconfig: {name} = {value!r} is neither true, false, a number nor text", where=where)


# ----------------------------------------------------------------------------------------------------- strict reading


def known(text: str, names: Iterable[str], where: str, what: str) -> None:
    """Raise UsageError, with the nearest, for a text that is none of these names."""
    names = tuple(names)
    if text in names:
        return
    import difflib

    nearest = difflib.get_close_matches(text, names, 1)
    remedy = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(names) or 'none'}"
    raise UsageError(f"unknown {what} {text!r}", where=where, remedy=remedy)


def _keys(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for key in table:
        known(key, names, where, "key")


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not _is_table(value):
        raise UsageError(f"{key} = {value!r} is not a table", where=where)
    return value  # type: ignore[no-any-return]


def _texts(table: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    found = _table(table, key, where)
    for name, value in found.items():
        if not isinstance(value, str) or not value:
            raise UsageError(f"{key}: {name} = {value!r} is not text", where=where)
    return dict(found)


def _names(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, ())
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        raise UsageError(f"{key} = {value!r} is not a list of names", where=where)
    return tuple(value)
