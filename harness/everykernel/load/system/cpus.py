"""Which CPUs there are.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations


def possible_cpus() -> int:
    """Return how many CPUs there can be: a per-CPU value has one part for each (/sys/devices/system/cpu/possible)."""
    return len(cpu_list("possible"))


def cpu_list(which: str) -> list[int]:
    """Return the CPUs of ``possible`` or ``online``."""
    with open(f"/sys/devices/system/cpu/{which}") as file:  # noqa: PTH123 - pathlib costs a tenth of the call here
        text = file.read().strip()
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found
