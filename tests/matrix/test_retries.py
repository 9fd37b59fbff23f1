"""A cell whose guest or harness broke is run again, by a stated policy; a verdict never is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import faking

from everykernel import wire
from everykernel.errors import BootFailed, GuestLost
from everykernel.matrix import case, plan, records
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.records import CellReport
from everykernel.matrix.results import identify
from everykernel.report import markdown, terminal
from everykernel.report.folder import ReportFolder

ONCE: dict[str, Any] = {"raise": "KernelPanic", "breaks": 1}
ALWAYS: dict[str, Any] = {"raise": "KernelPanic"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[faking.World]:
    faking.install(monkeypatch)
    made = faking.World()
    yield made
    made.close()


def cell(world: faking.World, tmp_path: Path, retries: int = 1, /, **script: Any) -> CellReport:
    faking.objects(tmp_path, prog=script)
    running = Campaign(plan.columns(["6.1"]), world, retries=retries)
    found = running.run("6.1", case.bare(tmp_path / "prog.bpf.o")).result(10)
    running.close()
    return found


def test_a_pass_after_a_broken_guest_is_flaky(world: faking.World, tmp_path: Path) -> None:
    """The first failure is kept whole, the cell passes in a fresh guest, and it is counted apart."""
    report = cell(world, tmp_path, **ONCE)
    result = report["result"]
    assert (result["outcome"], result["attempt"]) == ("passed", 2)
    [first] = result["attempts"]
    assert (first["outcome"], first["code"], first["attempt"]) == ("error", "kernel-panic", 1)
    assert report["earlier"][0]["console"] == "Kernel panic - not syncing: test\n"
    assert len(world.guests) == 2
    assert records.flaky(result)
    assert terminal.counts([result]) == "1 cell: 0 passed, 1 flaky (passed when run again)"


def test_a_verdict_after_a_broken_guest_is_no_pass(world: faking.World, tmp_path: Path) -> None:
    """What is refused when it is run again has failed, and is told apart from what failed at once."""
    result = cell(world, tmp_path, **{**ONCE, "load": faking.REJECTED})["result"]
    assert (result["outcome"], records.flaky(result)) == ("failed", True)
    assert terminal.counts([result]) == "1 cell: 0 passed, 1 failed when run again"


def test_what_stays_broken_stays_broken(world: faking.World, tmp_path: Path) -> None:
    """It is run again as often as was said; each attempt is kept, and none of them is a verdict."""
    result = cell(world, tmp_path, 2, **ALWAYS)["result"]
    assert (result["outcome"], records.broke(result), records.flaky(result)) == ("error", "guest", False)
    assert [one["code"] for one in result["attempts"]] == ["kernel-panic"] * 2
    assert len(world.guests) == 3
    assert terminal.counts([result]) == "1 cell: 0 passed, 1 guest broke"


def test_defects_are_run_again_too(world: faking.World, tmp_path: Path) -> None:
    """A harness that broke is no verdict either."""
    result = cell(world, tmp_path, **{**ONCE, "raise": "HarnessError"})["result"]
    assert (result["outcome"], result["attempts"][0]["code"]) == ("passed", "harness-error")


@pytest.mark.parametrize(("retries", "script"), [(1, {"load": faking.REJECTED}), (0, ONCE)])
def test_verdicts_are_never_run_again(
    world: faking.World, tmp_path: Path, retries: int, script: dict[str, Any]
) -> None:
    """A refusal has one attempt whatever is said, and a broken guest too where no retries are wanted."""
    result = cell(world, tmp_path, retries, **script)["result"]
    assert result["outcome"] != "passed"
    assert "attempts" not in result
    assert len(world.guests) == 1


def test_a_kernel_that_does_not_boot_is_not_tried_for_each_cell(world: faking.World, tmp_path: Path) -> None:
    """Its boot had attempts of its own; every cell of it tells the same first failure."""
    world.boot_errors["6.1"] = BootFailed("no answer", where="6.1")
    assert "attempts" not in cell(world, tmp_path)["result"]


def test_only_the_last_attempt_is_offered_to_look_into(world: faking.World, tmp_path: Path) -> None:
    """--kernel-keep holds the guest of the attempt that counts."""
    faking.objects(tmp_path, prog={"raise": "KernelPanic", "breaks": 1, "load": faking.REJECTED})
    running = Campaign(plan.columns(["6.1"]), world, retries=1)
    kept: list[str] = []
    running.run(
        "6.1",
        case.bare(tmp_path / "prog.bpf.o"),
        keep=lambda guest, report: kept.append(report["result"]["code"]),
    ).result(10)
    running.close()
    assert kept == ["verifier-rejected"]


def test_evidence_of_every_attempt_is_kept(world: faking.World, tmp_path: Path) -> None:
    """The console of the guest that broke is beside that of the one that did not, and the results name both."""
    report = cell(world, tmp_path, **ONCE)
    folder = ReportFolder(tmp_path / "out", identify("tcg"), [])
    folder.add(report)
    folder.close([report["result"]], [{"spec": "6.1"}])
    [result] = json.loads((tmp_path / "out/results.json").read_text())["results"]
    first = tmp_path / "out" / result["attempts"][0]["evidence"]
    assert first.is_relative_to(tmp_path / "out" / result["evidence"])
    assert (first / "console.txt").read_text() == "Kernel panic - not syncing: test\n"


def test_the_page_tells_what_broke_first(world: faking.World, tmp_path: Path) -> None:
    """Markdown says in a line which cells broke first and with what."""
    result = cell(world, tmp_path, **ONCE)["result"]
    page = markdown.render([result], [{"spec": "6.1"}])
    assert "↻ came to its verdict when it was run again" in page
    assert "broke first (kernel-panic: 6.1: it broke), and was run again: 6.1:" in page


def test_guests_that_hang_up_while_they_answer(world: faking.World, tmp_path: Path) -> None:
    """A guest that breaks after it has loaded is run again from the start."""
    answers: Iterator[Any] = iter(
        [GuestLost("the channel was closed", where="6.1"), wire.Attached([dict(faking.PROGRAM)])]
    )

    def attach(_: wire.Message) -> wire.Message:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    world.answer(wire.Attach, attach)
    result = cell(world, tmp_path)["result"]
    assert (result["outcome"], result["attempts"][0]["stages"]["run"]["code"]) == ("passed", "guest-lost")
