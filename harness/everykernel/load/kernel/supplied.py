"""A BTF that was supplied in the place of the kernel's own.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from everykernel.btf import Btf
from everykernel.errors import BtfMalformed

if TYPE_CHECKING:
    from everykernel.architectures import Architecture


def supplied(btf: Union[Btf, bytes], name: str, here: Architecture) -> Btf:
    """Return a supplied BTF; raise BtfMalformed for one that is damaged or cannot be of this kernel."""
    if not isinstance(btf, Btf):
        btf = Btf.parse(btf, name=name, pointer_size=here.pointer_size)  # of a BTF that does not tell
    if (btf.byteorder, btf.pointer_size) != (here.byteorder, here.pointer_size):
        raise BtfMalformed(
            f"is of a {8 * btf.pointer_size}-bit {btf.byteorder}-endian kernel, "
            f"this one is {8 * here.pointer_size}-bit {here.byteorder}-endian",
            where=btf.name,
            remedy="supply the BTF of exactly this kernel",
        )
    return btf
