"""What fails by a rule of one loader, and another loader takes: found by trying it, and said where it failed.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from everykernel import object as object_
from everykernel import wire
from everykernel.errors import EverykernelError
from everykernel.load.loader import load
from everykernel.load.programs.loading import find_target
from everykernel.load.rules.named import RULES

if TYPE_CHECKING:
    from collections.abc import Collection

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.loaded import LoadedObject
    from everykernel.load.rules.rules import Rules
    from everykernel.object import ProgramSpec

_TARGETS = frozenset({"attach-target-missing", "module-missing"})
_THE_MACHINES = frozenset({"limit-exceeded", "permission-denied"})  # reason codes that no loader's rules change


def advise(loaded: LoadedObject, data: bytes, name: str, kernel: KernelTypes, rules: Rules, **asked: Any) -> None:
    """Say in the records of an object's failure by which other loader's rules it loads, if by any.

    That is tried only where the kernel was not asked: for an object that does not open, and for programs that were
    refused before, or for a map. It takes as long as loading, so what the other rules say at once is not tried.

    Args:
        loaded: the object, by ``rules``.
        data, name: the object.
        kernel: it is loaded into.
        rules: of the loader that refuses something.
        asked: what else `load` was asked for.
    """
    if loaded.spec is None:
        taken = [other.name for other in _others(rules) if _takes(other, data, name, kernel, None, asked)]
        if taken:
            loaded.relocate["message"] += _hint(taken)
        return
    failed = [r for r in loaded.load["programs"] if r["status"] == wire.FAILED and r["errno"] is None]
    refused = [r for r in failed if r["code"] not in _THE_MACHINES]
    if not refused:
        return
    told = loaded.load["message"]
    takers = {}
    for other in _others(rules):
        names = {r["name"] for r in refused if not _refuses(other, r, loaded.programs[r["name"]].spec, kernel, rules)}
        takers[other.name] = _takes(other, data, name, kernel, names, asked) if names else set()
    for record in refused:
        taken = [other for other, programs in takers.items() if record["name"] in programs]
        if taken:
            if told == f"{record['name']}: {record['message']}":
                loaded.load["message"] += _hint(taken)
            record["message"] += _hint(taken)


def _others(rules: Rules) -> list[Rules]:
    return [other for other in RULES.values() if other.name != rules.name]


def _refuses(other: Rules, record: wire.ProgramRecord, program: ProgramSpec, kernel: KernelTypes, rules: Rules) -> bool:
    """Whether another loader refuses a program for the same reason, as far as that is seen without trying."""
    if record["code"] == "map-type-unsupported":
        return True
    if record["code"] not in _TARGETS or other.reading.match(program.section) != rules.reading.match(program.section):
        return False
    return find_target(program, program.target, kernel, other)[1] is not None


def _hint(taken: list[str]) -> str:
    return f" [{' and '.join(taken)} take{'s' if len(taken) == 1 else ''} it: --rules {taken[0]}]"


def _takes(
    rules: Rules,
    data: bytes,
    name: str,
    kernel: KernelTypes,
    programs: Optional[Collection[str]],
    asked: dict[str, Any],
) -> set[str]:
    """Return which programs another loader's rules load; of an object as a whole, all of them or none."""
    try:
        spec = object_.read(data, name, rules.reading)
        there = {program.name for program in spec.programs}
        wanted = [one for one in there if programs is None or one in programs]
        found = load(spec, kernel, rules=rules, **{**asked, "programs": wanted})
    except EverykernelError:
        return set()
    with found:
        passed = {p.name for p in found.programs.values() if p.record["status"] == wire.PASSED}
    return passed if programs is not None or passed == there else set()
