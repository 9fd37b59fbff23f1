"""Registering operations structs: a program of one is attached when the struct that points to it is registered.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from everykernel import wire
from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.system import abi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.load.attach.program import Program
    from everykernel.load.kernel.operations import Operations
    from everykernel.load.maps.map import Map


class Registration:
    """One operations struct: registered while any of its programs is attached.

    Args:
        made: its map.
        operations: what it is in this kernel.
        link: whether a link holds it; else it is registered by being written, and only once.
        programs: the object's programs by name.
    """

    def __init__(self, made: Map, operations: Operations, programs: Mapping[str, Program], *, link: bool) -> None:
        self._map = made
        self._system = made.system
        self._operations = operations
        self._programs = programs
        self._link = link
        self._held: list[Link] = []
        self._users = 0

    def holds(self, fd: int) -> bool:
        """Whether a program, by its descriptor, is one of its."""
        found = (self._programs.get(function) for function, _ in self._operations.pointers)
        return any(program is not None and program.fd == fd for program in found)

    def attach(self) -> Link:
        """Register it, if it is not yet; raise NotAttached where the kernel refuses it or a program of it."""
        if not self._users:
            self._held.append(self._register())
        self._users += 1
        return Link(self._system, -1, self._leave)

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._held.pop().close()

    def _register(self) -> Link:
        what = f"operations {self._map.name}"
        if self._map.fd < 0:
            raise NotAttached(self._map.record["message"], code=self._map.record["code"])
        key, value = bytearray(4), self._value(what)
        try:
            self._system.bpf(abi.MAP_UPDATE_ELEM, abi.element(self._map.fd, key, value))
        except OSError as e:
            if not (self._link and e.errno == errno.EBUSY):  # written before, and never changed
                raise outcome.refused(what, e, "the kernel refuses to register it") from e
        if self._link:
            return outcome.create(self._system, self._map.fd, 0, "struct_ops", what)
        return Link(self._system, -1, self._unregister)

    def _unregister(self) -> None:
        key = bytearray(4)
        self._system.bpf(abi.MAP_DELETE_ELEM, abi.element(self._map.fd, key))

    def _value(self, what: str) -> bytearray:
        """Return the map's value: the kernel's struct, with descriptors of the programs for its pointers."""
        value = bytearray(self._operations.value)
        for function, offset in self._operations.pointers:
            found = self._programs.get(function)
            if found is None or found.fd < 0:
                code = found.record["code"] if found is not None and found.record["status"] == wire.FAILED else ""
                raise NotAttached(f"{what}: its program {function} is not loaded", code=code or "attach-failed")
            packed = self._system.pack("I" if self._operations.pointer_size == 4 else "Q", found.fd)
            value[offset : offset + len(packed)] = packed
        return value
