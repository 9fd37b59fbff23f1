"""What the page looks like: on a phone, in the dark, to eyes that need contrast."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page
from tests.report import made
from tests.report.browser.conftest import Look, unfold
from tests.report.browser.test_matrix import LOST, NAMES

from everykernel.report.runview.page import page

VIEWS = ("", f"#row={NAMES[3]}&kernel=6.12", f"#row={LOST}&kernel=6.18", "#tab=reasons", "#tab=time", "#tab=provenance")
CONTRAST = Path(__file__).with_name("contrast.js")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(look: Look, run_page: Path, scheme: Literal["light", "dark"]) -> None:
    """Every text of every view has the contrast that WCAG's level AA asks for, by day and by night."""
    found = look(run_page, color_scheme=scheme)
    found.click("#help")
    seen = 0
    for view in VIEWS:
        found.evaluate("hash => { location.hash = hash; }", view or "#tab=matrix")
        found.wait_for_function("hash => document.getElementById('cell').hidden !== hash.startsWith('#row')", arg=view)
        unfold(found)
        measured: list[Any] = found.evaluate(CONTRAST.read_text())
        seen += len(measured)
        assert [one for one in measured if one[0] < one[1]] == []
    assert seen > 1000
    ground = found.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def _wide(found: Page) -> int:
    """How far the page, or one of its two halves, is wider than its room; a table scrolls in a box of its own."""
    width: int = found.evaluate(
        "Math.max(...[document.documentElement, document.getElementById('main'), document.getElementById('cell')]"
        ".map((one) => one.scrollWidth - one.clientWidth))"
    )
    return width


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_is_wider_than_its_window(look: Look, run_page: Path, width: int) -> None:
    """On a phone as on a screen the page does not scroll sideways: the matrix does, within it."""
    found = look(run_page, width=width, height=700, has_touch=True)
    for view in VIEWS:
        found.evaluate("hash => { location.hash = hash; }", view or "#tab=matrix")
        found.wait_for_function("hash => document.getElementById('cell').hidden !== hash.startsWith('#row')", arg=view)
        unfold(found)
        assert _wide(found) <= 0, view


def test_a_phone_shows_a_cell_alone(look: Look, run_page: Path) -> None:
    """On a phone the evidence covers the matrix, and can be closed by a finger."""
    found = look(run_page, f"#row={NAMES[3]}&kernel=6.12", width=390, height=844, has_touch=True)
    found.wait_for_selector("#cell h2")
    box = found.locator("#cell").bounding_box()
    assert box is not None
    assert (box["x"], box["y"], box["width"]) == (0, 0, 390)
    close = found.locator("#cell .close").bounding_box()
    assert close is not None
    assert min(close["width"], close["height"]) >= 24  # WCAG 2.2, 2.5.8
    found.tap("#cell .close")
    assert found.locator("#cell").is_hidden()


def test_heads_and_names_stay(look: Look, run_page: Path) -> None:
    """However far the matrix is scrolled, the kernels stay above it and the names beside it."""
    found = look(run_page, width=500, height=500)
    found.evaluate("document.getElementById('scroll').scrollTo(300, 300)")
    head, scroll = found.locator("#table thead").bounding_box(), found.locator("#scroll").bounding_box()
    name = found.locator("#table tbody tr").nth(20).locator("th").bounding_box()
    assert head is not None and scroll is not None and name is not None  # noqa: PT018
    assert abs(head["y"] - scroll["y"]) < 1
    assert abs(name["x"] - scroll["x"]) < 1


def test_without_scripts(browser: Any, run_page: Path) -> None:
    """Where no script runs, the matrix, the reasons and the provenance are there to be read."""
    context = browser.new_context(java_script_enabled=False)
    found = context.new_page()
    found.goto(run_page.as_uri())
    for part in ("matrix", "reasons", "time", "provenance"):
        assert found.locator(f"#{part}").is_visible()
    assert found.locator("#table td > a").count() == 24 * 8
    assert found.locator("noscript").is_visible()
    context.close()


def test_an_old_run_says_so(look: Look, tmp_path: Path) -> None:
    """A report that was kept says how long ago its run was, in the head."""
    results = made.results(1, 1)
    results["run"]["started"] = "2020-01-01T00:00:00+00:00"
    path = tmp_path / "index.html"
    path.write_text(page(results))
    assert re.fullmatch(r"2020-01-01 00:00:00 UTC \(\d{4} days ago\)", look(path).text_content("#started") or "")
