"""The pages over a folder of runs in a browser: nothing from elsewhere, on a phone, with contrast, to each run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, expect
from tests.report import made
from tests.report.browser.test_looks import CONTRAST
from tests.report.browser.test_matrix import NAMES

from everykernel.report.serving.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three runs of six objects, one of them damaged."""
    folder = tmp_path_factory.mktemp("runs")
    for number in range(3):
        results: Any = made.results(6, 5)
        results["run"]["started"] = f"2026-11-2{number}T10:00:00+00:00"
        if number == 1:
            for one in results["results"][::7]:
                problem = {"stage": "run", "code": "check-failed", "message": "1 != 2"}
                one.update({"outcome": "failed", **problem, "problems": [problem]})
        (folder / f"run-{number}").mkdir()
        (folder / f"run-{number}" / "results.json").write_text(json.dumps(results if number < 2 else [7]))
    with Server(folder, "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_from_the_list_to_a_cell(
    browser: Browser, server: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    """The list leads to the history, that to one cell's, that to the cell in its run's page; all can be read."""
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
    context.set_default_timeout(10_000)
    found, said, asked = context.new_page(), [], []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda request: asked.append(request.url))
    found.goto(server.url)

    def readable() -> None:
        measured: list[Any] = found.evaluate(CONTRAST.read_text())
        assert [one for one in measured if one[0] < one[1]] == []
        assert found.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0

    assert found.locator("table.runs tbody td:first-child").all_text_contents() == ["run-1", "run-0", "run-2"]
    readable()
    found.click("text=History")
    changed = found.locator("table.past a.f")
    expect(changed.first).to_have_text("✓✗")
    readable()
    changed.first.click()
    expect(found.locator("h2")).to_have_text(f"{NAMES[0]} on 5.10")
    expect(found.locator("tbody tr").first).to_contain_text("check-failed")
    readable()
    found.click("tbody tr:first-child a")
    expect(found.locator("#cell h2")).to_have_text(f"{NAMES[0]} on 5.10")
    assert "/run/run-1/#row=" in found.url
    context.close()
    assert said == []
    assert {url[: len(server.url)] for url in asked} == {server.url}
