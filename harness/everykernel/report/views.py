"""The views of a results file that a report folder holds: a row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from everykernel.matrix.results import Results
from everykernel.report import badge, junit, markdown, sarif, spots, summary
from everykernel.report.sources import Sources


class View(NamedTuple):
    """A file that shows results.

    Attributes:
        name: of the file, in the report folder.
        render: makes its text; pure, of any valid results, those of a run cut short included.
    """

    name: str
    render: Callable[[Results], str]


def _markdown(results: Results) -> str:
    return markdown.render(results["results"], results["kernels"], results.get("run"))


def _sarif(results: Results) -> str:
    kernels = [kernel["spec"] for kernel in results["kernels"]]
    return sarif.render(spots.find(results["results"], Sources()), kernels)


VIEWS = (
    View("matrix.md", _markdown),
    View("summary.md", summary.render),
    View("junit.xml", junit.render),
    View("everykernel.sarif", _sarif),
    View("badge.svg", badge.svg),
    View("badge.json", badge.endpoint),
)
