"""Results as runs write them, made of a few words a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from everykernel import wire
from everykernel.gates.findings import Survey, survey
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.matrix.results import Results

RELEASES = {"5.10": "5.10.0-41", "5.15": "5.15.0-91", "6.1": "6.1.0-56", "6.12": "6.12.57+deb13", "7.3": "7.3.1"}


def cell(name: str, spec: str, *problems: tuple[str, str, str], broke: str = "", **more: Any) -> CaseResult:
    """A cell with (stage, program, code) of what was not expected; ``broke`` is the code of what has no verdict."""
    result = records.empty(None, name, spec, {"cpus": 2, "memory": None})
    result.update({"outcome": records.PASSED, "btf": "kernel"})
    result.update(more)  # type: ignore[typeddict-item]
    if broke:
        result.update({"outcome": records.ERROR, "code": broke, "message": f"{broke} on {spec}"})
        return result
    failed = [stage for stage, _, _ in problems]
    for stage in STAGES:
        status = wire.FAILED if stage in failed else wire.PASSED
        if any(STAGES.index(one) < STAGES.index(stage) for one in failed):
            status = wire.NOT_REACHED
        result["stages"][stage]["status"] = status
        result["stages"][stage]["code"] = next((code for at, _, code in problems if at == stage), "")
    if problems:
        stage, _, code = problems[0]
        result.update({"outcome": records.FAILED, "stage": stage, "code": code, "message": f"{code} there"})
        result["problems"] = [
            {"stage": stage, "program": program, "code": code, "message": f"program {program!r}: {code} there"}
            for stage, program, code in problems
        ]
    programs = [(program, stage, code) for stage, program, code in problems if program]
    loaded: list[wire.ProgramRecord] = [
        {"name": "other", "status": wire.PASSED, "code": "", "verified_insns": 100},
    ]
    for program, stage, code in programs:
        status = wire.FAILED if stage == "load" else wire.PASSED
        loaded.append({"name": program, "status": status, "code": code, "verified_insns": None})
    result["stages"]["load"]["programs"] = loaded
    return result


def run(*cells: CaseResult, kernels: list[KernelRecord] | None = None) -> Results:
    """The results of a run."""
    specs = dict.fromkeys(one["kernel"] for one in cells)
    known: list[KernelRecord] = [
        {"spec": spec, "release": RELEASES.get(spec.partition("/")[0], ""), "btf": "kernel"} for spec in specs
    ]
    for kernel in known:
        if "/" in kernel["spec"]:
            kernel["arch"] = kernel["spec"].partition("/")[2]
    return {
        "schema": records.SCHEMA,
        "run": {
            "id": "1",
            "started": "2026-11-29T09:00:00+00:00",
            "tool": "everykernel 0",
            "host": {"accelerator": "tcg", "cpus": 2, "qemu": "7.2"},
        },
        "results": list(cells),
        "kernels": known if kernels is None else kernels,
    }


def seen(*cells: CaseResult, root: Path | None = None) -> Survey:
    """What a gate sees of cells."""
    results = run(*cells)
    return survey(results["results"], results["kernels"], root=root)


REFUSED = ("load", "p", "verifier-rejected")
LINE = "x.o load p 5.10 verifier-rejected"
