"""What a loader contract decides about one map: libbpf's bpf_map__set_*, bpf_map__reuse_fd, and the like.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

from everykernel.dataclass import dataclass
from everykernel.errors import UsageError
from everykernel.object import strict
from everykernel.object.maps import MAP_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = ("create", "type", "max_entries", "key_size", "value_size", "flags", "extra", "inner", "pin", "reuse")
_INNER_KEYS = ("type", "max_entries", "key_size", "value_size", "flags", "extra")
_CPUS, _PID_MAX, _PAGES = "cpus", "pid_max", " pages"


@dataclass(frozen=True)
class MapTerms:
    """What is decided about one map; None: as declared.

    Attributes:
        max_entries: a number, ``cpus`` (one a possible CPU), ``pid_max`` (the kernel's setting) or ``N pages``.
        key_size, value_size: in bytes.
        type: the name of another map type.
        flags, extra: map_flags and map_extra.
        inner: the prototype of what a map of maps holds, also instead of a declared one (bpf_map__set_inner_map_fd).
        pin: the path that it is pinned at, or reused from if a map is pinned there (bpf_map__set_pin_path); "" for one
            that its declaration pins and the tool does not.
        reuse: the path of a pinned map that stands for it, whatever its shape (bpf_map__reuse_fd).
        create: False: it is left out, and what refers to it is an invalid instruction.
    """

    max_entries: Optional[Union[int, str]] = None
    key_size: Optional[int] = None
    value_size: Optional[int] = None
    type: Optional[str] = None
    flags: Optional[int] = None
    extra: Optional[int] = None
    inner: Optional[MapTerms] = None
    pin: Optional[str] = None
    reuse: str = ""
    create: bool = True

    def entries(self, cpus: int, page: int, pid_max: int) -> Optional[int]:
        """Return ``max_entries`` as a number on a machine with so many CPUs, so large pages and this ``pid_max``."""
        told = self.max_entries
        if not isinstance(told, str):
            return told
        return {_CPUS: cpus, _PID_MAX: pid_max}.get(told) or int(told[: -len(_PAGES)]) * page


def parse(table: Any, where: str) -> MapTerms:
    """Return what a table says about one map; raise UsageError."""
    if not strict.is_table(table):
        raise UsageError(f"{table!r} is not a table", where=where, remedy='write {max_entries = "cpus"}')
    strict.keys(table, _KEYS, where)
    create, pin, reuse = table.get("create", True), table.get("pin"), table.get("reuse", "")
    if not isinstance(create, bool):
        raise UsageError(f"create = {create!r} is neither true nor false", where=where)
    for word in ("reuse",) if reuse else ("create",) if not create else ():
        if len(table) > 1:
            said = "reuses" if word == "reuse" else "leaves out"
            raise UsageError(f"says more of a map that it {said}", where=where)
    if pin is not None and pin is not False and not _is_path(pin):
        raise UsageError(f"pin = {pin!r} is no path", where=where, remedy='"/sys/fs/bpf/NAME", or false')
    if "reuse" in table and not _is_path(reuse):
        raise UsageError(f"reuse = {reuse!r} is no path", where=where, remedy='"/sys/fs/bpf/NAME" of a pinned map')
    inner = _inner(table["inner"], f"{where}: inner") if "inner" in table else None
    return MapTerms(**_shape(table, where), inner=inner, pin="" if pin is False else pin, reuse=reuse, create=create)


def _shape(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a table says of type and sizes."""
    entries, type_ = table.get("max_entries"), table.get("type")
    if isinstance(entries, str):
        number = entries[: -len(_PAGES)] if entries.endswith(_PAGES) else ""
        if entries not in (_CPUS, _PID_MAX) and not (number.isascii() and number.isdigit()):
            remedy = 'a number, "cpus", "pid_max" or "64 pages"'
            raise UsageError(f"max_entries = {entries!r} is no size", where=where, remedy=remedy)
    elif entries is not None:
        entries = strict.size(table, "max_entries", where)
    if type_ is not None:
        strict.known(type_, MAP_TYPES[1:], f"{where}: type", "map type")
    sizes = {key: strict.size(table, key, where) for key in ("key_size", "value_size", "flags")}
    return {"max_entries": entries, "type": type_, "extra": strict.size(table, "extra", where, bits=64), **sizes}


def _inner(table: Any, where: str) -> MapTerms:
    if not strict.is_table(table):
        raise UsageError(f"{table!r} is not a table", where=where, remedy='write {type = "hash", key_size = 4, …}')
    strict.keys(table, _INNER_KEYS, where)
    if "type" not in table:
        raise UsageError("has no type", where=where, remedy='type = "hash", key_size = 4, value_size = 8')
    return MapTerms(**_shape(table, where))


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value
