"""The matrix in a browser: what filters leave, and the keys that go through it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect
from tests.report import made
from tests.report.browser.conftest import Look

from everykernel.report.runview.page import page

NAMES = [f"tools/{'abcdefgh'[n % 8]}snoop_{n:03}.bpf.o" for n in range(24)]
KERNELS = ["5.10", "6.1", "6.12", "6.16", "6.18", "7.1", "7.3", "ubuntu:5.4"]
REFUSED = {NAMES[3], NAMES[14]}  # on 6.12
LOST, MISREAD = NAMES[5], NAMES[7]  # on 6.18, and on 7.1


def rows(found: Page) -> set[str]:
    """The rows that are shown."""
    shown = found.locator("#table tbody tr:not(.program):visible th")
    return {one.get_attribute("title") or "" for one in shown.all()}


def kernels(found: Page) -> list[str]:
    """The columns that are shown."""
    return found.locator("#table thead th:visible b").all_text_contents()


def test_every_object_has_a_row_and_every_kernel_a_column(look: Look, run_page: Path) -> None:
    """The first view is the matrix, grouped by vendor, with three marks a cell and a sentence a row."""
    found = look(run_page)
    assert rows(found) == set(NAMES)
    assert kernels(found) == KERNELS
    assert found.locator("#table .groups th").all_text_contents() == ["debian", "ubuntu"]
    cell = found.get_by_role("link", name="6.12: relocate passed, load failed, run not reached").first
    assert cell.text_content() == "✓✗·"
    assert found.locator(f'#table tr:has(th[title="{NAMES[3]}"]) td.words').text_content() == (
        "loads and runs on 5.10..6.1, 6.16..7.3, ubuntu:5.4, not on 6.12 (verifier-rejected)"
    )


FILTERS = [
    ("snoop_00", set(NAMES[:10]), KERNELS),
    ("SNOOP_003", {NAMES[3]}, KERNELS),
    ('"function_7_2"', {NAMES[7]}, KERNELS),
    ("-snoop_0", set(), KERNELS),
    ("status:failed", REFUSED, KERNELS),
    ("status:failed,guest", {*REFUSED, LOST}, KERNELS),
    ("status:misread", {MISREAD}, KERNELS),
    ("code:verifier", REFUSED, KERNELS),
    ("stage:run", {LOST}, KERNELS),
    ("kernel:6.1", set(NAMES), ["6.1"]),
    ("kernel:6.1,6.12", set(NAMES), ["6.1", "6.12"]),
    ("kernel:6.1 kernel:ubuntu", set(NAMES), ["6.1", "ubuntu:5.4"]),
    ("-vendor:debian", set(NAMES), ["ubuntu:5.4"]),
    ("btf:no", set(NAMES), ["ubuntu:5.4"]),
    ("is:different", {*REFUSED, LOST, MISREAD}, KERNELS),
    ("is:different kernel:6.12,6.16", REFUSED, ["6.12", "6.16"]),
    ("is:different status:failed snoop_014", {NAMES[14]}, KERNELS),
    ("kernel:6.16 status:failed", set(), ["6.16"]),
    ("-is:different kernel:6.18,7.1", set(NAMES) - {LOST, MISREAD}, ["6.18", "7.1"]),
    ("mem access", REFUSED, KERNELS),
    ("kernel:9.9", set(), []),
]


def test_filters(look: Look, run_page: Path) -> None:
    """Words hold together; those on cells for one cell, in the columns shown; those on kernels hide columns."""
    found = look(run_page)
    for query, left, columns in FILTERS:
        found.fill("#query", query)
        assert (rows(found), kernels(found)) == (left, columns), query
        assert found.locator("#nothing").is_visible() == (not left), query
        assert (found.text_content("#matches") or "").startswith(f"{len(left)} of 24 rows"), query


def test_a_filter_is_in_the_address(look: Look, run_page: Path) -> None:
    """What is typed can be sent as a link, and what is sent is applied; buttons write the same words."""
    found = look(run_page)
    found.fill("#query", "is:different kernel:6.12,6.16")
    again = look(run_page, found.evaluate("location.hash"))
    assert rows(again) == REFUSED
    assert again.input_value("#query") == "is:different kernel:6.12,6.16"
    again.click("#counts .is-failed")
    assert again.input_value("#query") == "is:different kernel:6.12,6.16 status:failed"
    expect(again.locator("#counts .is-failed")).to_have_attribute("aria-pressed", "true")
    again.click("#different")
    assert again.input_value("#query") == "kernel:6.12,6.16 status:failed"
    assert again.locator("a.hit").count() == 2
    again.click("#counts li:first-child button")
    assert rows(again) == set(NAMES)


def test_keys(look: Look, run_page: Path) -> None:
    """Slash filters, arrows go through what is left, Enter opens, arrows then go on, Escape closes and leads back."""
    found = look(run_page)
    found.keyboard.press("/")
    found.keyboard.type("status:failed")
    assert rows(found) == REFUSED
    found.keyboard.press("Enter")
    current = "document.activeElement.hash"
    assert found.evaluate(current) == f"#row={NAMES[3]}&kernel=5.10"
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        found.keyboard.press(key)
    assert found.evaluate(current) == f"#row={NAMES[14]}&kernel=6.12"
    found.keyboard.press("End")
    assert found.evaluate(current) == f"#row={NAMES[14]}&kernel=ubuntu%3A5.4".replace("%3A", ":")
    found.keyboard.press("Home")
    found.keyboard.press("ArrowUp")
    found.keyboard.press("Enter")
    heading = found.locator("#cell h2")
    expect(heading).to_have_text(f"{NAMES[3]} on 5.10")
    found.keyboard.press("ArrowRight")
    expect(heading).to_have_text(f"{NAMES[3]} on 6.1")
    assert "kernel=6.1" in found.url
    assert "q=status:failed" in found.url
    found.keyboard.press("Escape")
    expect(found.locator("#cell")).to_be_hidden()
    assert found.evaluate(current) == f"#row={NAMES[3]}&kernel=6.1"
    found.keyboard.press("?")
    expect(found.locator("#syntax")).to_be_visible()
    found.keyboard.press("Escape")
    expect(found.locator("#syntax")).to_be_hidden()


def test_programs(look: Look, run_page: Path) -> None:
    """Each object opens into its programs, each with its own marks; the filter and a key keep to them."""
    found = look(run_page)
    found.click(f'tr:has(th[title="{NAMES[3]}"]) .more')
    shown = found.locator("tr.program:visible")
    assert shown.locator("th span").all_text_contents() == [f"prog_{n}" for n in range(6)]
    assert shown.nth(1).locator("td").nth(2).text_content() == "✓✗·"
    found.fill("#query", "snoop_004")
    assert shown.count() == 0
    found.fill("#query", "")
    assert shown.count() == 6
    found.locator("h1").click()
    found.keyboard.press("p")
    assert shown.count() == 24 * 6
    found.fill("#query", "kernel:6.12")
    assert found.locator("tr.program:visible").first.locator("td:visible:not(.words)").count() == 1


def test_long_runs_are_whole_at_once(look: Look, tmp_path: Path) -> None:
    """Rows that are not drawn at first are there a moment later; an address, a filter and keys reach them."""
    results = made.results(60, 1)
    path = tmp_path / "index.html"
    path.write_text(page(results))
    last = "tools/hsnoop_055.bpf.o"  # sorted, it is the one but last
    found = look(path, f"#row={last}&kernel=5.10")
    expect(found.locator("#cell h2")).to_have_text(f"{last} on 5.10")
    expect(found.locator(f'tr:has(th[title="{last}"])')).to_be_in_viewport()
    found = look(path)
    found.wait_for_selector("html.whole")
    assert len(rows(found)) == 60
    found.locator("#table td > a").nth(49).focus()
    found.keyboard.press("ArrowDown")
    assert found.evaluate("document.activeElement === document.querySelectorAll('#table td > a')[50]")
    found.keyboard.press("ArrowUp")
    assert found.evaluate("document.activeElement === document.querySelectorAll('#table td > a')[49]")
