"""The HTML of the list of runs, of the history, and of one cell's; no script, nothing from elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from everykernel.report import embed
from everykernel.report import labels as labelling
from everykernel.report.runview.page import environment
from everykernel.report.runview.rows import CLASSES
from everykernel.report.serving import history
from everykernel.report.serving.runs import Run

_HERE = Path(__file__).parent
_WIDE = 60


def listed(folder: str, runs: Sequence[Run]) -> str:
    """Return the list of runs."""
    return _render("runs.html", title="Runs", folder=folder, runs=runs)


def past(runs: Sequence[Run]) -> str:
    """Return objects by kernels, each cell with what it was in the last runs."""
    names, columns, table = history.grid(runs)
    shared, labels = labelling.labels(names, _WIDE) if names else ("", {})
    seen = {point.symbol for cell in table.values() for _, point in cell.points}
    return _render(
        "history.html",
        title="History",
        names=names,
        labels=labels,
        shared=shared,
        columns=columns,
        table=table,
        most=history.MOST,
        legend=[(look, mark) for mark, look in CLASSES.items() if mark.symbol in seen],
    )


def one(runs: Sequence[Run], row: str, column: str) -> str:
    """Return what one cell was, the newest run first."""
    return _render("cell.html", title="One cell", row=row, column=column, points=history.cell(runs, row, column))


def files(title: str, names: Sequence[str]) -> str:
    """Return the names of a cell's files, as links."""
    return _render("files.html", title=title, names=names)


def wrong(title: str, text: str) -> str:
    """Return a page that says why there is none."""
    return _render("wrong.html", title=title, text=text)


def address(*parts: str) -> str:
    """Return parts of a path or query, quoted: nothing in them ends a part."""
    return "/".join(quote(part, safe="", errors="backslashreplace") for part in parts)


@functools.cache
def _environment() -> Environment:
    made = environment(_HERE)
    style = "\n".join((path / "style.css").read_text() for path in (_HERE.parent / "runview", _HERE))
    made.globals.update(
        style=Markup(style),
        policy=Markup(f"style-src {embed.policy_hash(style)}"),
        quoted=address,
    )
    return made


def _render(name: str, **values: Any) -> str:
    return _environment().get_template(name).render(**values)
