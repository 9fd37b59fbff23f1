"""Results as JUnit XML: a suite a kernel, a case a cell, with properties; for what reads test results only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from everykernel.escaping import block, printable
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.matrix.results import Results

_OF_KERNEL = ("release", "version", "arch", "btf", "accelerator", "source", "sha256")
_LOG = 16 << 10  # characters of a log's end that a case has; the whole is in results.json


def render(results: Results) -> str:
    """Return the document. Characters that XML cannot hold are escapes, as on a terminal."""
    run = results["run"]
    every = ET.Element("testsuites", {"name": "everykernel"})
    by_column: dict[str, list[CaseResult]] = {}
    for result in results["results"]:
        by_column.setdefault(records.column(result), []).append(result)
    kernels = {kernel["spec"]: kernel for kernel in results["kernels"]}
    for name, cells in by_column.items():
        suite = _suite(name, cells, kernels.get(cells[0].get("kernel", ""), {"spec": name}))
        if run.get("started"):
            suite.set("timestamp", printable(run["started"]))
        every.append(suite)
    for key in ("tests", "failures", "errors", "skipped"):
        every.set(key, str(sum(int(suite.get(key, "0")) for suite in every)))
    ET.indent(every, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(every, encoding="unicode") + "\n"


def properties(result: CaseResult) -> Iterator[tuple[str, str]]:
    """Yield names and values of what a cell is: kernel, loader, rules, BTF, and why it did not pass."""
    for key in ("kernel", "case", "object", "loader", "rules", "btf", "outcome", "stage", "start", "evidence"):
        value = result.get(key)
        if value:
            yield key, printable(str(value))
    if "reused" in result:
        yield "reused", printable(records.provenance(result))
    if result.get("code"):
        yield "reason_code", printable(result["code"])
    if result.get("misreads"):
        yield "misreads", str(len(result["misreads"]))
    if result.get("warnings"):
        yield "kernel_warnings", str(len(result["warnings"]))
    insns = [program.get("verified_insns") for program in _programs(result)]
    if any(insns):
        yield "verified_insns", str(sum(number for number in insns if number))


def _programs(result: CaseResult) -> list[Any]:
    return result.get("stages", {}).get("load", {}).get("programs", [])


def _suite(name: str, cells: Sequence[CaseResult], kernel: KernelRecord) -> ET.Element:
    suite = ET.Element("testsuite", {"name": printable(name), "tests": str(len(cells))})
    broke = sum(bool(records.broke(cell)) for cell in cells)
    failed = sum(cell.get("outcome") != records.PASSED for cell in cells) - broke
    for key, number in (("failures", failed), ("errors", broke), ("skipped", 0)):
        suite.set(key, str(number))
    suite.set("time", f"{sum(cell.get('seconds', 0.0) for cell in cells):.3f}")
    _add(suite, [(key, printable(str(kernel[key]))) for key in _OF_KERNEL if kernel.get(key)])  # type: ignore[literal-required]
    suite.extend(_case(cell, name) for cell in cells)
    return suite


def _case(result: CaseResult, column: str) -> ET.Element:
    name, group = printable(records.row(result)), f"everykernel.{printable(column)}"
    case = ET.Element("testcase", {"name": name, "classname": group, "time": f"{result.get('seconds', 0.0):.3f}"})
    _add(case, list(properties(result)))
    case.extend(_earlier(result))
    if result.get("outcome") != records.PASSED:
        kind = "error" if records.broke(result) else "failure"
        said = {"type": printable(result.get("code", "")), "message": printable(result.get("message", ""))}
        ET.SubElement(case, kind, said).text = _evidence(result)
    if result.get("warnings"):
        ET.SubElement(case, "system-err").text = block("\n".join(result["warnings"]))[-_LOG:]
    return case


def _earlier(result: CaseResult) -> Iterator[ET.Element]:
    """Yield the attempts before, whose guest or harness broke, by the names that Maven Surefire gave such elements."""
    attempts: Sequence[CaseResult] = dict(result).get("attempts") or ()  # type: ignore[assignment]
    name = "flakyError" if result.get("outcome") == records.PASSED else "rerunError"
    for one in attempts:
        if records.broke(one):
            said = {"type": printable(one.get("code", "")), "message": printable(one.get("message", ""))}
            yield ET.Element(name, said)


def _evidence(result: CaseResult) -> str:
    """Return what was not expected, a line each, the end of the first log, and the command to run it again."""
    lines = [f"{p.get('stage')}: {p.get('code')}: {p.get('message')}" for p in result.get("problems", [])]
    log = next((p["log"] for p in _programs(result) if p.get("log") and p.get("status") == "failed"), "")
    if log:
        lines += ["", log[-_LOG:]]
    if result.get("again"):
        lines += ["", f"again: {result['again']}"]
    return block("\n".join(lines))


def _add(parent: ET.Element, found: Sequence[tuple[str, str]]) -> None:
    if found:
        under = ET.SubElement(parent, "properties")
        for name, value in found:
            ET.SubElement(under, "property", {"name": name, "value": value})
