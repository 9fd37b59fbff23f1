"""The docs site is whole, and needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from everykernel.cli import group
from everykernel.reasons import REASONS

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "site/properdocs.yml"


class Links(HTMLParser):
    """What a page refers to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.targets.append(values["href"])
        if tag in ("script", "img", "iframe") and "src" in values:
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Links]:
    """The pages of the site, by their names."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "properdocs", "build", "--strict", "--quiet", "-f", str(CONFIG), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {path.name: Links(path.read_text()) for path in folder.glob("*.html")}


def test_every_page_of_the_docs_is_there(site: dict[str, Links]) -> None:
    """And those that are made of code."""
    written = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    assert written | {"index.html", "options.html", "fields.html", "changelog.html", "architecture.html"} <= set(site)


def test_no_link_leads_nowhere(site: dict[str, Links]) -> None:
    """Neither to a page nor to a place in one."""
    for name, page in site.items():
        for target in page.targets:
            if "://" in target or target.startswith("mailto:") or name == "404.html":
                continue
            path, _, anchor = target.partition("#")
            to = site.get(path or name) if path not in (".", "./") else site["index.html"]
            assert to is not None, f"{name}: {target}"
            assert not anchor or unquote(anchor) in to.anchors, f"{name}: {target}"


def test_nothing_is_loaded_from_elsewhere(site: dict[str, Links]) -> None:
    """No font, script, style or picture of another host."""
    for name, page in site.items():
        assert page.loaded
        assert not [url for url in page.loaded if "://" in url or url.startswith("//")], name


def test_bars_in_tables_are_bars(site: dict[str, Links]) -> None:
    """Escaped for GitHub, they are shown as they are typed."""
    for name in ("cli.html", "options.html"):
        assert "fail|skip" in site[name].text
        assert "fail\\|skip" not in site[name].text


def test_the_reference_has_every_option_and_code(site: dict[str, Links]) -> None:
    """Every command has a heading; a row for each code is in its page."""
    headings = site["options.html"].anchors
    for name in group._COMMANDS:
        assert any(re.match(rf"everykernel-{name}\b", anchor) for anchor in headings), name
    assert "pytest" in headings
    assert all(f"| `{code}` |" in (ROOT / "docs/reason-codes.md").read_text() for code in REASONS)
