"""The rules that users can ask for, by name.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from everykernel.load.rules import aya, ebpf_go, libbpf
from everykernel.load.rules.rules import Rules
from everykernel.object.strict import known

RULES: dict[str, Rules] = {rules.name: rules for rules in (libbpf.RULES, ebpf_go.RULES, aya.RULES)}
NAMES = tuple(RULES)
DEFAULT = libbpf.RULES


def named(name: str) -> Rules:
    """Return the rules of a loader; raise UsageError, with the nearest name, where there are none."""
    known(name, NAMES, "rules", "loader's rules")
    return RULES[name]
