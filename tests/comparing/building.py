"""Results of runs, as tests write them."""

from __future__ import annotations

from typing import Any

from everykernel.matrix import records
from everykernel.matrix.records import SCHEMA, CaseResult, RunRecord
from everykernel.matrix.results import Results


def run(name: str = "a", started: str = "2026-11-01T00:00:00+00:00", **more: Any) -> RunRecord:
    made: Any = {
        "id": name,
        "started": started,
        "tool": "everykernel 0.1.0",
        "host": {"accelerator": "tcg", "cpus": 2, "qemu": "7.2"},
        **more,
    }
    return made  # type: ignore[no-any-return]


def result(shown: str = "a.bpf.o", spec: str = "6.1", outcome: str = records.PASSED, **more: Any) -> CaseResult:
    empty: Any = records.empty(None, shown, spec, {"cpus": 2, "memory": None})
    made: Any = {**empty, "outcome": outcome, "btf": "kernel"}
    made["stages"] = {name: {"status": "passed", "code": "", "message": "", "seconds": 0.0} for name in made["stages"]}
    if outcome == records.FAILED:
        made |= {"stage": "load", "code": "verifier-rejected", "message": "R0 !read_ok"}
    if outcome == records.ERROR:
        made |= {"code": "guest-lost", "message": "the channel was closed", "btf": ""}
    made |= more
    return made  # type: ignore[no-any-return]


def results(cells: list[CaseResult], identity: RunRecord | None = None, kernels: list[Any] | None = None) -> Results:
    specs = dict.fromkeys(cell["kernel"] for cell in cells)
    columns: Any = kernels if kernels is not None else [{"spec": spec} for spec in specs]
    made: Any = {"schema": SCHEMA, "run": identity or run(), "results": cells, "kernels": columns}
    return made  # type: ignore[no-any-return]
