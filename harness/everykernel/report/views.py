"""The views of a results file that a report folder holds: a row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from everykernel.matrix.results import Results
from everykernel.report import markdown


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


VIEWS = (View("matrix.md", _markdown),)
