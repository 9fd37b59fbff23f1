"""Relocations on a terminal: what `report.relocations` says, drawn in colour and as wide as there is room."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from everykernel.report.relocations import Rows
from everykernel.report.screen import text


def table(rows: Rows) -> Iterator[RenderableType]:
    """Yield a table and its legend."""
    if rows.rows:
        drawn = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0) if rows.right else (0, 1))
        for number, name in enumerate(rows.head):
            drawn.add_column(
                text(name),
                justify="right" if rows.right and number else "left",
                no_wrap=name != rows.folds and number < len(rows.head) - (not rows.right),
                overflow="fold",
                ratio=1 if rows.right and not number else None,
            )
        for row in rows.rows:
            drawn.add_row(*(text(cell.text, cell.style) for cell in row))
        yield drawn
    if rows.legend:
        yield text(rows.legend, "dim" if rows.rows else "")
