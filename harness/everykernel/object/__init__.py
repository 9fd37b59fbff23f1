"""Compiled BPF objects: an ELF file read into an `ObjectSpec`. Pure: bytes in, values out."""

from everykernel.object.reader import read
from everykernel.object.spec import (
    DataSection,
    Extern,
    Function,
    MapSpec,
    ObjectSpec,
    ProgramSpec,
    Reference,
)

__all__ = ["DataSection", "Extern", "Function", "MapSpec", "ObjectSpec", "ProgramSpec", "Reference", "read"]
