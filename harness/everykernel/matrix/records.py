"""The shape of results: what `results.json` holds (schema ``everykernel/1``), as dictionaries with typed keys.

schema.json beside this file says the same to other programs; a test compares the two. Fields may be added, never change
meaning.
"""

from __future__ import annotations

import json
import math
import re
import traceback
from typing import Any, TypedDict

from everykernel import wire
from everykernel.errors import BootFailed, EverykernelError, GuestError, HarnessError
from everykernel.kernels.model import GUEST
from everykernel.loaders.names import OWN, USUAL_RULES
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


class WorkerRecord(HostRecord, total=False):
    """One worker of a cluster; one that came back with another QEMU or accelerator has another record."""

    name: str


class RunRecord(TypedDict, total=False):
    """The identity of one run."""

    id: str
    started: str  # ISO 8601, UTC
    tool: str  # "everykernel 0.1.0"
    host: HostRecord
    loaders: list[LoaderRecord]  # beside our own; left out where only ours loads
    shard: str  # "2/4": which of the cells that were asked for it took; left out where all
    retries: int  # how often a cell whose guest or harness broke was run again at most
    workers: list[WorkerRecord]  # of a cluster, those that ran cells; left out where cells ran on this host
    parts: list[PartRecord]  # the runs that were merged into this file, in the order of their starts


class PartRecord(RunRecord, total=False):
    """One run of a merged file, with its own columns; it has no parts."""

    kernels: list[KernelRecord]


class LoaderRecord(TypedDict, total=False):
    """One loader of a run beside our own."""

    name: str
    arch: str  # of the kernels that this adapter runs on; x86_64 where nothing is said
    version: str  # of its library, as pinned; "" for a user's own until it tells
    toolchain: str  # what built it
    sha256: str  # of its adapter
    skipped: str  # why it could not be had; its column is empty then


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
    package: str  # the name of the package, "" for a path
    package_version: str  # "6.1.192-1"
    sha256: str  # of the package, of the image for a path
    image_sha256: str  # of the image that was booted
    signed: str  # how the source is vouched for: "gpgv", "https" or "none"
    flavour: str
    unprivileged_bpf: str  # kernel.unprivileged_bpf_disabled: "0", "1" or "2"; "" unknown
    target: str  # where it runs, as of results: left out for a guest of this host
    promises: Promises  # of a target; left out for a guest, which keeps all
    notes: list[str]
    missing: str  # why there is no such kernel (--kernels-missing skip)
    broken: str  # why it never answered: the first failure is kept


class Promises(TypedDict):
    """What a machine that ran already gives a cell of what a guest does."""

    fresh_kernel: bool  # a kernel that no other cell had: never
    console: bool  # what the kernel printed, so that a panic can be read
    loads: bool  # whether it was allowed to load (--target-may-load)


class ProblemRecord(TypedDict, total=False):
    """One thing that a case did not expect."""

    stage: str
    program: str
    code: str
    message: str


class Granted(TypedDict):
    """What a guest was given, beside what was asked for."""

    memory: int  # MiB


class OutputRecord(TypedDict):
    """What a command wrote to a stream: all of it in ``first``, or its two ends."""

    first: str
    last: str
    left_out: int  # bytes between them


class CommandRecord(TypedDict):
    """What a command did: `wire.Commanded` with its output as text."""

    argv: list[str]
    end: str  # exit, signal, deadline, processes or not-started
    exit: int | None
    signal: str  # "SIGSEGV" of one that a signal ended, else ""
    seconds: float
    stdout: OutputRecord
    stderr: OutputRecord
    processes: int  # and threads, that there were
    out_of_memory: int  # processes that the kernel's OOM killer took meanwhile
    calls: list[wire.BpfCall]
    calls_left_out: int
    blamed: int | None  # index of the refused call that its failure is likely of
    programs: list[wire.Appeared]
    maps: list[wire.Appeared]


class Reused(TypedDict):
    """Where the verdict of a cell comes from that was not run, because nothing of what decides it had changed."""

    run: str  # the id of the run that found it
    at: str  # when: ISO 8601, UTC
    seconds: float  # that the cell took then


class CaseResult(TypedDict, total=False):
    """One cell. ``(case, object, test, kernel, machine, target, loader, rules, btf)`` is its key."""

    object: str | None  # the path as the user gave it
    sha256: str | None
    case: str | None
    kernel: str
    target: str  # where the kernel ran: "guest", a guest of this host, or "ssh", a machine that ran already
    loader: str  # who loaded: "own", a real loader by its name, or "command"
    loader_version: str  # of a real loader's library, as its adapter says; left out for our own
    rules: str  # by whose rules the own loader decided: "libbpf"; of any other its name
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
    run: str  # the id of the part that it is of; left out where the file is of one run
    worker: str  # the worker of a cluster that ran it; left out where it ran on this host
    attempt: int  # which attempt of its run it is, where there were several: 1 is the first
    reused: Reused  # left out of what this run found itself
    attempts: list[CaseResult]  # the others, in order: broken guests that were run again, older runs that were merged


