"""The programs and maps that are in the kernel, and those that appeared since, whoever made them.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Optional

from everykernel import wire
from everykernel.load.kernel import program
from everykernel.load.kernel.numbers import ids
from everykernel.load.system import abi
from everykernel.object.maps import MAP_TYPES
from everykernel.object.sections import PROGRAM_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from everykernel.load.system.door import System

    _Describe = Callable[[int, int], Optional[wire.Appeared]]

_LIMIT = 4096  # programs, and maps, that are kept account of
# Offsets in struct bpf_prog_info and bpf_map_info (include/uapi/linux/bpf.h); names are of Linux commits cb4d2b3f03d8
# and ad5b177bd73f (v4.15).
_NAME_OF_PROGRAM, _RUNS, _NAME_OF_MAP = 64, 200, 24


class Inventory:
    """What appeared since it was made. It holds nothing: what is freed between two looks is as it was last seen.

    Attributes:
        programs, maps: by the kernel's number.
    """

    def __init__(self, system: System) -> None:
        self.programs: dict[int, wire.Appeared] = {}
        self.maps: dict[int, wire.Appeared] = {}
        self._system = system
        self._lock = threading.Lock()
        self._before = set(ids(system, abi.PROG_GET_NEXT_ID)), set(ids(system, abi.MAP_GET_NEXT_ID))

    def look(self) -> None:
        """Bring it up to date with the kernel; from any thread."""
        with self._lock:
            for found, before, following, opened, describe in (
                (self.programs, self._before[0], abi.PROG_GET_NEXT_ID, abi.PROG_GET_FD_BY_ID, self._program),
                (self.maps, self._before[1], abi.MAP_GET_NEXT_ID, abi.MAP_GET_FD_BY_ID, self._map),
            ):
                there = [number for number in ids(self._system, following) if number not in before]
                for number in there:
                    if number in found and following == abi.MAP_GET_NEXT_ID:
                        continue  # nothing of a map changes
                    if number in found or len(found) < _LIMIT:
                        self._describe(found, number, opened, describe)
                for number, one in found.items():
                    one["left"] = number in there

    def named(self, number: int) -> tuple[str, str]:
        """Return name and type of a program that appeared, empty for any other."""
        one = self.programs.get(number)
        return (one["name"], one["type"]) if one is not None else ("", "")

    def _describe(self, found: dict[int, wire.Appeared], number: int, opened: int, describe: _Describe) -> None:
        try:
            fd = self._system.bpf(opened, abi.words(number, 0, 0))
        except OSError:  # freed meanwhile
            return
        try:
            told = describe(number, fd)
            if told is not None:
                found[number] = told
        finally:
            self._system.close(fd)

    def _program(self, number: int, fd: int) -> Optional[wire.Appeared]:
        found = program.info(self._system, fd)
        if not found:
            return None
        type_ = self._system.unpack("I", found)[0]
        counted = self._system.counts_runs and len(found) >= _RUNS + 8
        return {
            "id": number,
            "name": _name(found, _NAME_OF_PROGRAM),
            "type": PROGRAM_TYPES[type_] if type_ < len(PROGRAM_TYPES) else str(type_),
            "verified_insns": program.verified(self._system, found),
            "runs": self._system.unpack("Q", found, _RUNS)[0] if counted else None,
            "left": True,
        }

    def _map(self, number: int, fd: int) -> Optional[wire.Appeared]:
        buffer = bytearray(88)
        error, _ = self._system.bpf_fields(abi.OBJ_GET_INFO_BY_FD, abi.info(fd, buffer, len(buffer)))
        if error:
            return None
        type_ = self._system.unpack("I", buffer)[0]
        return {
            "id": number,
            "name": _name(bytes(buffer), _NAME_OF_MAP),
            "type": MAP_TYPES[type_] if type_ < len(MAP_TYPES) else str(type_),
            "verified_insns": None,
            "runs": None,
            "left": True,
        }


def _name(data: bytes, offset: int) -> str:
    return data[offset : offset + abi.NAME_SIZE].partition(b"\0")[0].decode("utf-8", "replace")
