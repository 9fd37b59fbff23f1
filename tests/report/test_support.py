"""docs/support.md is what the generator makes of results, and says no more than they do."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, cast

from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.object import sections
from everykernel.reasons import REASONS
from everykernel.report import support

PAGE = Path(__file__).parents[2] / "docs" / "support.md"
CELL = re.compile(
    r"-|created(, used)?|loads|loads, (attaches|attaches, runs|runs by test_run|runs from a map)|(loads, )?`(.*)`"
)
KERNELS = cast("list[KernelRecord]", [{"spec": "6.1", "release": "6.1.0-x"}, {"spec": "5.10", "release": "5.10.0-x"}])


def result(kernel: str, *, run: dict[str, Any], outcome: str = "passed", **load: Any) -> CaseResult:
    stages = {"relocate": {}, "load": {"maps": [], "programs": [], **load}, "run": run}
    return cast("CaseResult", {"kernel": kernel, "outcome": outcome, "stages": stages})


def use(**more: Any) -> dict[str, Any]:
    return {"name": "p", "attached": False, "test_runs": 0, "runs": 0, **more}


def cell(*results: CaseResult) -> str:
    programs = support.tables(results, KERNELS)[0]
    ((_, cells),) = programs.rows.items()
    assert cells[1] == support.NOTHING
    return cells[0]


def loaded(status: str = "passed", code: str = "") -> list[dict[str, Any]]:
    return [{"name": "p", "section": "tcx/ingress", "status": status, "code": code}]


def test_a_cell_says_what_the_results_say() -> None:
    """A program runs where the kernel counted runs in a case that passed, attaches where it did, loads where it did."""
    ran = {"status": "passed", "uses": [use(attached=True, runs=3)]}
    assert cell(result("6.1", programs=loaded(), run=ran)) == "loads, attaches, runs"
    assert cell(result("6.1", programs=loaded(), run=ran, outcome="failed")) == "loads, attaches"
    idle = {"status": "passed", "uses": [use(attached=True)]}
    assert cell(result("6.1", programs=loaded(), run=idle)) == "loads, attaches"
    tested = {"status": "passed", "uses": [use(test_runs=1, runs=1)]}
    assert cell(result("6.1", programs=loaded(), run=tested)) == "loads, runs by test_run"
    held = {"status": "passed", "uses": [use(runs=1)]}
    assert cell(result("6.1", programs=loaded(), run=held)) == "loads, runs from a map"
    assert cell(result("6.1", programs=loaded(), run={"status": "passed", "uses": [use()]})) == "loads"
    refused = {"status": "passed", "programs": [{"name": "p", "status": "failed", "code": "attach-type-unsupported"}]}
    assert cell(result("6.1", programs=loaded(), run=refused)) == "loads, `attach-type-unsupported`"
    missing = loaded("failed", "program-type-unsupported")
    assert cell(result("6.1", programs=missing, run={})) == "`program-type-unsupported`"


def test_the_farthest_of_several_is_shown() -> None:
    """Of several cases with programs of one kind, the cell shows the one that got farthest."""
    ran = {"status": "passed", "uses": [use(attached=True, runs=3)]}
    results = [result("6.1", programs=loaded(), run=run) for run in ({}, ran, {})]
    assert cell(*results) == "loads, attaches, runs"


def test_maps_are_created_and_used() -> None:
    """A map is used where the case passed, created where the kernel took it, and a code says why it did not."""
    made = [{"name": "m", "type": "array", "status": "passed"}, {"name": "n", "type": "arena", "status": "failed"}]
    found = support.tables([result("6.1", maps=made, run={"status": "passed"})], KERNELS)[1]
    assert found.rows == {"array": ("created, used", "-"), "arena": ("`map-create-failed`", "-")}
    assert "hash" in found.untried


def test_the_page_is_what_the_generator_writes() -> None:
    """Every line of the page is one that the generator writes, every cell one of its words, every kind is there."""
    page = PAGE.read_text()
    found = support.parse(page)
    assert support.render(found) == page
    assert [table.title for table in found] == ["Programs", "Maps"]
    for table in found:
        for name, cells in table.rows.items():
            assert len(cells) == len(table.columns), name
            for text in cells:
                match = CELL.fullmatch(text)
                assert match, f"{name}: {text}"
                assert match[4] is None or match[4] in REASONS, f"{name}: {text}"
    assert {*found[0].rows, *found[0].untried} == {f"{rule.stem} ({rule.type})" for rule in sections.RULES}


if __name__ == "__main__":
    files = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]  # of several runs: what any of them saw
    found = support.tables([result for file in files for result in file["results"]], files[0]["kernels"])
    PAGE.write_text(support.render(found))
