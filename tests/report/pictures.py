"""The pictures of docs/report.md: `python -m tests.report.pictures FILE`, of a run of the cases' objects, no case.toml.

The objects alone, so that nothing is expected to fail: `nox -s pictures` makes that run.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from playwright.sync_api import sync_playwright
from tests.report.browser.conftest import chromium

from everykernel.matrix.results import read
from everykernel.report.folder import results_in
from everykernel.report.runview.page import page

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
_COLOURS = 200  # of a picture: text in two sizes of file, and nobody sees a difference
_OBJECT = "cases/{}/build/x86_64/prog.bpf.o"


class Picture(NamedTuple):
    """One picture: its file, the page's address, how large, by day or night."""

    name: str
    address: str
    width: int
    height: int
    scheme: Literal["light", "dark"]


PICTURES = (
    Picture("report-matrix", "", 1080, 560, "light"),
    Picture("report-cell", f"#row={_OBJECT.format('helper_guarded')}&kernel=5.10", 1200, 620, "light"),
    Picture("report-moved", f"#row={_OBJECT.format('bitfield')}&kernel=6.1", 1200, 620, "dark"),
    Picture("report-phone", "#q=is:different", 375, 640, "light"),
    Picture("report-phone-dark", f"#row={_OBJECT.format('helper_guarded')}&kernel=5.10", 375, 640, "dark"),
)


def main() -> None:
    """Write all pictures of a results file."""
    results = read(results_in(Path(sys.argv[1])))
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(page(results))
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox"],
        )
        for picture in PICTURES:
            size = {"width": picture.width, "height": picture.height}
            context = browser.new_context(viewport=size, color_scheme=picture.scheme)  # type: ignore[arg-type]
            found = context.new_page()
            found.goto(path.as_uri() + picture.address)
            found.wait_for_selector("#cell h2" if "row=" in picture.address else "html[data-ready]")
            shot = Image.open(io.BytesIO(found.screenshot()))
            small = shot.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            small.save(FOLDER / f"{picture.name}.png", optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
