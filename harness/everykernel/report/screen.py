"""The terminal as everything that prints in colour meets it: data in, text out, and no order of a stranger's obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from everykernel.escaping import block, printable


class Screen(Console):
    """A console that reads no markup in what it prints, and shows what a terminal would obey as escapes.

    Args:
        options: of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of something that is printed, the text of each escaped; rich's own controls stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=block(segment.text))


def text(what: object, style: str = "") -> Text:
    """Return one line for a table or a screen: escaped before it is measured, so that columns fit what is shown."""
    return Text(printable(str(what)), style)
