"""The views of a results file that a report folder holds: a row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from everykernel.matrix.results import Results
from everykernel.report import badge, junit, markdown, sarif, spots, summary
from everykernel.report.files import Files
from everykernel.report.sources import Sources


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


def _sarif(results: Results) -> str:
    kernels = [kernel["spec"] for kernel in results["kernels"]]
    return sarif.render(spots.find(results["results"], Sources()), kernels)


VIEWS = (
    View("matrix.md", _markdown),
    View("index.html", _page, _page),
    View("summary.md", summary.render),
    View("junit.xml", junit.render),
    View("everykernel.sarif", _sarif),
    View("badge.svg", badge.svg),
    View("badge.json", badge.endpoint),
)
