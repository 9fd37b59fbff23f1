"""What loaders do otherwise than one another with CO-RE records; the defaults are libbpf's.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable

from everykernel.core.patch import poison
from everykernel.dataclass import dataclass


@dataclass(frozen=True)
class Manner:
    """How a loader relocates.

    Attributes:
        agree: whether all candidates that match have to agree, each record by itself; if not, the candidate wins that
            leaves the fewest of a program's records of a type unresolved (best.py), and no load or store changes its
            width.
        modules: whether the types of kernel modules are candidates.
        narrows: whether a candidate that does not match a record is out for the records of its type that follow.
        everything: whether the records of all functions take part, whatever program is wanted, and one fails all.
        refuses_missing: whether size and id of a type that is not there fail the record.
        refuses_resized: whether a load or store that would have to change its size, and cannot, fails the record.
        poison: returns the bytes in place of an instruction that cannot be relocated, given it and the byte order.
    """

    agree: bool = True
    modules: bool = True
    narrows: bool = True
    everything: bool = False
    refuses_missing: bool = False
    refuses_resized: bool = False
    poison: Callable[[bytes, str], bytes] = poison


LIBBPF = Manner()