class CellReport(TypedDict, total=False):
    """What a cell hands to whoever reports it, also across processes: plain data only."""

    result: CaseResult
    kernel: KernelRecord
    console: str
    trace: str  # of a defect of the harness
    starved: str  # what the guest had too little memory for, as far as its kernel tells; "" for nothing
    earlier: list[CellReport]  # of `attempts` of its result, one each


KEY = ("case", "object", "test", "kernel", "machine", "target", "loader", "rules", "btf")


def key(result: CaseResult) -> tuple[str, ...]:
    """Return what identifies a cell within a run: the text of each field of `KEY`."""
    return tuple(json.dumps(result.get(name), sort_keys=True, default=str) for name in KEY)


def asked(result: CaseResult) -> tuple[str, ...]:
    """Return what identifies a cell across runs: what was asked for, whatever came of it.

    That is `KEY` without the BTF that was used and the kernel's own flavour. A pytest node says all of case, object and
    machine, and what a test loads may differ from run to run.
    """
    test, machine = result.get("test"), result.get("machine", {})
    what: dict[str, Any] = {name: result.get(name) for name in ("kernel", "target", "loader", "rules")}
    if test:
        what["test"] = test
    else:
        what |= {"case": result.get("case"), "object": result.get("object")}
        what["machine"] = {name: value for name, value in machine.items() if name != "flavour"}
    return tuple(json.dumps([name, what[name]], sort_keys=True) for name in sorted(what))


