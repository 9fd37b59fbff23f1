"""What loaders do otherwise than one another with CO-RE records; the defaults are libbpf's.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from everykernel.core.patch import poison


@dataclass(frozen=True)
class Manner:
    """How a loader relocates.

    Attributes:
        agree: whether all candidates that match have to agree, each record by itself; if not, the candidate wins that
            leaves the fewest of a program's records of a type unresolved (best.py), and no load or store changes its
            width.
        modules: whether the types of kernel modules are candidates.
        poison: returns the bytes in place of an instruction that cannot be relocated, given it and the byte order;
            taken where the best candidate wins.
    """

    agree: bool = True
    modules: bool = True
    poison: Callable[[bytes, str], bytes] = poison


LIBBPF = Manner()
