"""The same cells by the loader in a guest and by the one on the host: what each says of relocate and load, compared.

What differs from one boot to the next, or from one call to the next, is left out: times, addresses of the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from typing import Any

from everykernel import settings
from everykernel.machine import Machines, slots
from everykernel.machine.spec import KINDS
from everykernel.matrix import plan
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.matrix.records import CaseResult, CellReport

_ADDRESS = re.compile(r"\b(0x)?f{4}[0-9a-f]{4,12}\b|\b0x[c-f][0-9a-f]{7}\b")  # of a kernel of 64 bits, and of 32
_POINTER = re.compile(r"(\(18\) r\d = )0x[0-9a-f]+(?= +; .*=map_)")  # s390x has low ones
_TIME = re.compile(r"verification time \d+ usec")
_COMPARED = ("sha256", "btf", "outcome", "stage", "code", "message", "problems", "misreads")
_LEFT_OUT = ("seconds",)


def said(result: CaseResult) -> dict[str, Any]:
    """Return what a result says of an object and a kernel, whatever the boot."""
    found: dict[str, Any] = {name: result.get(name) for name in _COMPARED}
    found["stages"] = {name: result["stages"][name] for name in ("relocate", "load")}
    told: dict[str, Any] = _plain(found)
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if name not in _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if not isinstance(value, str):
        return value
    return _TIME.sub("", _POINTER.sub(r"\1ADDRESS", _ADDRESS.sub("ADDRESS", value)))


def differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Yield where two values differ, each difference once, at its innermost place."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*one, *other]):
            yield from differences(one.get(name), other.get(name), f"{where}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other)):
            yield from differences(*pair, f"{where}[{index}]")
    elif one != other:
        yield f"{where.lstrip('.')}: in the guest {str(one)[:300]!r}, on the host {str(other)[:300]!r}"


class Pair:
    """The outcomes of cells in both kinds of guest.

    Attributes:
        differ: by cell, how the two differ.
        broke: by cell and kind, what broke.
        compared: how many were compared; ``loaded``: of these, those of which a program was loaded.
    """

    def __init__(self) -> None:
        self.differ: dict[str, list[str]] = {}
        self.broke: dict[str, str] = {}
        self.compared = self.loaded = 0

    def add(self, name: str, reports: Sequence[CellReport]) -> None:
        """Compare a cell in the guest with the same by the host."""
        results = [report["result"] for report in reports]
        for kind, result in zip(KINDS, results):
            if result["outcome"] == "error":
                self.broke[f"{name} ({kind})"] = f"{result['code']}: {result['message']}"
                return
        found = list(differences(said(results[0]), said(results[1])))
        if found:
            self.differ[name] = found
        self.compared += 1
        programs = results[0]["stages"]["load"].get("programs", [])
        self.loaded += any(program["status"] == "passed" for program in programs)


def _twins(spec: str) -> list[str]:
    """Return a kernel in both kinds of guest."""
    return settings.on_machines([f"{spec}@{kind}" for kind in KINDS], settings.QEMU)


def compare(cases: Sequence[Case], specs: Sequence[str]) -> Pair:
    """Run cases up to load on kernels, in both kinds of guest, and compare each cell with its twin."""
    pair, columns = Pair(), plan.columns([twin for spec in specs for twin in _twins(spec)])
    machines = Machines("tcg")
    with closing(Campaign(columns, machines, width=slots.cores(), slot=slots.slot)) as campaign:
        cells: list[tuple[str, list[Future[CellReport]]]] = []
        for spec in specs:
            for case in cases:
                asked = replace(case, until="load")
                cells.append((f"{case.name} on {spec}", [campaign.run(twin, asked) for twin in _twins(spec)]))
        for name, futures in cells:
            pair.add(name, [future.result() for future in futures])
    return pair
