"""What is walked over, and what is found: plain values, apart from the walk itself (see `flow`).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.core.reads.values import Value
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everykernel.object.spec import Function


class Record(NamedTuple):
    """What CO-RE did to an instruction: the number of the access, whether its value is an offset or a size or shift."""

    access: int
    offset: bool
    adapts: bool
    patched: bool


class Read(NamedTuple):
    """Bytes that are read.

    Attributes:
        function, insn: the instruction.
        source: where from: `Address` of an access, or `Context`.
        size: bytes; None where not known.
        how: name of the helper; "" for a load.
        adapted: whether CO-RE put the size in.
        record: whether the load itself is relocated.
        reach: how many bytes of the context are read with it, from its start; 0 where it is not the context's.
    """

    function: str
    insn: int
    source: Value
    size: Optional[int]
    how: str
    adapted: bool = False
    record: bool = False
    reach: int = 0


class Compared(NamedTuple):
    """A comparison for equality of what was read from an access with a number of the object's own."""

    function: str
    insn: int
    access: int
    number: int


class Walked(NamedTuple):
    """What was found.

    Attributes:
        reads, compared: in the order of functions and instructions.
        reached: the instructions with a record that are on a path that can be taken: function, index.
        settled: no branch depends on a setting that is not known here.
    """

    reads: list[Read]
    compared: list[Compared]
    reached: set[tuple[str, int]]
    settled: bool


class Program(NamedTuple):
    """What is walked over.

    Attributes:
        functions: the entry function first.
        code: each function's relocated instructions, by name.
        records: what CO-RE did, by function and instruction.
        constants: the bytes of read-only data sections, by name.
        settings: externs whose bytes are known, by name: those of the kernel's configuration.
        symbols: externs of the kernel's symbols and functions: whether they are there.
        byteorder: ``little`` or ``big``.
        context: whether r1 of the entry function is the program's context.
        through: whether a path goes on behind a poisoned instruction, where the kernel would refuse the program.
    """

    functions: Sequence[Function]
    code: Mapping[str, bytes]
    records: Mapping[tuple[str, int], Record]
    constants: Mapping[str, bytes]
    settings: Mapping[str, bytes]
    symbols: Mapping[str, bool]
    byteorder: str
    context: bool
    through: bool = False
