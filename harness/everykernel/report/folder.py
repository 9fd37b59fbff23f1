"""The report folder of a run: results.json after every cell, each cell's evidence, and every view at the end."""

from __future__ import annotations

import shutil
from pathlib import Path

from everykernel.errors import HarnessError
from everykernel.matrix import records
from everykernel.matrix.records import SCHEMA, CaseResult, CellReport, KernelRecord, RunRecord
from everykernel.matrix.results import Journal, Results, read
from everykernel.report import evidence
from everykernel.report.sources import Sources
from everykernel.report.views import VIEWS

RESULTS = "results.json"


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
        """Write every view, of the results in this order, and close."""
        self._journal.close()
        write({"schema": SCHEMA, "run": self._run, "results": results, "kernels": kernels}, self.folder)


def results_in(path: Path) -> Path:
    """Return the results file that a path names: itself, or the one in that folder."""
    return path / RESULTS if path.is_dir() else path


def render(path: Path, folder: Path, sources: Sources | None = None) -> list[Path]:
    """Write every view of a results file into a folder; return their paths.

    ``sources`` says how paths of sources become a repository's.

    Raises UsageError where the file holds no results, HarnessError where a view cannot be written.
    """
    return write(read(path), folder, sources)


def write(results: Results, folder: Path, sources: Sources | None = None) -> list[Path]:
    """Write every view of results into a folder, which is made; return their paths.

    Sources below the current folder are told from there, where ``sources`` does not say otherwise.

    Raises HarnessError where one cannot be written.
    """
    results = (sources or Sources.of(".")).mapped(results)
    paths = [folder / view.name for view in VIEWS]
    for view, path in zip(VIEWS, paths):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(view.render(results), encoding="utf-8", errors="backslashreplace")
        except OSError as e:
            raise HarnessError(f"cannot be written: {e.strerror}", where=str(path)) from e
    return paths
