"""One cell: a fresh guest, an object relocated, loaded, attached, triggered and checked, and the verdict.

A case that failed, a guest that broke and a harness that broke are told apart here, once: the first is a verdict
(``failed``), the others are ``error`` with a code of the machine or ``harness-error``. A breakage is a pass only where
the case expects that very code (a test of the harness that panics on purpose).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from everykernel import wire
from everykernel.errors import EverykernelError, GuestError, GuestLost, HarnessError, RequestFailed
from everykernel.kernels.model import BOOTED, GUEST, Kernel
from everykernel.kernels.supplied import Supply
from everykernel.loaders import drive
from everykernel.loaders.adapter import Adapter
from everykernel.loaders.names import OWN, USUAL_RULES
from everykernel.machine import Guest
from everykernel.matrix import absent, adapted, records, substance, supply
from everykernel.matrix.case import Case
from everykernel.matrix.expect import STAGES, STATUSES, Conditions, Problem, find, judge
from everykernel.matrix.ranges import numbers
from everykernel.matrix.records import CaseResult, CellReport, KernelRecord

_BTF = re.compile(r"kernel|none|(module|supplied):.+", re.DOTALL)  # the BTF that a stage used, as results name it
_NOT_ALLOWED = "nothing may be loaded into this target (--target-may-load)"
FAILED_LINE = "ek_failed_line"  # set by EK_ASSERT of cases/include/everykernel.h; 0 until an assertion fails


def run_cell(
    start: Callable[[], Guest],
    kernel: Kernel,
    case: Case,
    *,
    timeout: float = 60.0,
    btf: Sequence[Supply] = (),
    keep: Callable[[Guest, CellReport], None] | None = None,
) -> CellReport:
    """Run a case in a guest that ``start`` returns, and report; never raises but for KeyboardInterrupt.

    Args:
        start: starts a guest with a fresh kernel; what it raises becomes the cell's error.
        kernel: the kernel, for the record of a guest that never answered.
        case: what to run.
        timeout: seconds that the guest may take to relocate and load, and to attach.
        btf: BTF that was supplied for kernels without; it comes before the case's own.
        keep: called with the guest of a cell that did not pass, before that is closed.
    """
    began = time.monotonic()
    result = empty(kernel, case)
    report: CellReport = {"result": result, "kernel": kernel_record(kernel), "console": ""}
    try:
        data = case.content(kernel.arch)
        result["sha256"] = hashlib.sha256(data).hexdigest() if data is not None else None
        with start() as guest:
            report["kernel"] = kernel_record(kernel, guest.facts)
            drive = _drive(case)(guest, case, data or b"", result, timeout, btf)
            drive.run()
            report["console"] = guest.console() or drive.console
            report["starved"] = drive.starved or records.starved(result)
            if keep is not None and result["outcome"] != records.PASSED:
                keep(guest, report)
    except Exception as e:
        records.break_result(report, e)
        if not isinstance(e, EverykernelError):  # a defect: whatever of the guest's was at hand when it showed
            result.update({"stages": records.no_stages(), "problems": [], "misreads": []})
    result["seconds"] = round(time.monotonic() - began, 4)
    made: CellReport = records.plain(report)
    return made


def kernel_record(kernel: Kernel, facts: wire.Facts | None = None) -> KernelRecord:
    """Return a column's record: what is known of the kernel, and what its probes said."""
    record: KernelRecord = {
        "spec": kernel.spec,
        "release": kernel.release,
        "arch": kernel.arch.name,
        "source": kernel.source,
        "notes": list(kernel.notes),
    }
    if kernel.target in BOOTED:
        record.update({"sha256": kernel.sha256, "signed": kernel.signed, "flavour": kernel.flavour})
    if kernel.target != GUEST:
        record["target"] = kernel.target
    if kernel.version:
        record["package_version"] = kernel.version
    if kernel.digest:
        record["image_sha256"] = kernel.digest
    if facts is not None:
        record.update(
            {
                "release": facts.release,
                "version": facts.version,
                "btf": "kernel" if facts.btf else "none",
                "module_btf": bool(facts.module_btf),
                "jit": facts.jit,
                "lsm": list(facts.lsm),
                "lockdown": facts.lockdown,
                "unprivileged_bpf": facts.unprivileged_bpf,
                "config": facts.config,
                "cpus": facts.cpus,
            }
        )
    return record


