"""CO-RE: from an object's records and a kernel's BTF to patched instructions. Pure, and equal to libbpf 1.8."""

from everykernel.core.candidates import Candidate, Target
from everykernel.core.compute import Session, compute
from everykernel.core.fixup import FAILED, PATCHED, POISONED, Fixup, apply
from everykernel.core.manner import LIBBPF, Manner
from everykernel.core.program import Applied, RelocatedProgram, relocate_program, relocate_together

__all__ = [
    "FAILED",
    "LIBBPF",
    "PATCHED",
    "POISONED",
    "Applied",
    "Candidate",
    "Fixup",
    "Manner",
    "RelocatedProgram",
    "Session",
    "Target",
    "apply",
    "compute",
    "relocate_program",
    "relocate_together",
]
