"""`Fixup`: what one record does to one instruction, computed before anything is changed.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.dataclass import dataclass, field
from everykernel.errors import ObjectMalformed

if TYPE_CHECKING:
    from everykernel.btf.ext import CoreRecord
    from everykernel.core.spec import Spec

PATCHED, POISONED, FAILED = "patched", "poisoned", "failed"


@dataclass(frozen=True)
class Fixup:
    """The outcome of one record.

    Attributes:
        record: the record itself.
        index: its number in its section of .BTF.ext.
        kind: the relocation kind's name.
        access: what it asks for, in C: ``struct task_struct.mm``.
        outcome: ``patched``; ``poisoned`` (the kernel lacks it: the instruction fails if it is reached); ``failed``
            (libbpf would refuse the object).
        local: the relocation's value in the object's BTF (64 bits, unsigned).
        target: the value in the kernel's; None where it has none.
        old: the instruction's field that is patched, before: signed as it stands there, 64 bits unsigned of LDIMM64.
        new: the same field after; None when poisoned.
        mem_size: new width in bytes of a load or store, where it changes.
        candidates: the types that were considered: ``struct task_struct (vmlinux 123)``.
        btf: name of the BTF whose type was used, "" where none was.
        message: why it is poisoned or failed.
        code: reason code when failed.
        errno: what libbpf answers when failed.
        insn: the instruction's new bytes; empty when failed.
        paths: the access in the object's types, then in each of the kernel's that matches; empty where none does.
    """

    record: CoreRecord
    index: int
    kind: str
    access: str
    outcome: str
    local: Optional[int] = None
    target: Optional[int] = None
    old: Optional[int] = None
    new: Optional[int] = None
    mem_size: Optional[int] = None
    candidates: tuple[str, ...] = ()
    btf: str = ""
    message: str = ""
    code: str = ""
    errno: str = ""
    insn: bytes = b""
    paths: tuple[Spec, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        """Return one line: ``byte_off struct task_struct.mm 2336->2200``."""
        if self.outcome != PATCHED:
            return f"{self.kind} {self.access}: {self.outcome}: {self.message}"
        width = f" ({self.mem_size} bytes)" if self.mem_size is not None else ""
        return f"{self.kind} {self.access} {self.local}->{self.target}{width}"


def apply(fixup: Fixup, code: bytearray, insn: int) -> None:
    """Write a fixup into ``code`` at instruction ``insn`` (an index); a failed one writes nothing.

    Raises ObjectMalformed if the instruction is not inside the code.
    """
    at = insn * 8
    if insn < 0 or at + len(fixup.insn) > len(code):
        raise ObjectMalformed(
            f"the record's instruction {insn} is past the code ({len(code) // 8} instructions)", where=fixup.access
        )
    code[at : at + len(fixup.insn)] = fixup.insn
