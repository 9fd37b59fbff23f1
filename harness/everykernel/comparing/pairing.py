"""Which cells of two files are compared: what was asked alike, on one kernel, or on two that are paired."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from everykernel.comparing.order import natural
from everykernel.errors import UsageError
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.matrix.results import Results


class Pair(NamedTuple):
    """Two results of one cell, of which one may not be there.

    Attributes:
        row: the name of its row.
        kernels: before and after.
        old, new: the results.
    """

    row: str
    kernels: tuple[str, str]
    old: CaseResult | None
    new: CaseResult | None


def kernels(old: Results, new: Results, asked: Iterable[str] = ()) -> dict[str, str]:
    """Return for each kernel of the old file with which of the new one it is compared.

    Args:
        old, new: the files.
        asked: ``OLD=NEW``; where any is given, nothing else is compared.

    Kernels of the same spec are pairs. Where each file has just one kernel that the other has not, these are one too.
    Raises UsageError for what is no pair of kernels of these files.
    """
    before, after = _specs(old), _specs(new)
    if pairs := dict(_parse(text, before, after) for text in asked):
        return pairs
    found = {spec: spec for spec in before if spec in after}
    gone = [spec for spec in before if spec not in after]
    come = [spec for spec in after if spec not in before]
    if not found and len(gone) == len(come) == 1:
        found[gone[0]] = come[0]
    return found


def pairs(old: Results, new: Results, of: Mapping[str, str]) -> list[Pair]:
    """Return the cells of both files in pairs, by row and kernel; those of kernels that are no pair stand alone.

    Where kernels of different names are compared, or were asked for, cells of others are left out.
    """
    only = any(before != after for before, after in of.items()) or not of
    back = {after: before for before, after in of.items()}
    before = {_key(one, one["kernel"]): one for one in old["results"]}
    after = {_key(one, back.get(one["kernel"], f"\0{one['kernel']}")): one for one in new["results"]}
    found = []
    for key in {**before, **after}:
        one, other = before.get(key), after.get(key)
        some = other if other is not None else one
        assert some is not None
        if only and of and (one is None or one["kernel"] not in of) and (other is None or other["kernel"] not in back):
            continue
        was = one["kernel"] if one is not None else back.get(some["kernel"], some["kernel"])
        now = other["kernel"] if other is not None else of.get(some["kernel"], some["kernel"])
        found.append(Pair(records.row(some), (was, now), one, other))
    return sorted(found, key=lambda pair: (natural(pair.row), natural(pair.kernels[0]), natural(pair.kernels[1])))


def _key(result: CaseResult, spec: str) -> str:
    """Return what a cell was asked for, on a kernel of that name; nodes of pytest are told without theirs."""
    test, kernel = result.get("test"), result["kernel"]
    named = test.replace(f"[{kernel}", "[·").replace(f"-{kernel}]", "-·]") if test else None
    made: CaseResult = {**result, "kernel": spec, "test": named}
    return json.dumps(records.asked(made))


def _specs(results: Results) -> list[str]:
    with_cells = {one["kernel"] for one in results["results"]}
    return [spec for spec in dict.fromkeys(k["spec"] for k in results["kernels"]) if spec in with_cells] + sorted(
        with_cells - {k["spec"] for k in results["kernels"]}
    )


def _parse(text: str, before: list[str], after: list[str]) -> tuple[str, str]:
    one, equals, other = text.partition("=")
    if not equals or one not in before or other not in after:
        known = f"of {', '.join(before) or 'none'} and of {', '.join(after) or 'none'}"
        raise UsageError(f"{text!r} is no pair of kernels", where="--pair", remedy=f"OLD=NEW, {known}")
    return one, other
