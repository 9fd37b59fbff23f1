"""The views of a results file that a report folder holds: a row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from everykernel.matrix.results import Results
from everykernel.report import markdown
from everykernel.report.files import Files


class View(NamedTuple):
    """A file that shows results.

    Attributes:
        name: of the file, in the report folder.
        render: makes its text; pure, of any valid results, those of a run cut short included.
        embed: the same, with what it takes of the report folder's files; None where it takes nothing.
    """

    name: str
    render: Callable[[Results], str]
    embed: Callable[[Results, Files], str] | None = None


def _markdown(results: Results) -> str:
    return markdown.render(results["results"], results["kernels"], results.get("run"))


def _page(results: Results, files: Files | None = None) -> str:
    from everykernel.report.runview import page  # with its templates' engine, which nothing else needs

    return page.page(results, files)


VIEWS = (
    View("matrix.md", _markdown),
    View("index.html", _page, _page),
)
