"""The room of cluster: who imports it, and what it needs of Dask only when it is asked for."""

from __future__ import annotations

import subprocess
import sys

from tests.imports import imported, ours

from everykernel import folders

ROOT = folders.package()


def test_only_command_and_plugin_import_it() -> None:
    """Arrows point downward: nothing below knows of clusters."""
    found = {
        str(path.relative_to(ROOT).parts[0])
        for path in ROOT.rglob("*.py")
        if any(name.startswith("cluster") for name in ours(path))
    }
    assert found == {"cluster", "cli", "plugin"}


def test_it_knows_nothing_of_reports_and_commands() -> None:
    """It sends cells and takes reports in; who shows them is none of its business."""
    names = {name.split(".")[0] for path in (ROOT / "cluster").glob("*.py") for name in ours(path)}
    assert not names & {"cli", "plugin", "report", "gates", "comparing"}


def test_distributed_is_imported_where_it_is_needed_only() -> None:
    """Neither a local run nor `--help` takes the second that Dask's import takes."""
    tops = {path.name for path in (ROOT / "cluster").glob("*.py") if "distributed" in path.read_text()}
    assert tops
    code = "import sys; import everykernel.cli.run, everykernel.cli.cluster, everykernel.cluster.campaign; "
    done = subprocess.run(
        [sys.executable, "-c", code + "print('distributed' in sys.modules, 'dask' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]
    assert imported(ROOT / "cluster" / "site.py")
