"""A cell in which a real loader loads: it is asked through its adapter, and its answer fills the cell's stages."""

from __future__ import annotations

from collections.abc import Sequence

from everykernel.kernels.supplied import Supply
from everykernel.loaders import drive, sizes, stages
from everykernel.loaders.contract import Answer
from everykernel.machine import Guest
from everykernel.matrix import records, supply
from everykernel.matrix.case import Case
from everykernel.matrix.records import CaseResult

_PATIENCE = 10  # times the timeout: a library may open the object once for each of its programs


def load(
    guest: Guest, case: Case, data: bytes, result: CaseResult, supplies: Sequence[Supply], timeout: float
) -> Answer:
    """Load an object by the adapter of a case, and write into the cell's record what came of it.

    Args:
        guest: a fresh one.
        case: what to load; it has an adapter.
        data: the object.
        result: the cell's record.
        supplies: BTF that was supplied for kernels without.
        timeout: seconds; an adapter may take ten times as many.

    Raises what `drive.ask` raises.
    """
    adapter = case.adapter
    assert adapter is not None
    supplied, notes = supply.choose(supplies, guest.kernel, guest.facts, always=case.btf_always)
    result["notes"] += notes
    if supplied is not None:
        result["btf"] = f"supplied:{supplied.name}"
    table = dict(case.contract)
    if left := sizes.not_taken(table) + (["other objects"] if case.beside else []):
        result["notes"].append(f"{adapter.name} is not told of the contract's {', '.join(left)}")
    answer = drive.ask(
        guest,
        adapter,
        case.object_data(guest.kernel.arch)[0],
        data,
        btf=supplied.data if supplied is not None else None,
        table=table,
        timeout=_PATIENCE * timeout,
    )
    if answer.loader is not None:
        result["loader_version"] = answer.loader["version"]
    found = {
        "relocate": stages.relocate(answer, adapter.name),
        "load": stages.load(answer, adapter.name, table.get("may_fail", ())),
        "run": records.skipped(f"{adapter.name} only loads"),
    }
    result["stages"].update(records.plain(found))
    return answer
