"""What attaching knows of a loaded program: a descriptor, and the record of what the kernel made of it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from everykernel import wire


class Program(Protocol):
    """One program of a loaded object; ``fd`` is -1 if it was refused."""

    fd: int
    record: wire.ProgramRecord
