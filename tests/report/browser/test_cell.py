"""What a cell opens in a browser: its evidence, by click and by address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.report import made
from tests.report.browser.conftest import Look, unfold
from tests.report.browser.test_matrix import LOST, MISREAD, NAMES

from everykernel.matrix import records
from everykernel.report.files import Files
from everykernel.report.runview.page import page

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!--\u2028\u202e\x00'\"&amp;{{7*7}}"


def test_a_refusal(look: Look, run_page: Path) -> None:
    """A click shows why, what to do, the log folded around the instruction that failed, its C line, and the command."""
    found = look(run_page)
    found.click(f'a[href="#row={NAMES[3]}&kernel=6.12"]')
    pane = found.locator("#cell")
    expect(pane.locator("h2")).to_have_text(f"{NAMES[3]} on 6.12")
    expect(pane.locator(".why")).to_contain_text("load: verifier-rejected")
    expect(pane.locator(".log .source")).to_have_text("snoop.bpf.c:3  return ctx->len + *(int *)p;")
    expect(pane.locator(".log .failing")).to_have_text("400: (61) r0 = *(u32 *)(r3 +0)")
    expect(pane.locator(".log .bad")).to_have_text("R3 invalid mem access 'scalar'")
    fold = pane.locator(".log details")
    expect(fold.locator("pre")).to_have_count(0)
    fold.locator("summary").click()
    expect(fold.locator("pre")).to_contain_text("1: (61) r1 = *(u32 *)(r10 -8)")
    expect(pane.locator(".again code")).to_have_text(f"everykernel run {NAMES[3]} --kernels 6.12")


def test_relocations_stand_beside_their_neighbours(look: Look, run_page: Path) -> None:
    """What moved between the kernel and its neighbours is shown first; all of it, and all kernels, on demand."""
    found = look(run_page, f"#row={NAMES[0]}&kernel=6.12")
    table = found.locator("table.relocations")
    assert table.locator("thead th").all_text_contents() == ["asked", "6.1", "6.12", "6.16", "by"]
    first = table.locator("tbody tr").first.locator("td")
    assert first.all_text_contents() == ["struct thing_5.member_5", "40", "40", "104", "prog_5:15"]
    expect(first.nth(3)).to_have_class("number moved")
    shown = table.locator("tbody tr").count()
    found.get_by_role("button", name="all 250").first.click()
    assert found.locator("table.relocations tbody tr").count() > shown
    found.get_by_role("button", name="all 8 kernels").click()
    assert found.locator("table.relocations thead th").count() == 10


def test_pictures(look: Look, run_page: Path) -> None:
    """Verified instructions are bars over the kernels, time is parts of a bar, both in words for who cannot see."""
    found = look(run_page, f"#row={NAMES[0]}&kernel=6.12")
    picture = found.locator("figure svg").first
    label = picture.get_attribute("aria-label") or ""
    assert label.startswith("prog_5, instructions: 5.10: 1000, 6.1: 1200, 6.12: 1400")
    assert picture.locator("rect").count() == 8
    bars = picture.locator("rect").all()
    heights = [float(bar.get_attribute("height") or 0) for bar in bars]
    assert heights == sorted(heights)
    assert heights[0] < heights[-1]
    found.goto(found.url.split("#")[0] + "#tab=time")
    expect(found.locator("#time .bars svg")).to_have_count(8)


@pytest.mark.parametrize(
    ("row", "spec", "text"), [(LOST, "6.18", "it panicked"), (MISREAD, "7.1", "is taken for int on_cpu")]
)
def test_links_to_cells(look: Look, run_page: Path, row: str, spec: str, text: str) -> None:
    """The address of a cell opens it, in a fresh browser too; that of none opens nothing."""
    found = look(run_page, f"#row={row}&kernel={spec}")
    expect(found.locator("#cell")).to_contain_text(text)
    expect(found.locator(f'a[href="#row={row}&kernel={spec}"]').first).to_have_attribute("aria-current", "true")
    found.get_by_role("button", name="previous kernel").click()
    expect(found.locator("#cell h2")).not_to_have_text(f"{row} on {spec}")
    found.go_back()
    expect(found.locator("#cell h2")).to_have_text(f"{row} on {spec}")
    found.evaluate("location.hash = '#row=nothing&kernel=5.10'")
    expect(found.locator("#cell")).to_be_hidden()


def test_reasons(look: Look, run_page: Path) -> None:
    """Each reason is there once, with its cells, which it links to."""
    found = look(run_page, "#tab=reasons")
    heads = found.locator("#reasons article h3").all_inner_texts()
    told = ["load: verifier-rejected 2 cells in the matrix", "run: kernel-panic 1 cell in the matrix"]
    assert [" ".join(head.split()) for head in heads] == told
    found.click("#reasons article:first-of-type .cells a:first-of-type")
    expect(found.locator("#cell h2")).to_have_text(f"{NAMES[3]} on 6.12")
    assert "tab=reasons" in found.url
    found.click("#reasons article:last-of-type .show")
    assert found.input_value("#query") == "code:kernel-panic"
    assert found.locator("a.hit").all_text_contents() == ["✓✓‼"]


def test_the_command_is_copied(look: Look, run_page: Path) -> None:
    """The button puts the command where it can be pasted from, and says so."""
    found = look(run_page, f"#row={NAMES[3]}&kernel=6.12", permissions=["clipboard-read", "clipboard-write"])
    found.click(".copy")
    expect(found.locator(".copy")).to_have_text("copied")
    assert found.evaluate("navigator.clipboard.readText()") == f"everykernel run {NAMES[3]} --kernels 6.12"


def test_nothing_in_a_page_obeys_a_name(look: Look, tmp_path: Path) -> None:
    """Names that close scripts, open tags, turn text round or are huge are shown as text, everywhere."""
    results = made.results(2, 2)
    spiked: Any = json.loads(json.dumps(results), object_hook=_spiked)
    spiked["schema"] = results["schema"]
    for result, plain in zip(spiked["results"], results["results"]):
        for key in ("outcome", "stage", "loader", "target", "rules"):
            result[key] = plain[key]
        result["kernel"] = spiked["kernels"][0]["spec"]
        result["problems"] = [{"stage": "load", "program": HOSTILE, "code": HOSTILE, "message": HOSTILE}]
        result["outcome"] = records.FAILED
        result["warnings"] = result["notes"] = [HOSTILE, HOSTILE * 2000]
        for name, stage in result["stages"].items():
            stage["status"] = plain["stages"][name]["status"]
            for program in stage.get("programs", []):
                program["status"] = "failed"
                program["log"] = f"0: (95) exit\n{HOSTILE}\n" * 100
    path = tmp_path / "index.html"
    path.write_text(page(spiked))
    found = look(path)
    found.locator("#table td > a").first.click()
    expect(found.locator("#cell h2")).to_contain_text("</script><img src=x onerror=")
    unfold(found)
    for tab in ("reasons", "time", "provenance", "matrix"):
        found.click(f'#tabs a[href="#tab={tab}"]')
    found.click("#programs")
    found.fill("#query", HOSTILE.replace("\x00", ""))
    assert found.locator("img").count() == 0
    assert found.title().startswith("Kernel compatibility")
    text = found.content()
    at = text.find("\u202e")
    assert at < 0, text[at - 300 : at + 40]
    assert "49" not in found.locator("#table thead").inner_text()


def _spiked(value: dict[str, Any]) -> dict[str, Any]:
    return {key: HOSTILE if isinstance(one, str) and one else one for key, one in value.items()}


@pytest.mark.parametrize("kernels", [0, 2])
def test_a_run_of_no_cells(look: Look, tmp_path: Path, kernels: int) -> None:
    """It says that nothing ran, with kernels and without, and breaks nothing."""
    results = made.results(0, kernels)
    if not kernels:
        results["run"] = {}
    path = tmp_path / "index.html"
    path.write_text(page(results))
    found = look(path)
    expect(found.locator("#matrix .empty").first).to_contain_text("0 cells ran")
    for tab in ("reasons", "time", "provenance"):
        found.click(f'#tabs a[href="#tab={tab}"]')
        expect(found.locator(f"#{tab}")).to_be_visible()
    for key in ("/", "Escape", "ArrowDown", "p", "?"):
        found.keyboard.press(key)


def test_a_run_that_was_cut_short(look: Look, tmp_path: Path) -> None:
    """Of kernels that nobody got to there are empty columns, of stages that were not reached plain words."""
    results = made.results(3, 4)
    results["results"] = results["results"][:5]
    results["kernels"] = [{"spec": kernel["spec"]} for kernel in results["kernels"]]
    results["kernels"][3]["missing"] = "6.16: no source has this kernel"
    path = tmp_path / "index.html"
    path.write_text(page(results))
    found = look(path)
    assert found.locator("#table tbody tr").count() == 2
    assert found.locator("#table .blank").all_text_contents() == ["", "", "missing"]
    expect(found.locator("#table thead")).to_contain_text("missing")


def test_consoles(look: Look, tmp_path: Path) -> None:
    """The console of a guest that broke is in the page; for others the page names the file, where it can."""
    results = made.results(6, 5)
    folder = tmp_path / "cells" / "5" / "4"
    folder.mkdir(parents=True)
    (folder / "console.txt").write_text("Kernel panic - not syncing: \x1b[2J<b>oops</b>\n" + "x" * 100_000)
    path = tmp_path / "index.html"
    path.write_text(page(results, Files(tmp_path, linked=True)))
    found = look(path, f"#row={LOST}&kernel=6.18")
    console = found.locator("#cell details:has(summary:text-is('Console')) pre")
    expect(console).to_contain_text(r"Kernel panic - not syncing: \x1b[2J<b>oops</b>")
    expect(console).to_contain_text("bytes are left out here")
    assert found.locator("#cell .files a").first.get_attribute("href") == "cells/5/4/console.txt"


def test_attempts(look: Look, tmp_path: Path) -> None:
    """A cell that was run again tells what became of it before, with that attempt's console."""
    results: Any = made.results(6, 5)
    lost = next(one for one in results["results"] if one["outcome"] == "error")
    again = dict(results["results"][0], object=lost["object"], kernel=lost["kernel"], attempt=2, attempts=[lost])
    lost["evidence"] = "cells/5/4/attempt-1"
    folder = tmp_path / lost["evidence"]
    folder.mkdir(parents=True)
    (folder / "console.txt").write_text("Kernel panic")
    results["results"][results["results"].index(lost)] = again
    path = tmp_path / "index.html"
    path.write_text(page(results, Files(tmp_path, linked=True)))
    found = look(path, f"#row={LOST}&kernel=6.18")
    part = found.locator("#cell details:has(summary:text('Attempts before'))")
    expect(part).to_contain_text("1: error kernel-panic it panicked")
    expect(part.locator("pre")).to_have_text("Kernel panic")
    assert part.locator("a").get_attribute("href") == "cells/5/4/attempt-1/"
