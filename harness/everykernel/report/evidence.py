"""The evidence of each cell as files: console, verifier logs, relocations."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from everykernel.errors import HarnessError
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CellReport

_WIDTH = 80  # characters of a name: file systems take 255 bytes, some programs a path of 260


def write(folder: Path, report: CellReport) -> str:
    """Write a cell's files below ``folder`` and return the cell's own folder, relative to it.

    ``console.txt`` is what the kernel printed since the guest was restored, ``log-PROGRAM.txt`` a verifier log,
    ``relocations.jsonl`` one line a relocation, ``trace.txt`` the traceback of a defect of the harness; below it,
    ``attempt-1`` and so on hold the same of attempts that broke, whose results name them from now on. Raises
    HarnessError where they cannot be written.

    Names come from objects and users: they are cut to what every file system takes, and lead nowhere else.
    """
    result = report["result"]
    name = Path("cells") / _safe(records.row(result)) / _safe(records.column(result))
    own = folder / name
    number = 1
    while own.exists():  # one row may meet one kernel on several machines
        number += 1
        own = folder / f"{name}-{number}"
    try:
        _write_files(own, report)
        for number, one in enumerate(report.get("earlier", []), 1):
            _write_files(own / f"attempt-{number}", one)
            result["attempts"][number - 1]["evidence"] = str((own / f"attempt-{number}").relative_to(folder))
    except OSError as e:
        raise HarnessError(f"cannot be written: {e.strerror}", where=str(own)) from e
    return str(own.relative_to(folder))


def _write_files(own: Path, report: CellReport) -> None:
    """Write the files of one attempt into a folder, which is made."""
    result = report["result"]
    own.mkdir(parents=True)
    _write(own / "console.txt", report.get("console", ""))
    if report.get("trace"):
        _write(own / "trace.txt", report["trace"])
    for stage in STAGES:
        for program in result.get("stages", {}).get(stage, {}).get("programs", []):
            if program.get("log"):
                _write(own / f"log-{_safe(program.get('name', ''))}.txt", program["log"])
    relocations = result.get("stages", {}).get("relocate", {}).get("relocations")
    if relocations:
        text = "".join(json.dumps(r, allow_nan=False) + "\n" for r in relocations)
        _write(own / "relocations.jsonl", text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _safe(name: str) -> str:
    """Return a name that is one harmless file name on every system, at most `_WIDTH` characters long.

    Of a longer one the end is kept, which tells paths apart, behind a digest of it all.
    """
    text = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._") or "_"
    if len(text) <= _WIDTH:
        return text
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{digest}-{text[-(_WIDTH - 13) :]}"