def _drive(case: Case) -> type[Drive]:
    """Return what takes a case through its stages."""
    if case.command is None:
        return Drive
    from everykernel.matrix.commanding import CommandDrive  # which is made of this module's

    return CommandDrive


def empty(kernel: Kernel, case: Case) -> CaseResult:
    """Return the result of a case on a kernel that was fetched, before anything is known of it."""
    machine = {**case.machine_asked, "flavour": kernel.flavour}
    name = case.name if case.path is not None else None
    return records.empty(
        name, case.object_shown(kernel.arch), kernel.spec, machine, case.rules, case.loader, kernel.target
    )


class Drive:
    """Takes one case through its stages in one guest, filling its result."""

    def __init__(
        self, guest: Guest, case: Case, data: bytes, result: CaseResult, timeout: float, supplies: Sequence[Supply]
    ) -> None:
        self.guest = guest
        self.case = case
        self.data = data
        self.result = result
        self.stages = result["stages"]
        self.timeout = timeout
        self.supplies = [*supplies, case.btf] if case.btf is not None else list(supplies)
        self.problems: list[Problem] = []
        self.console = ""  # of a guest that broke, as its error tells it
        self.starved = ""  # why it broke, if it ran out of memory
        facts = guest.facts
        btf = "kernel" if facts.btf else "none"
        release = numbers(facts.release, facts.version)
        self.conditions = Conditions(
            release, guest.kernel.arch.name, btf, OWN if case.command is not None else case.loader
        )

    def run(self) -> None:
        """Run the stages, judge them, and write the verdict."""
        self.result["start"] = self.guest.start_kind
        if self.guest.kernel.target in BOOTED:
            self.result["granted"] = {"memory": self.guest.spec.memory}
        self.result["notes"] = list(self.guest.notes)
        self.result["btf"] = self.conditions.btf
        breakage = ""
        try:
            self._stages()
            self.result["warnings"] = self.guest.warnings()
            self.result["notes"] += self.guest.finish()
        except GuestError as e:
            breakage = self._broken(e)
        self._verdict(breakage)

    def _stages(self) -> None:
        if self.case.adapter is not None:
            adapter = self.case.adapter
            self._timed("load", lambda stage: self._load_by(adapter, stage))
            return
        loaded = self._timed("load", self._load)
        if loaded is None:
            return
        if self.case.until == "load":
            self.stages["run"] = records.skipped("not asked for")
            self._strictly(self.stages["run"])
            if self.stages["run"]["status"] == wire.FAILED:
                self._judge("run")
            return
        earlier = [(n, self.stages[n].get("status", "")) for n in ("relocate", "load")]
        stopped = next((f"{n} {s}, as the case expects" for n, s in earlier if s != wire.PASSED), "")
        if not stopped and (lacking := self._lacking()):
            self.stages["run"] = records.skipped(lacking)
            return
        programs = self.stages["load"].get("programs", [])
        if not stopped and programs and all(p.get("status") != wire.PASSED for p in programs):
            stopped = "no program was loaded"
        if stopped:
            self.stages["run"] = records.not_reached(stopped)
        else:
            self._timed("run", lambda stage: self._run(stage, loaded.handle))
        self._judge("run", excused=bool(stopped))

    def _lacking(self) -> str:
        """Return what the run stage needs and this machine does not have, "" where it has all."""
        needed = [*(["its trigger"] if self.case.trigger else []), *(["its check"] if self.case.check else [])]
        if self.guest.facts.python or not needed:
            return ""
        return f"this machine has neither Python nor programs, for {' and '.join(needed)}"

    def _timed(self, name: str, action: Callable[[wire.Stage], Any]) -> Any:
        """Run one stage; a case's error fails it (and is judged), another's passes through with the stage marked."""
        stage: wire.Stage = {"status": wire.PASSED, "code": "", "message": ""}
        began = time.monotonic()
        try:
            return action(stage)
        except EverykernelError as e:
            stage.update({"status": wire.FAILED, "code": e.code, "message": e.message})
            if isinstance(e, RequestFailed) and e.where:
                stage["message"] = f"{e.where}: {e.message}"
            if isinstance(e, GuestError | HarnessError):
                raise
            if name == "load":
                self.stages["load"] = stage
                self._judge("load")
            return None
        finally:
            stage.setdefault("seconds", round(time.monotonic() - began, 6))
            if name == "run" or stage["status"] == wire.FAILED:
                self.stages[name] = stage

    # --- relocate and load

    def _load(self, _: wire.Stage) -> wire.Loaded | None:
        """Have the guest relocate and load; return None where nothing is left to run."""
        guest, case = self.guest, self.case
        supplied, notes = supply.choose(self.supplies, guest.kernel, guest.facts, always=case.btf_always)
        self.result["notes"] += notes
        request = wire.Load(
            case.object_data(guest.kernel.arch)[0],
            self.data,
            btf=supplied.data if supplied is not None else None,
            btf_name=supplied.name if supplied is not None else "",
            contract=dict(case.contract),
            beside=case.beside_data(guest.kernel.arch),
            rules=case.rules or USUAL_RULES,
            until="load" if guest.may_load else "relocate",
        )
        reply = self.guest.request(request, self.timeout)
        assert isinstance(reply, wire.Loaded)
        self.stages["relocate"] = _stage("relocate", reply.relocate)
        self.stages["load"] = _stage("load", reply.load)
        self.result["misreads"] = records.plain(reply.misreads)
        if supplied is None:
            absent.name_modules(self.stages["load"], self.guest.kernel)
        if used := self.stages["relocate"].get("btf"):
            self.result["btf"] = used
            self.conditions = replace(self.conditions, btf=used)
        self._judge("relocate")
        if not guest.may_load:
            for name in ("load", "run"):
                self.stages[name] = records.skipped(_NOT_ALLOWED)
            return None
        relocate = self.stages["relocate"]
        refused = {p.get("name", "") for p in relocate.get("programs", []) if p.get("status") == wire.FAILED}
        self._judge("load", excused=bool(refused) or relocate["status"] == wire.FAILED, refused_before=refused)
        if not self.problems and not (
            relocate["status"] == wire.FAILED or self.stages["load"]["status"] == wire.FAILED
        ):
            nothing = substance.judge(self.stages["load"], dict(case.contract))
            self.problems += [nothing] if nothing is not None else []
        if self.problems:
            self.stages["run"] = records.not_reached(f"{self.problems[0].stage} failed")
            return None
        return reply

    def _load_by(self, adapter: Adapter, stage: wire.Stage) -> None:
        """Have a real loader load, and judge it; it only loads, so nothing is run."""
        answer = adapted.load(self.guest, self.case, self.data, self.result, self.supplies, self.timeout)
        self.conditions = replace(self.conditions, btf=self.result["btf"])
        stage.update(self.stages["load"])
        self.stages["load"] = stage
        if answer.broken:
            raise drive.broken(adapter, answer)
        self._judge("load")
        if not self.problems and stage["status"] != wire.FAILED:
            nothing = substance.judge(stage, dict(self.case.contract))
            self.problems += [nothing] if nothing is not None else []

    # --- run

    def _run(self, stage: wire.Stage, handle: int) -> None:
        """Attach, trigger, check, and read what the program itself asserted."""
        stage["evidence"] = {}
        if self.case.attach and not self._attach(stage, handle):
            return
        if self.case.trigger and not self._trigger(stage):
            return
        if self.case.check is not None and not self._check(stage, handle):
            return
        if FAILED_LINE.encode() in self.data:
            self._assertions(stage, handle)
        self._strictly(stage)

    def _strictly(self, stage: wire.Stage) -> None:
        """Fail the run stage for what is misread, where that was asked for and nothing else failed it."""
        found = self.result["misreads"]
        if not self.case.strict_reads or not found or stage["status"] == wire.FAILED:
            return
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        message = f"program {found[0]['program']!r}: {records.in_words(found[0])}{more}"
        stage.update({"status": wire.FAILED, "code": "misread", "message": message})

    def _attach(self, stage: wire.Stage, handle: int) -> bool:
        reply = self.guest.request(wire.Attach(handle), self.timeout)
        assert isinstance(reply, wire.Attached)
        stage["programs"] = records.plain(reply.programs)
        for program in stage["programs"]:
            if (
                program.get("status") == wire.FAILED
                and program.get("decides", True)
                and find(self.case.expect, self.conditions, "run", program.get("name", "")) is None
            ):
                message = f"program {program.get('name')!r}: {program.get('message')}"
                stage.update({"status": wire.FAILED, "code": program.get("code", "attach-failed"), "message": message})
                return False
        return True

    def _trigger(self, stage: wire.Stage) -> bool:
        argv = self.case.trigger
        ran = self.guest.run(argv, timeout=self.case.timeout)
        stage["evidence"]["trigger"] = {
            "argv": list(argv),
            "exit": ran.code,
            "stdout": ran.stdout.decode(errors="replace"),
            "stderr": ran.stderr.decode(errors="replace"),
        }
        if ran.code == 0:
            return True
        detail = ran.stderr.decode(errors="replace").strip().splitlines()
        message = f"trigger {argv[0]} ended with exit code {ran.code}" + (f": {detail[-1]}" if detail else "")
        stage.update({"status": wire.FAILED, "code": "assertion-failed", "message": message})
        return False

    def _check(self, stage: wire.Stage, handle: int) -> bool:
        path = self.case.check
        assert path is not None
        shown = str(self.case.folder / path.name) if self.case.path else path.name
        reply = self.guest.request(wire.Check(handle, self.case.check_source(), shown), self.case.timeout)
        assert isinstance(reply, wire.Checked)
        stage["evidence"]["check"] = records.plain(reply.evidence)
        stage["uses"] = records.plain(reply.uses)
        if reply.refused:
            programs = {p.get("name", ""): p for p in [*stage.get("programs", []), *records.plain(reply.refused)]}
            stage["programs"] = list(programs.values())
        if not reply.passed:
            message = f"{reply.where}: {reply.message}" if reply.where else reply.message
            stage.update({"status": wire.FAILED, "code": "assertion-failed", "message": message})
        return reply.passed

    def _assertions(self, stage: wire.Stage, handle: int) -> None:
        reply = self.guest.request(wire.Globals(handle), self.timeout)
        assert isinstance(reply, wire.Value)
        told = {k: v for k, v in reply.value.items() if k.startswith("ek_")}
        stage["evidence"]["globals"] = records.plain(told)
        line = told.get(FAILED_LINE, 0)
        if line:
            where = self.case.source_line(self.guest.kernel.arch, line)
            stage.update({"status": wire.FAILED, "code": "assertion-failed", "message": f"{where}: assertion failed"})

    # --- verdict

    def _judge(self, name: str, *, excused: bool = False, refused_before: Collection[str] = ()) -> None:
        found = judge(
            name,
            self.stages[name],
            self.case.expect,
            self.conditions,
            excused=excused,
            refused_before=refused_before,
        )
        self.problems.extend(found)

    def _broken(self, error: GuestError) -> str:
        """Record a guest that broke in the stage that was under way; return its code unless the case expects it."""
        self.console, self.starved = error.console, str(error) if error.out_of_memory else ""
        name = next((n for n in reversed(STAGES) if self.stages[n].get("code") == error.code), "")
        if not name:
            return error.code
        self.stages[name]["message"] = str(error)
        entry = find(self.case.expect, self.conditions, name)
        if entry is not None and (entry.status, entry.code) == (wire.FAILED, error.code):
            judge(name, self.stages[name], self.case.expect, self.conditions)
            return ""
        self.result.update({"stage": name, "message": str(error)})
        return error.code

    def _verdict(self, breakage: str) -> None:
        result = self.result
        result["problems"] = [
            {"stage": p.stage, "program": p.program, "code": p.code, "message": p.message} for p in self.problems
        ]
        if breakage:
            result.update({"outcome": records.ERROR, "code": breakage})
        elif self.problems:
            first = self.problems[0]
            code = first.code or GuestLost.code  # ours always have one: who failed without was no agent of ours
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            outcome = records.ERROR if records.is_breakage(first.code) else records.FAILED
            result.update({"outcome": outcome, "stage": first.stage, "code": code, "message": first.message + more})
        else:
            result.update({"outcome": records.PASSED, "stage": "", "code": "", "message": ""})


def _stage(name: str, record: dict[str, Any]) -> wire.Stage:
    """Return a stage as the guest sent it, fit for JSON; raise GuestLost where status or BTF are none."""
    stage: wire.Stage = records.plain(record)
    if not isinstance(stage, dict) or stage.get("status") not in STATUSES:
        told = stage.get("status") if isinstance(stage, dict) else stage
        raise GuestLost(f"its answer is none: {name} has status {str(told)[:60]!r}")
    if not _BTF.fullmatch(str(stage.get("btf", "none"))):
        raise GuestLost(f"its answer is none: {name} used BTF {str(stage['btf'])[:60]!r}")
    stage.setdefault("code", "")
    stage.setdefault("message", "")
    stage.setdefault("seconds", 0.0)
    return stage
