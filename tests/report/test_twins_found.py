"""What docs/twins.md says was found is what the session's results say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests import twins_found
from tests.report.test_twins import KERNELS, RESULTS

from everykernel.kernels.twins.kept import Twin
from everykernel.matrix import records

HOST = {"accelerator": "tcg"}


def twin(part: str, seconds: int) -> Twin:
    return Twin(
        series="6.1", part=part, version="6.1.192-3", release="6.1.192-twin", package="linux-source-6.1",
        sha256="0" * 64, signed="gpgv", fragments="", tools="gcc 12.2.0", image="", seconds=seconds, folder=Path(),
    )  # fmt: skip


def test_the_text_says_when_what_and_how_long() -> None:
    """Commit, day, verdicts, what was built in which time, the table, and in what the lost programs end."""
    run: Any = {"started": "2026-11-29T19:00:00+00:00", "host": HOST}
    results: Any = {"schema": records.SCHEMA, "run": run, "results": RESULTS, "kernels": KERNELS}
    lines = twins_found.found(results, "0123456789ab", [(twin("nobtf", 900), twin("btf", 240))]).splitlines()
    assert lines[0] == "Run at commit 0123456789ab, 2026-11-29, tcg:"
    assert lines[1] == "15 cells: 15 passed."
    assert lines[3] == (
        "- 6.1: linux-source-6.1 6.1.192-3, built by gcc 12.2.0, in 15 minutes of a processor for the first, "
        "4 for the second."
    )
    assert (
        "| mixed | 3 of 3 | 1 of 3 | 2 of 3 | lost: on_entry, on_probe: relocate: btf-missing; back: on_probe |"
        in lines
    )
    assert lines[-2:] == ["- lost in relocate: btf-missing: 3", "- lost in run: assertion-failed: 1"]


def test_it_has_its_place_in_the_page() -> None:
    """A page keeps all but what was found before; one without a place for it is an error."""
    page = twins_found.put(twins_found.PAGE.read_text(), "one\n")
    assert "\none\n" in page
    assert twins_found.put(page, "two\n") == page.replace("\none\n", "\ntwo\n")
    with pytest.raises(ValueError, match="no place"):
        twins_found.put("# A page\n", "one\n")
