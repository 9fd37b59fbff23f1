"""What changes the meaning of a verdict, in a line each: BTF that was refused, objects that libbpf would not take,
sizes that we chose, larger guests. Remarks that differ in names and numbers only share a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from everykernel import wire
from everykernel.loaders.names import OWN
from everykernel.matrix import footprint, records
from everykernel.matrix.records import CaseResult
from everykernel.report import causes

_MOST, _NAMED = 8, 1  # lines, and rows that are named in one
# Notes on what the case itself asked for, and on what changes nothing.
_ROUTINE = re.compile(
    r"as the contract says|by the contract|^variants |pinned at |BTF kinds replaced|is expected to|is not used:|"
    r"slot \S+ stays empty"
)


def lines(results: Sequence[CaseResult], labels: Mapping[str, str], kernels: Sequence[str]) -> list[str]:
    """Return the remarks on all results, those on the most cells first; more than a few are counted.

    Args:
        results: the cells.
        labels: what each row is called.
        kernels: the columns, in order.
    """
    alike: dict[str, tuple[dict[str, None], causes.Particular]] = {}
    for result in results:
        for text in _of_cell(result):
            texts, cells = alike.setdefault(causes.shape(text), ({}, causes.Particular()))
            texts.setdefault(text)
            cells.cells[id(result)] = result
    found = sorted(alike.values(), key=lambda group: -len(group[1].cells))
    shown = []
    for texts, cells in found[:_MOST]:
        more = f" (and {len(texts) - 1} more like it)" if len(texts) > 1 else ""
        shown.append(f"{next(iter(texts))}{more}: {causes.where(cells, labels, kernels, _NAMED)[0]}")
    if len(found) > _MOST:
        shown.append(f"… and {len(found) - _MOST} more notes (in results.json)")
    return shown


def _of_cell(result: CaseResult) -> Iterator[str]:
    if records.flaky(result):
        first = next(one for one in result["attempts"] if one.get("outcome") == records.ERROR)
        yield f"broke first ({first.get('code')}: {first.get('message')}), and was run again"
    if "reused" in result:
        yield f"not run, as nothing has changed since run {result['reused']['run']}"
    for text in result.get("notes", []):
        yield from _worth(text)
    for stage in result.get("stages", {}).values():
        for text in stage.get("notes", []):
            yield from _worth(text)
    load = result.get("stages", {}).get("load", {})
    for made in load.get("maps", []):
        if made.get("note"):
            yield from _worth(f"map {made.get('name')!r}: {made['note']}")
    granted, asked = result.get("granted", {}).get("memory", 0), result.get("machine", {}).get("memory")
    beside = 0 if result.get("loader", OWN) == OWN else footprint.LIBRARY
    usual = footprint.fitting(beside, footprint.CEILING)
    told = any(re.search(rf"\b{granted}\b", note) for note in result.get("notes", []))  # by what chose the size
    if granted > (asked or usual) and not told:
        yield f"its guest was given {granted} MiB of memory"
    whole = load.get("whole", {})
    if whole.get("status") == wire.FAILED and load.get("status") == wire.PASSED:
        yield f"{whole.get('loader')} refuses the object as a whole: {whole.get('message')}"


def _worth(text: str) -> Iterator[str]:
    if not _ROUTINE.search(text):
        yield text
