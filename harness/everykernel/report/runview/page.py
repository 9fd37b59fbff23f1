"""The page: one HTML file without anything from elsewhere.

The matrix, the reasons and the provenance are in the document itself, escaped by the template, and can be read where no
script runs. What a cell opens travels compressed, a block a row, and reaches the document as text alone; a policy in
the head allows this file's own scripts and style, by their hashes, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from everykernel.escaping import printable
from everykernel.loaders.names import OWN
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult
from everykernel.matrix.results import Results
from everykernel.report import columns, embed, misreads, remarks, terminal, twins
from everykernel.report import labels as labelling
from everykernel.report.files import Files
from everykernel.report.runview import detail, reasons, rows, times
from everykernel.report.runview.heads import Head, heads, spans
from everykernel.report.runview.rows import Row

_HERE = Path(__file__).parent
_SCRIPTS = ("dom", "filter", "matrix", "pictures", "evidence", "cell", "main")
_BEGIN = 'document.documentElement.classList.add("js");'  # before anything is drawn
_FIRST = 50  # rows that are laid out before the page is first seen; the others follow at once
_WIDE = 60  # characters of a row's label
_FEW = 9  # columns beside which the sentence on a row has room
_STATES = (
    ("passed", "passed"), ("failed", "failed"), ("guest", "guest broke"), ("harness", "harness broke"),
    ("expected", "refused as expected"), ("misread", "misread"), ("warned", "kernel warned"),
    ("flaky", "flaky"), ("reused", "reused"),
)  # fmt: skip


def environment(folder: Path) -> Environment:
    """Return what renders the templates of a folder: every value is printable and escaped, a missing one an error."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["block"] = lambda lines: Markup("\n").join(printable(line) for line in lines)
    return made


def page(results: Results, files: Files | None = None) -> str:
    """Return the HTML of a run's results.

    Args:
        results: of any run, one that was cut short or has no cell included.
        files: of its report folder, where consoles are read and linked.
    """
    files = files or Files()
    run = results.get("run", {})
    drawn = columns.grid(results["results"], results["kernels"], run.get("loaders", []))
    drawn = replace(drawn, rows=tuple(sorted(drawn.rows)))
    shown = heads(drawn.kernels)
    shared, names = _labels(drawn.rows)
    table = rows.rows(drawn, shown, names)
    links = _Links(addresses([row.name for row in table]), addresses([head.name for head in shown]), names)
    specs = [
        name for number, (_, of) in enumerate(_runs(shown)) for name in ([""] * bool(number) + [h.name for h in of])
    ]
    why, more = reasons.find(results["results"], names, specs, files)
    style = (_HERE / "style.css").read_text()
    script = "\n".join((_HERE / f"{name}.js").read_text() for name in _SCRIPTS)
    return environment(_HERE).get_template("page.html").render(
        title="Kernel compatibility",
        style=Markup(style),
        script=Markup(script),
        begin=Markup(_BEGIN),
        policy=Markup(
            f"style-src {embed.policy_hash(style)}; "
            f"script-src {embed.policy_hash(_BEGIN)} {embed.policy_hash(script)}"
        ),
        first=_FIRST,
        run=run,
        host=run.get("host", {}),
        summary=terminal.counts(results["results"]),
        counts=_counts(table),
        stages=STAGES,
        heads=shown,
        groups=spans(shown, lambda head: head.group) if len({head.group for head in shown}) > 1 else [],
        series=_series(shown),
        few=len(shown) <= _FEW,
        rows=table,
        look=rows.look,
        pairs=zip,
        cells=len(results["results"]),
        blank=rows.blank,
        legend=rows.legend(table),
        shared=shared,
        links=links,
        reasons=why,
        more_reasons=more,
        notes=[*terminal.notes(drawn), *remarks.lines(results["results"], names, specs)],
        twins=twins.find(results["results"], results["kernels"]),
        twin_heads=twins.HEADS,
        misreads=misreads.of_results(results["results"], names),
        objects=_objects(results["results"]),
        loaders=run.get("loaders", []),
        bars=times.bars(shown, table),
        parts=times.PARTS,
        slowest=times.slowest(shown, table),
        index=Markup(embed.packed(embed.shown(_index(table, shown, links)))),
        details=[Markup(embed.packed(embed.shown(detail.of_row(row, files)))) for row in table],
    )  # fmt: skip


