"""A real browser, headless, that notes whatever a page says or asks for beside itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.report import made

from everykernel.report.runview.page import page

_NAMES = ("chromium", "chromium-browser")
Look = Callable[..., Page]


def unfold(found: Page) -> None:
    """Open all that is folded in the pane, and what that brings."""
    for _ in range(2):
        found.evaluate("for (const one of document.querySelectorAll('#cell details')) one.open = true")
        found.evaluate("new Promise(requestAnimationFrame)")


def chromium() -> str:
    """The program, as the distribution has it."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    assert program, f"no {' or '.join(_NAMES)}: python3 bootstrap.py check installs it"
    return program


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, as the distribution has it; a test that needs it fails where there is none."""
    with sync_playwright() as playwright:
        # Root, and containers, have no sandbox of Chromium's own; what is opened here is ours.
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a made-up run of 24 objects on 8 kernels."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page(made.results(24, 8)))
    return path


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Open files; afterwards, none has said a word to the console, and none has asked for anything but itself."""
    contexts, said, asked = [], [], []

    def opened(path: Path, address: str = "", *, width: int = 1280, height: int = 800, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        found = context.new_page()
        url = path.as_uri()
        found.on("console", lambda message: said.append(message.text))
        found.on("pageerror", lambda error: said.append(str(error)))
        found.on("request", lambda request: asked.append(request.url) if request.url.split("#")[0] != url else None)
        found.goto(url + address)
        found.wait_for_selector("html[data-ready]")
        return found

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert asked == []
