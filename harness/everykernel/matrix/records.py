"""The shape of results: what `results.json` holds (schema ``everykernel/1``), as dictionaries with typed keys.

report/schema.json says the same to other programs; a test compares the two. Fields may be added, never change meaning.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypedDict

from everykernel import wire
from everykernel.matrix.expect import STAGES
from everykernel.reasons import REASONS

SCHEMA = "everykernel/1"

PASSED, FAILED, ERROR = "passed", "failed", "error"


class HostRecord(TypedDict, total=False):
    """Where a run took place."""

    accelerator: str  # of all kernels of the run: "kvm" or "tcg"
    accelerator_reason: str  # why: "no /dev/kvm"
    cpus: int
    qemu: str
    system: str  # "Linux 6.1.0-56-amd64 x86_64"
    python: str


class RunRecord(TypedDict, total=False):
    """The identity of one run."""

    id: str
    started: str  # ISO 8601, UTC
    tool: str  # "everykernel 0.1.0"
    host: HostRecord


class KernelRecord(TypedDict, total=False):
    """One column: what its kernel is, from probes in a guest; ``missing`` or ``broken`` where there was none."""

    spec: str
    release: str
    version: str
    arch: str
    btf: str  # "kernel" or "none"
    module_btf: bool
    jit: bool
    lsm: list[str]
    lockdown: str
    config: bool
    cpus: int
    accelerator: str  # "kvm" or "tcg"
    accelerator_reason: str
    source: str
    sha256: str
    signed: str
    flavour: str
    notes: list[str]
    missing: str  # why there is no such kernel (--kernels-missing skip)
    broken: str  # why it never answered: the first failure is kept


class ProblemRecord(TypedDict, total=False):
    """One thing that a case did not expect."""

    stage: str
    program: str
    code: str
    message: str


class Granted(TypedDict):
    """What a guest was given, beside what was asked for."""

    memory: int  # MiB


class CaseResult(TypedDict, total=False):
    """One cell. ``(case, object, test, kernel, machine, target, loader, rules, btf)`` is its key."""

    object: str | None  # the path as the user gave it
    sha256: str | None
    case: str | None
    kernel: str
    target: str  # where the kernel ran: "guest", a guest of this host
    loader: str  # who loaded: "own"
    rules: str  # by whose rules the own loader decided: "libbpf"
    btf: str
    machine: dict[str, Any]  # as asked for: memory is None where nobody asked for any
    granted: Granted
    stages: dict[str, wire.Stage]
    outcome: str  # passed, failed, or error: the guest or the harness broke
    stage: str  # what decided: the stage, the reason code and one line; empty when passed
    code: str
    message: str
    problems: list[ProblemRecord]
    misreads: list[wire.Misread]  # what is loaded and reads other bytes than its author meant
    seconds: float  # of wall time, the guest's start included
    start: str  # how the guest was started: restored or cold-boot
    warnings: list[str]  # WARN, lockdep and lockup splats of the kernel, whole
    notes: list[str]
    evidence: str | None  # the folder of this cell below the report's
    test: str | None  # the pytest node
    again: str  # the command that runs this one cell again


class CellReport(TypedDict, total=False):
    """What a cell hands to whoever reports it, also across processes: plain data only."""

    result: CaseResult
    kernel: KernelRecord
    console: str
    trace: str  # of a defect of the harness


KEY = ("case", "object", "test", "kernel", "machine", "target", "loader", "rules", "btf")


def key(result: CaseResult) -> tuple[str, ...]:
    """Return what identifies a cell within a run: the text of each field of `KEY`."""
    return tuple(json.dumps(result.get(name), sort_keys=True, default=str) for name in KEY)


def empty(name: str | None, shown: str, spec: str, machine: dict[str, Any]) -> CaseResult:
    """Return the result of a cell of which nothing is known yet: none of its stages was reached.

    Args:
        name: the case's, None for a bare object.
        shown: the object's path as the user gave it.
        spec: the kernel.
        machine: the machine as asked for.
    """
    return {
        "object": shown,
        "sha256": None,
        "case": name,
        "kernel": spec,
        "target": "guest",
        "loader": "own",
        "rules": "libbpf",
        "btf": "",
        "machine": machine,
        "stages": no_stages(),
        "outcome": ERROR,
        "stage": "",
        "code": "",
        "message": "",
        "problems": [],
        "misreads": [],
        "seconds": 0.0,
        "start": "",
        "warnings": [],
        "notes": [],
        "evidence": None,
    }


def row(result: CaseResult) -> str:
    """Return the name of the matrix row that a result belongs to."""
    return result.get("case") or result.get("object") or "?"


def not_reached(message: str = "") -> wire.Stage:
    """Return the record of a stage that was not reached."""
    return {"status": wire.NOT_REACHED, "code": "", "message": message, "seconds": 0.0}


def skipped(message: str) -> wire.Stage:
    """Return the record of a stage that does not apply."""
    return {"status": wire.SKIPPED, "code": "", "message": message, "seconds": 0.0}


def no_stages(message: str = "") -> dict[str, wire.Stage]:
    """Return three stages, none of which was reached."""
    return {name: not_reached(message) for name in STAGES}


def broke(result: CaseResult) -> str:
    """Return who is at fault for an error: ``guest``, ``harness``, or "" where the outcome is a verdict."""
    if result.get("outcome") != ERROR:
        return ""
    return "harness" if result.get("code") == "harness-error" else "guest"


def is_breakage(code: str) -> bool:
    """Return whether a reason code says that a machine or the harness broke, rather than the case."""
    reason = REASONS.get(code)
    return reason is None or reason.stage == "guest"


_SURROGATES = re.compile("[\ud800-\udfff]")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: bytes become ``{"hex": …}``, keys strings, tuples lists.

    Names in objects may hold any bytes: those that are no UTF-8, which came as lone surrogates, become escapes.
    """
    if isinstance(value, str):
        return _SURROGATES.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", value)
    if isinstance(value, (bytes, bytearray)):
        return {"hex": bytes(value).hex()}
    if isinstance(value, dict):
        return {plain(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (int, float, bool)):
        return value
    return plain(str(value))


def note_accelerator(kernel: KernelRecord, verdict: str) -> None:
    """Keep a verdict on the accelerator (``tcg (no /dev/kvm)``) in a kernel's record, its name and its reason apart."""
    name, _, reason = verdict.partition(" ")
    kernel["accelerator"] = name
    if reason:
        kernel["accelerator_reason"] = reason.removeprefix("(").removesuffix(")")