def empty(
    name: str | None,
    shown: str,
    spec: str,
    machine: dict[str, Any],
    rules: str = "",
    loader: str = OWN,
    target: str = GUEST,
) -> CaseResult:
    """Return the result of a cell of which nothing is known yet: none of its stages was reached.

    Args:
        name: the case's, None for a bare object.
        shown: the object's path as the user gave it.
        spec: the kernel.
        machine: the machine as asked for.
        rules: the loader whose rules decide; the usual where nobody asked for any.
        loader: who loads; the rules are its own where that is not our loader.
        target: where the kernel runs.
    """
    return {
        "object": shown,
        "sha256": None,
        "case": name,
        "kernel": spec,
        "target": target,
        "loader": loader,
        "rules": (rules or USUAL_RULES) if loader == OWN else loader,
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


def name(result: CaseResult) -> str:
    """Return what a cell is called in the plan of its run: its test's node, else its row and its kernel."""
    test = result.get("test")
    if test:
        return test
    case, shown, loader = result.get("case"), result.get("object"), result.get("loader", OWN)
    by = "" if loader == OWN else f" by {loader}"
    return f"{case} ({shown}) on {result.get('kernel')}{by}" if case else f"{shown} on {result.get('kernel')}{by}"


def row(result: CaseResult) -> str:
    """Return the name of the matrix row that a result belongs to, with the rules where they are not the usual."""
    rules = result.get("rules", USUAL_RULES)
    usual = rules == USUAL_RULES or result.get("loader", OWN) != OWN
    return title(result) if usual else f"{title(result)} (rules {rules})"


def title(result: CaseResult) -> str:
    """Return the name of a result's case, or of its object, whatever loaded it."""
    return result.get("case") or result.get("object") or "?"


def column(result: CaseResult) -> str:
    """Return the name of the matrix column that a result belongs to: the kernel's spec, and the loader's name."""
    return of_column(result.get("kernel", "?"), result.get("loader", OWN))


def of_column(spec: str, loader: str) -> str:
    """Return the name of the column of a kernel and a loader."""
    return spec if loader == OWN else f"{spec} {loader}"


def break_result(report: CellReport, error: Exception) -> None:
    """Make a report say that its guest or the harness broke."""
    result = report["result"]
    code = error.code if isinstance(error, EverykernelError) and is_breakage(error.code) else "harness-error"
    message = plain(str(error) if isinstance(error, EverykernelError) else f"{type(error).__name__}: {error}")
    result.update({"outcome": ERROR, "stage": "", "code": code, "message": message})
    if isinstance(error, GuestError):
        report["console"] = plain(error.console)
        if isinstance(error, BootFailed):
            report["kernel"]["broken"] = message
    elif not isinstance(error, EverykernelError):
        report["trace"] = plain("".join(traceback.format_exception(error)))


def keep_attempts(report: CellReport, earlier: list[CellReport]) -> None:
    """Put the attempts before into a cell's report and its result, in order; nothing changes where there were none."""
    if not earlier:
        return
    for number, one in enumerate([*earlier, report], 1):
        one["result"]["attempt"] = number
    report["result"]["attempts"] = [one["result"] for one in earlier]
    report["earlier"] = earlier


def unwritten(report: CellReport, error: Exception) -> None:
    """Make a report say that it could not be written, whatever its verdict was."""
    break_result(report, error)
    message = f"its result could not be written: {report['result']['message']}"
    report["result"].update({"code": HarnessError.code, "message": message})


def bare(report: CellReport) -> CellReport:
    """Return what can be written of a cell in any case: what it is and what broke, without what its guest told."""
    result = report["result"]
    made: CaseResult = {
        **result,
        "stages": no_stages(),
        "problems": [],
        "misreads": [],
        "warnings": [],
        "notes": [],
        "evidence": None,
    }
    made.pop("attempts", None)
    kernel = {"spec": result["kernel"]}
    return plain({"result": made, "kernel": kernel, "console": "", "trace": report.get("trace", "")})  # type: ignore[no-any-return]


def in_words(misread: wire.Misread) -> str:
    """Return one misread: ``task_struct.on_cpu is taken for int on_cpu, 4 bytes; the kernel has u8 on_cpu, 1 byte``."""
    return f"{misread['access']} is taken for {misread['taken']}; the kernel has {misread['kernel']}"


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


def flaky(result: CaseResult) -> bool:
    """Return whether a cell came to its verdict only when it was run again: before that its guest or harness broke."""
    earlier = result.get("attempts", [])
    return result.get("outcome") != ERROR and any(one.get("outcome") == ERROR for one in earlier)


def provenance(result: CaseResult) -> str:
    """Return which run a cell's verdict is of, and when, "" where it is this run's."""
    told = result.get("reused")
    return f"run {told['run']} ({told['at']})" if told else ""


def took(result: CaseResult) -> float:
    """Return the seconds that a cell took when it ran, in this run or in that which it is of."""
    told = result.get("reused")
    return told["seconds"] if told else result.get("seconds", 0.0)


def starved(result: CaseResult) -> str:
    """Return what the kernel had no memory for (ENOMEM), "" for nothing; what the case expects to fail is left out."""
    for name in ("load", "run"):
        stage: dict[str, Any] = {**result["stages"][name]}
        for record in (*stage.get("maps", []), *stage.get("programs", [])):
            lacks = record.get("errno") == "ENOMEM" and record.get("code") != "kernel-config-missing"
            if record.get("status") == wire.FAILED and lacks and "expected" not in record:
                return str(record.get("message", ""))
    return ""


def is_breakage(code: str) -> bool:
    """Return whether a reason code says that a machine or the harness broke, rather than the case."""
    reason = REASONS.get(code)
    return reason is None or reason.stage == "guest"


_SURROGATES = re.compile("[\ud800-\udfff]")
_DEPTH = 64  # of lists and dictionaries in one another that are kept: records of ours have 8
_BITS = 4096  # of an integer that is kept as one: Python neither prints nor reads more than 4,300 digits


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """Return ``value`` as JSON can hold it, whatever it is: writing what this returns never raises.

    Bytes become ``{"hex": …}``, keys strings, tuples lists, NaN and infinities their names. Names in objects may hold
    any bytes: those that are no UTF-8, which came as lone surrogates, become escapes. What lies deeper than `_DEPTH`
    is left out, and an ellipsis says so.
    """
    if isinstance(value, str):
        return _SURROGATES.sub(_escape, str(value)) if not value.isascii() else str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _BITS else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, (bytes, bytearray)):
        return {"hex": bytes(value).hex()}
    if isinstance(value, (dict, list, tuple, set, frozenset)) and depth == 0:
        return "…"
    if isinstance(value, dict):
        return {plain(str(k)): plain(v, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v, depth - 1) for v in value]
    return plain(str(value))


def _escape(found: re.Match[str]) -> str:
    """Return the text of a lone surrogate: the byte that it stands for (PEP 383), or its number."""
    number = ord(found[0])
    return f"\\x{number & 0xFF:02x}" if 0xDC80 <= number <= 0xDCFF else f"\\u{number:04x}"


def note_accelerator(record: KernelRecord | WorkerRecord, verdict: str) -> None:
    """Keep a verdict on the accelerator (``tcg (no /dev/kvm)``) in a record, its name and its reason apart."""
    name, _, reason = verdict.partition(" ")
    record["accelerator"] = name
    if reason:
        record["accelerator_reason"] = reason.removeprefix("(").removesuffix(")")
