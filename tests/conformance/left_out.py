"""What may be left out of the comparison with libbpf, and why. What is left out for any other reason fails the session.

Nothing here is caused by the host: the oracle answers for the kernel, its configuration and its CPUs, so that what it
says of an object is the same on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why an object or a program cannot be compared: ``said`` is found in libbpf's words, ``name`` is printed.

    ``most`` of the default objects may be left out for it on one kernel: what was found, and a tenth. More is no longer
    what somebody looked at, and fails the session.
    """

    name: str
    said: re.Pattern[str]
    most: int = 5


NO_RECORD = "has no CO-RE record, by the header of its .BTF.ext too"

# A program that libbpf gives up on before it comes to the program's records.
PROGRAMS = (
    Reason(
        "the kernel lacks a symbol that the object asks for: libbpf looks for these before it relocates",
        re.compile(r"^extern \((func|var) ksym\) .*: not found in kernel"),
    ),
)

# An object that libbpf refuses by a choice of its own, whatever the kernel.
OBJECTS = (
    Reason(
        "libbpf takes no legacy maps; ours does",
        re.compile(r"legacy map definitions|bad map relo against .* in section 'maps/"),
        most=25,
    ),
    Reason("libbpf loads no object of another byte order", re.compile(r"endian"), most=13),
)

# An object that libbpf does not open, and neither do we.
UNSOUND = (
    Reason("a static program", re.compile(r"is static and not supported")),
    Reason("an extern has no BTF", re.compile(r"^failed to find BTF for extern")),
    Reason("a map that is not global", re.compile(r"unsupported map linkage")),
    Reason("a map's definition", re.compile(r"^map '.*': (invalid pinning value|conflicting|'values' member)")),
    Reason("a weak map that gave way", re.compile(r"map relo failed to find map for section '\.maps'")),
    Reason("a function outside .text", re.compile(r"bad call relo against|bad map relo against .* in section")),
    Reason("no sound object", re.compile(r"^elf: |is not a valid eBPF object file|^Error loading BTF|corrupted")),
)

# libbpf resolves the externs of all programs, whichever are loaded; we refuse the programs that use one.
OTHERS_EXTERN = "libbpf refuses the object for an extern that this program does not use; ours refuses those that do"
# libbpf wants the kernel's BTF for any CO-RE record of an object; we refuse the programs that have one.
OTHERS_BTF = "libbpf refuses the object for BTF that this program does not need; ours refuses those that do"
NO_BTF = re.compile(r"^kernel BTF is missing")
_MOST = {OTHERS_EXTERN: 5, OTHERS_BTF: 77}
EXTERN = re.compile(r"extern (?:\((?:func|var) ksym\) )?'(?P<name>[^']+)'")


def reason(words: str, among: tuple[Reason, ...]) -> str:
    """Return the name of the reason that libbpf's words give, "" if it is none of these."""
    return next((one.name for one in among if one.said.search(words)), "")


def most(kind: str) -> int:
    """Return how many may be left out on one kernel: ``kind`` is ``object`` or ``program``, a colon and the reason."""
    name = kind.partition(": ")[2]
    return next((one.most for one in OBJECTS + UNSOUND if one.name == name), _MOST.get(name, 0))
