"""The kernel's own numbers of what is loaded, by which it shows what was left behind.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from everykernel.load.system import abi

if TYPE_CHECKING:
    from everykernel.load.system.door import System

_LIMIT = 8192  # of a kind: with more, what appeared cannot be told
_KINDS = {
    "program": abi.PROG_GET_NEXT_ID,
    "map": abi.MAP_GET_NEXT_ID,
    "link": abi.LINK_GET_NEXT_ID,  # Linux commit a3b80e107894 (v5.8)
    "BTF": abi.BTF_GET_NEXT_ID,
}


def ids(system: System, following: int) -> list[int]:
    """Return the numbers of all things of a kind; those that can be had, where the kernel denies the rest."""
    found: list[int] = []
    number = 0
    while len(found) < _LIMIT:
        error, fields = system.bpf_fields(following, abi.words(number, 0, 0))
        if error:
            break
        number = fields[1]
        found.append(number)
    return found


class Numbers:
    """What the kernel had when this was made."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._before = self._now()

    def stayed(self, patience: float) -> list[str]:
        """Return a line for each kind of which something is there that was not before: "2 maps stayed: 7, 8".

        What nobody holds any more is given ``patience`` seconds to go: the kernel frees much of it later.
        """
        deadline = time.monotonic() + patience
        while True:
            more = {kind: sorted(now - self._before[kind]) for kind, now in self._now().items()}
            if not any(more.values()) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return [
            f"{len(found)} {kind}{'s' if len(found) > 1 and kind != 'BTF' else ''} stayed that "
            f"{'were' if len(found) > 1 else 'was'} not there before: number {', '.join(map(str, found[:10]))}"
            for kind, found in more.items()
            if found
        ]

    def _now(self) -> dict[str, set[int]]:
        return {kind: set(ids(self._system, following)) for kind, following in _KINDS.items()}