class _Links:
    """The addresses of cells within the page."""

    def __init__(self, of_rows: Mapping[str, str], of_columns: Mapping[str, str], labels: Mapping[str, str]) -> None:
        self.rows = of_rows
        self._labels = labels
        self.columns = of_columns

    def cell(self, row: str, column: str, number: int = 0) -> str:
        """Return the address of a cell, which stays the same from run to run."""
        more = f"&n={number + 1}" if number else ""
        return f"#row={_quoted(self.rows[row])}&kernel={_quoted(self.columns[column])}{more}"

    def query(self, text: str) -> str:
        """Return the address of the matrix under a filter."""
        return f"#q={_quoted(text)}"

    def label(self, result: CaseResult) -> str:
        """Return what a result's row is called."""
        return self._labels[records.row(result)]

    def of(self, result: CaseResult) -> str:
        """Return the address of the first cell of a result's row and column."""
        return self.cell(records.row(result), records.column(result))


def addresses(names: Sequence[str]) -> dict[str, str]:
    """Return what names are called in addresses: as they are shown, with a number where two are shown alike."""
    taken: Counter[str] = Counter()
    found = {}
    for name in names:
        shown = printable(name)
        taken[shown] += 1
        found[name] = shown if taken[shown] == 1 else f"{shown}~{taken[shown]}"
    return found


def _quoted(text: str) -> str:
    return quote(text, safe="/:@!$'()*,;?~", errors="backslashreplace")


def _index(table: Sequence[Row], shown: Sequence[Head], links: _Links) -> dict[str, Any]:
    """Return what the filter looks at: the columns, and of each row its text, programs and cells."""
    texts: dict[tuple[str, ...], int] = {}
    return {
        "columns": [
            {
                "name": links.columns[head.name],
                "series": head.series,
                "release": head.release,
                "arch": head.arch,
                "vendor": head.vendor,
                "loader": head.column.get("loader", OWN),
                "btf": head.btf,
                "source": head.column.get("source", ""),
                "signed": head.column.get("signed", ""),
                "sha256": head.column.get("sha256", ""),
            }
            for head in shown
        ],
        "rows": [
            {
                "name": links.rows[row.name],
                "words": row.words,
                "object": printable(str(next((c.result.get("object") for of in row.cells for c in of), "") or "")),
                "programs": row.programs,
                "cells": [
                    [
                        at,
                        cell.number,
                        "".join(mark.symbol for mark in cell.shown),
                        texts.setdefault(cell.tags, len(texts)),
                        texts.setdefault(cell.codes, len(texts)),
                        printable(cell.result.get("stage", "")),
                        cell.message,
                    ]
                    for at, cells in enumerate(row.cells)
                    for cell in cells
                ],
            }
            for row in table
        ],
        "lists": list(texts),
        "marks": {mark.symbol: name for mark, name in rows.CLASSES.items()},
    }


def _labels(names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return what all rows share, ``cases/…/prog.bpf.o``, and what is left of each."""
    shared, found = labelling.labels(names, _WIDE) if names else ("", {})
    first, last = (end(label[::-1] for label in found.values()) for end in (min, max)) if len(found) > 1 else ("", "")
    same = next((at for at, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))
    end = first[:same].rfind("/") + 1
    if end:
        shared += f"…{first[:end][::-1]}"
        found = {name: label[:-end] for name, label in found.items()}
    return shared, found


def _counts(table: Sequence[Row]) -> list[tuple[str, str, int]]:
    """Return what a cell can be, in words, and how many are so, those that occur."""
    every = Counter(tag for row in table for cells in row.cells for cell in cells for tag in cell.tags)
    return [(tag, words, every[tag]) for tag, words in _STATES if every[tag]]


def _series(shown: Sequence[Head]) -> list[tuple[str, int]]:
    """Return the series that columns share, where any does; groups are not crossed."""
    found = [(series, count) for _, of in _runs(shown) for series, count in spans(of, lambda head: head.series)]
    return found if any(count > 1 for _, count in found) else []


def _runs(shown: Sequence[Head]) -> list[tuple[str, list[Head]]]:
    found: list[tuple[str, list[Head]]] = []
    for head in shown:
        if not found or found[-1][0] != head.group:
            found.append((head.group, []))
        found[-1][1].append(head)
    return found


def _objects(results: Sequence[CaseResult]) -> list[tuple[str, str]]:
    """Return path and digest of every object of a run."""
    found = dict.fromkeys((result.get("object") or "", result.get("sha256") or "") for result in results)
    return [(path, digest) for path, digest in found if path or digest]
