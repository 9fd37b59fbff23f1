"""The pictures of docs/report.md are there, and small."""

from __future__ import annotations

import re

from PIL import Image
from tests.report.pictures import FOLDER, PICTURES

MOST = 300_000  # bytes of all together


def test_pictures() -> None:
    """The page shows each that the session makes, in the size that it makes, and none that it does not."""
    shown = re.findall(r"\(pictures/([^)]*)\)", (FOLDER.parent / "report.md").read_text())
    assert sorted(shown) == sorted(f"{picture.name}.png" for picture in PICTURES)
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(shown)
    for picture in PICTURES:
        with Image.open(FOLDER / f"{picture.name}.png") as image:
            assert image.size == (picture.width, picture.height)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST
