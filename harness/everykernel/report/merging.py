"""A merged report on the disk: the results of several files, their evidence beside them, and every view."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from everykernel.comparing.merge import every, merge, moved
from everykernel.errors import HarnessError
from everykernel.matrix import results
from everykernel.matrix.results import Results
from everykernel.report import folder as report_folder
from everykernel.report.folder import RESULTS, results_in


def merge_into(paths: Sequence[Path], out: Path) -> Results:
    """Merge results files and report folders into a folder, or a file where ``out`` ends in ``.json``; return them.

    The evidence of each run is copied below ``parts/RUN`` of a folder, and its views are written.

    Raises:
        UsageError: one of them holds no results, or not such as the schema says.
        HarnessError: something cannot be written.
    """
    files = [results_in(path) for path in paths]
    read = [results.read(path) for path in files]
    merged = merge(read, [str(path) for path in files])
    if out.suffix == ".json":
        results.write(out, merged)
        return merged
    older = (out / RESULTS).is_file()
    if "parts" in merged["run"] or len({path.parent.resolve() for path in files}) > 1 or not older:
        for path, one in zip(files, read):
            _copy(one, path.parent, out, alone="parts" not in merged["run"])
    results.write(out / RESULTS, merged)
    if older and "parts" in merged["run"]:  # ours: what it held is below parts now
        shutil.rmtree(out / "cells", ignore_errors=True)
    report_folder.write(merged, out)
    return merged


def _copy(read: Results, source: Path, out: Path, *, alone: bool) -> None:
    """Copy the evidence that results name from beside them; what is there already is the same."""
    run = read["run"]
    for result in every(read["results"]):
        evidence = result.get("evidence")
        target = evidence if alone else moved(result, run["id"], merged="parts" in run)
        if evidence is None or target is None or (out / target).exists():
            continue
        try:
            _copy_files(source, source / evidence, out / target)
        except OSError as e:
            raise HarnessError(f"cannot be copied: {e.strerror}", where=str(source / evidence)) from e


def _copy_files(root: Path, source: Path, target: Path) -> None:
    """Copy the plain files of a folder that is really below ``root``: a stranger's report may hold links anywhere."""
    if not source.is_dir() or not source.resolve().is_relative_to(root.resolve()):
        return
    with os.scandir(source) as entries:
        found = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    target.mkdir(parents=True)
    for entry in found:
        shutil.copyfile(entry.path, target / entry.name, follow_symlinks=False)
