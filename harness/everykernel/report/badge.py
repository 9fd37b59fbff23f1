"""A badge of a run: on which kernels every object loads, as SVG, and as JSON for shields.io's endpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from everykernel import wire
from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.matrix.results import Results
from everykernel.report.columns import ranges

LABEL = "loads on"
_LONGEST = 40  # characters of a message; kernels are counted where their names take more
_COLOURS = {"brightgreen": "#4c1", "yellow": "#dfb317", "red": "#e05d44", "lightgrey": "#9f9f9f"}  # of shields.io


class Badge(NamedTuple):
    """What a badge says, and its colour by shields.io's name."""

    message: str
    colour: str


def of(results: Results) -> Badge:
    """Return the badge of a run.

    A kernel counts where all cells on it have a verdict and what was to be loaded was: a cell of a case that expects a
    refusal does not load there, whatever else it shows.
    """
    cells: dict[str, list[CaseResult]] = {}
    for result in results["results"]:
        cells.setdefault(result.get("kernel", "?"), []).append(result)
    order = [kernel["spec"] for kernel in results["kernels"] if kernel["spec"] in cells]
    order += [spec for spec in cells if spec not in order]
    loading = [spec for spec in order if all(map(_loads, cells[spec]))]
    if not order:
        return Badge("nothing ran", "lightgrey")
    if not loading:
        return Badge(f"none of {len(order)} kernel{'' if len(order) == 1 else 's'}", "red")
    return Badge(_told(loading, order), "brightgreen" if len(loading) == len(order) else "yellow")


def _told(loading: Sequence[str], order: Sequence[str]) -> str:
    found = ", ".join(ranges(list(loading), order))
    named = printable(found if any(".." in spec for spec in loading) else found.replace("..", "–"))  # noqa: RUF001 - a dash is meant
    return named if len(named) <= _LONGEST else f"{len(loading)} of {len(order)} kernels"


def _loads(result: CaseResult) -> bool:
    status = result.get("stages", {}).get("load", {}).get("status", "")
    return not records.broke(result) and status in (wire.PASSED, wire.SKIPPED)


def endpoint(results: Results) -> str:
    """Return the JSON that shields.io's endpoint badge reads (https://shields.io/badges/endpoint-badge)."""
    badge = of(results)
    told = {"schemaVersion": 1, "label": LABEL, "message": badge.message, "color": badge.colour}
    return json.dumps(told | ({"isError": True} if badge.colour == "red" else {})) + "\n"


_TALL, _PADDING, _CHARACTER = 20, 10, 6.6  # pixels; of Verdana 11 a character takes about that


def svg(results: Results) -> str:
    """Return the image, which loads nothing from anywhere."""
    badge = of(results)
    left, right = _width(LABEL), _width(badge.message)
    title = f"{LABEL}: {badge.message}"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_TALL}" role="img" \
aria-label={quoteattr(title)}>
<title>{escape(title)}</title>
<clipPath id="r"><rect width="{left + right}" height="{_TALL}" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="{_TALL}" fill="#555"/>
<rect x="{left}" width="{right}" height="{_TALL}" fill="{_COLOURS[badge.colour]}"/>
</g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
{_text(LABEL, left / 2, left)}
{_text(badge.message, left + right / 2, right)}
</g>
</svg>
"""


def _width(text: str) -> int:
    return round(len(text) * _CHARACTER) + _PADDING


def _text(text: str, middle: float, width: int) -> str:
    room = f'textLength="{width - _PADDING}" lengthAdjust="spacingAndGlyphs"'
    shadow = f'<text x="{middle:g}" y="15" fill="#010101" fill-opacity=".3" {room}>{escape(text)}</text>'
    return f'{shadow}\n<text x="{middle:g}" y="14" {room}>{escape(text)}</text>'
