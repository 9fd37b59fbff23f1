"""Why the kernel did not take something: a `Reason`.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from everykernel.namedtuple import NamedTuple


class Reason(NamedTuple):
    """A reason code and a line for people; ``errno`` is what libbpf answers by itself, "" where the kernel decides."""

    code: str
    message: str
    errno: str = ""


# What follows the name of something that is found by BTF, with the code btf-missing.
NEEDS_OWN_BTF = "needs the kernel's own BTF, and there is none (a supplied one serves relocation only)"
