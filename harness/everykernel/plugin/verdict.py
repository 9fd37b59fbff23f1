"""From pytest's report of a phase to our result of a cell, and back: who is at fault, in which words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from everykernel import wire
from everykernel.errors import EverykernelError, GuestError, HarnessError
from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.cell import kernel_record
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, CellReport
from everykernel.plugin import gating
from everykernel.plugin.crash import FAILED, CellBroke, CellFailed, of_cell, of_error
from everykernel.plugin.items import CellItem, again
from everykernel.plugin.lend import wishes

if TYPE_CHECKING:
    from everykernel.plugin.session import KernelSession
    from everykernel.plugin.under_test import KernelUnderTest  # noqa: F401 - named in a string below

UNDER_TEST = pytest.StashKey["KernelUnderTest"]()


def attach(session: KernelSession, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Attach the result of an item that runs on a kernel to the report that decides it.

    The result is an attribute of the report, plain data, so that pytest-xdist carries it to the controller.
    """
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(item, CellItem):
        verbose = item.config.get_verbosity()
        if isinstance(error, (CellFailed, CellBroke)):
            report.longrepr = of_cell(error.report, item.path, verbose)
            if isinstance(error, CellFailed):
                setattr(report, FAILED, True)
        elif isinstance(error, EverykernelError):
            report.longrepr = of_error(error, item.path, 0, item.again, verbose)
        if report.when == "setup" and item.report is not None:
            _properties(item, item.report["result"])
            _give(report, item.report, cell=True)
        if item.report is not None:
            gating.excuse(session, report, item.report)
        return
    if isinstance(error, EverykernelError):
        assert isinstance(item, pytest.Function)
        where = item.path
        line = next((e.lineno + 1 for e in reversed(call.excinfo.traceback) if e.path == item.path), 0)  # type: ignore[union-attr]
        spec = str(item.callspec.params["kernel"])
        command = again(item.config, item.path, _name(item), spec)
        report.longrepr = of_error(error, where, line, command, item.config.get_verbosity())
        if report.when == "call" and isinstance(error, (GuestError, HarnessError)):
            report.when = "setup"  # pytest counts what breaks there as an error, everywhere: no verdict was reached
    if call.when == "call" or (call.when == "setup" and error is not None and not report.skipped):
        made = _of_test(item, error, report, call.duration, session)
        if made is not None:
            _properties(item, made["result"])
            _give(report, made, cell=False)
            gating.excuse(session, report, made)
        elif call.when == "setup":
            report.everykernel_none = True  # type: ignore[attr-defined]
    under = item.stash.get(UNDER_TEST, None)
    if error is not None and not report.skipped and under is not None and session.settings.keep:
        session.keeper.shell(under.guest, str(error))


def _of_test(
    item: pytest.Item, error: BaseException | None, report: pytest.TestReport, seconds: float, session: KernelSession
) -> CellReport | None:
    """Return the result of a test that a user wrote; None where it never had a kernel, or was skipped."""
    under = item.stash.get(UNDER_TEST, None)
    if under is None or report.skipped:
        return None
    loaded = under.loaded[-1] if under.loaded else None
    stages = {name: records.skipped("the test loaded no object") for name in STAGES}
    if loaded is not None:
        stages["relocate"], stages["load"] = records.plain(loaded.relocate), records.plain(loaded.load)
    run: wire.Stage = {"status": wire.PASSED, "code": "", "message": "", "seconds": round(seconds, 4)}
    outcome, code, message = records.PASSED, "", ""
    if error is not None:
        code = error.code if isinstance(error, EverykernelError) else "assertion-failed"
        text = str(error) if isinstance(error, EverykernelError) else _crash(report)
        message = text.splitlines()[0] if text else type(error).__name__
        outcome = records.ERROR if isinstance(error, (GuestError, HarnessError)) else records.FAILED
        run.update({"status": wire.FAILED, "code": code, "message": message})
    if under.command is not None:
        run["command"] = records.plain(under.command)
    stages["run"] = run
    guest = under.guest
    name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}{_other(item)}"
    _, _, sized = wishes(item, session.settings.memory)
    machine = {**guest.spec.describe(), "flavour": guest.kernel.flavour}
    if not sized:
        machine["memory"] = None
    result: CaseResult = {
        **records.empty(name, "", guest.kernel.spec, machine, under.rules, target=guest.kernel.target),
        "object": loaded.name if loaded is not None else None,
        "sha256": under.sha256,
        "btf": stages["relocate"].get("btf", "kernel" if guest.facts.btf else "none"),
        "granted": {"memory": guest.spec.memory},
        "stages": stages,
        "outcome": outcome,
        "stage": "run" if error is not None else "",
        "code": code,
        "message": message,
        "problems": [{"stage": "run", "program": "", "code": code, "message": message}] if error is not None else [],
        "misreads": records.plain(loaded.misreads) if loaded is not None else [],
        "seconds": round(seconds, 4),
        "start": guest.start_kind,
        "warnings": guest.warnings(),
        "notes": [*guest.notes, *under.notes],
        "test": item.nodeid,
        "again": again(item.config, item.path, _name(item), guest.kernel.spec),
    }
    kernel = kernel_record(guest.kernel, guest.facts)
    records.note_accelerator(kernel, session.machines.accelerator)
    told: CellReport = records.plain({"result": result, "kernel": kernel, "console": guest.console()})
    return told


def _give(report: pytest.TestReport, made: CellReport, *, cell: bool) -> None:
    report.everykernel = records.plain(made) if "PYTEST_XDIST_WORKER" in os.environ else made  # type: ignore[attr-defined]
    if cell:
        report.everykernel_cell = True  # type: ignore[attr-defined]


def _properties(item: pytest.Item, result: CaseResult) -> None:
    """Give JUnit's XML what the cell is, and why it did not pass."""
    from everykernel.report import junit

    item.user_properties.extend(junit.properties(result))
    if records.flaky(result):
        item.user_properties.append(_flaky(result))


def mark_flaky(result: CaseResult, reports: Sequence[pytest.TestReport]) -> None:
    """Give the reports of a test that was run again the same property, for JUnit's XML."""
    if records.flaky(result):
        for report in reports:
            report.user_properties.append(_flaky(result))


def _flaky(result: CaseResult) -> tuple[str, object]:
    return "flaky", printable(result["attempts"][0].get("code", ""))


def _crash(report: pytest.TestReport) -> str:
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", ""))


def _name(item: pytest.Item) -> str:
    """Return an item's name below its file: ``TestClass::test_x[6.1]``."""
    return item.nodeid.partition("::")[2]


def _other(item: pytest.Item) -> str:
    """Return what stands in an item's brackets besides its kernel, so that each parameter set has a row of its own."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return ""
    spec = str(callspec.params.get("kernel", ""))
    rest = [part for part in [callspec.id.removesuffix(spec).rstrip("-").removeprefix(spec).lstrip("-")] if part]
    return f"[{rest[0]}]" if rest else ""
