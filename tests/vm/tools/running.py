"""Commands on kernels, as a user runs them: ``everykernel run --cmd``, and what its results say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run(folder: Path, command: str, kernels: Sequence[str], *more: str) -> dict[str, Any]:
    """Run a command of ``folder`` on kernels; return the results by kernel, passed or failed."""
    argv = [sys.executable, "-m", "everykernel", "run", "--cmd", command, "--kernels", ",".join(kernels)]
    done = subprocess.run([*argv, "--json", "out.json", *more], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {r["kernel"]: r for r in json.loads((folder / "out.json").read_text())["results"]}


def out(result: dict[str, Any]) -> str:
    """Return what a command wrote, of much the beginning."""
    return str(result["stages"]["run"]["command"]["stdout"]["first"])


def verdict(result: dict[str, Any]) -> tuple[str, str, str]:
    """Return outcome, stage and code."""
    return result["outcome"], result["stage"], result["code"]
