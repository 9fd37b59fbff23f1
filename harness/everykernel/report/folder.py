"""The report folder of a run: results.json after every cell, each cell's evidence, and matrix.md at the end."""

from __future__ import annotations

import shutil
from pathlib import Path

from everykernel.errors import HarnessError
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, CellReport, KernelRecord, RunRecord
from everykernel.matrix.results import Journal
from everykernel.report import evidence, markdown

RESULTS = "results.json"
MATRIX = "matrix.md"


class ReportFolder:
    """A report folder that is being written, by one process; an older report in it is replaced.

    Args:
        folder: made if it is not there.
        run: the identity of the run.
        kernels: the columns, as far as they are known.

    Raises HarnessError where something cannot be written.
    """

    def __init__(self, folder: Path, run: RunRecord, kernels: list[KernelRecord]) -> None:
        self.folder = folder
        self._run = run
        if (folder / RESULTS).is_file():  # ours: nothing else has results beside cells
            shutil.rmtree(folder / "cells", ignore_errors=True)
        self._journal = Journal(folder / RESULTS, run, kernels)

    def add(self, report: CellReport) -> None:
        """Write a cell that ended: its evidence, then its result, which names the evidence from now on.

        Where the evidence cannot be written, the cell is changed to say so, and its result is written all the same.
        """
        result = report["result"]
        try:
            result["evidence"] = evidence.write(self.folder, report)
        except Exception as e:
            records.unwritten(report, e)
        self._journal.add(result, report["kernel"])

    def close(self, results: list[CaseResult], kernels: list[KernelRecord]) -> None:
        """Write matrix.md and close."""
        self._journal.close()
        path = self.folder / MATRIX
        try:
            text = markdown.render(results, kernels, self._run)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as e:
            raise HarnessError(f"cannot be written: {e.strerror}", where=str(path)) from e
