"""How long the page of a large run takes to open: `python -m tests.report.speed [OBJECTS KERNELS]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from tests.report import made
from tests.report.browser.conftest import chromium

from everykernel.report.runview.page import page

ROUNDS = 5
# Milliseconds since the address was given: what is seen first, when it can be used, when all rows are there
# (the page's own marks).
OPENED = """() => [performance.getEntriesByName("first-contentful-paint")[0], performance.getEntriesByName("ready")[0],
  performance.getEntriesByName("whole")[0]]
  .map((entry) => entry.startTime)"""
CELL = """async () => {
  const before = performance.now(), links = document.querySelectorAll("#table td > a");
  location.hash = links[links.length >> 1].hash;
  while (document.getElementById("cell").hidden) await new Promise((done) => setTimeout(done));
  document.body.offsetHeight;
  return performance.now() - before;
}"""
FILTER = """() => {
  const before = performance.now(), query = document.getElementById("query");
  query.value = "is:different status:failed";
  query.oninput();
  document.body.offsetHeight;
  return performance.now() - before;
}"""


def measured(found: Page, url: str) -> list[float]:
    """Return milliseconds until it was seen, could be used, and was whole; then of opening a cell and of a filter."""
    found.goto(url)
    found.wait_for_selector("html[data-ready]")
    found.wait_for_timeout(200)
    return [*found.evaluate(OPENED), found.evaluate(CELL), found.evaluate(FILTER)]


def main() -> None:
    """Print the best and the median of a few rounds."""
    objects, kernels = map(int, sys.argv[1:3] or ("200", "20"))
    results = made.results(objects, kernels)
    before = time.perf_counter()
    text = page(results)
    spent = time.perf_counter() - before
    print(f"{objects} objects, {kernels} kernels: {len(text) / 1e6:.1f} MB, made in {spent:.1f} s")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(text)
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        size = {"width": 1440, "height": 900}
        rounds = [measured(browser.new_context(viewport=size).new_page(), path.as_uri()) for _ in range(ROUNDS)]  # type: ignore[arg-type]
        browser.close()
    for name, *times in zip(("first seen", "ready", "all rows", "a cell opened", "filtered"), *rounds):
        print(f"{name:14} best {min(times):5.0f} ms, median {sorted(times)[ROUNDS // 2]:5.0f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
