"""docs/reason-codes.md says what the table of reasons says."""

from __future__ import annotations

from pathlib import Path

from everykernel.reasons import REASONS
from everykernel.report import codes

PAGE = Path(__file__).parents[2] / "docs" / "reason-codes.md"


def test_the_page_is_up_to_date() -> None:
    """Each code is documented with cause and remedy; `python -m tests.report.test_codes` writes the page."""
    assert PAGE.read_text() == codes.render()
    assert all(f"| `{code}` |" in PAGE.read_text() for code in REASONS)


if __name__ == "__main__":
    PAGE.write_text(codes.render())
