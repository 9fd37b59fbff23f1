"""A run as it happens, for other programs: one JSON object a line (``--json-stream``), by stream.schema.json.

The first line says what is run, the last how it ended; between them each cell that ended, with its whole result, and at
times where the run stands. A reader that goes away ends the stream, never the run.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from everykernel.errors import HarnessError
from everykernel.matrix.progress import Standing
from everykernel.matrix.records import CellReport, RunRecord

SCHEMA = "everykernel-stream/1"
SCHEMA_PATH = Path(__file__).with_name("stream.schema.json")
_PATIENCE = 0.5  # seconds between two lines that only say where the run stands


class Stream:
    """Lines to a file, which may be a FIFO or /dev/fd/N; threads may share it.

    Args:
        path: where to; opening a FIFO waits for its reader.
        tell: hears, once, that nobody reads any more.

    Raises HarnessError where it cannot be opened.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self._path = path
        self._tell = tell
        self._lock = threading.Lock()
        self._told: Standing | None = None
        self._when = 0.0
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as e:
            raise HarnessError(f"cannot be written: {e.strerror}", where=str(path)) from e

    def begin(self, run: RunRecord, kernels: Sequence[str], cells: int) -> None:
        """Say what is run."""
        self._write({"event": "begin", "schema": SCHEMA, "run": run, "kernels": list(kernels), "cells": cells})

    def cell(self, report: CellReport) -> None:
        """Tell a cell that ended, with its result as results files have it."""
        self._write({"event": "cell", "result": report["result"]})

    def stands(self, standing: Standing) -> None:
        """Say where the run stands, if that has changed, and not too often."""
        now = time.monotonic()
        counts = (standing.counts, standing.left is None)
        if self._told is not None and (
            now - self._when < _PATIENCE or counts == (self._told.counts, self._told.left is None)
        ):
            return
        self._told, self._when = standing, now
        self._write(progress(standing))

    def note(self, text: str) -> None:
        """Tell a line that people are told."""
        self._write({"event": "note", "text": text})

    def end(self, standing: Standing, code: int | None) -> None:
        """Say where the run stood last and how it ended (None: it was cut short), and close, once."""
        if self._file.closed:
            return
        self._write(progress(standing))
        self._write({"event": "end", "code": code})
        self._close()

    def _write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, allow_nan=False)
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.write(text + "\n")
            except OSError as e:
                self._tell(f"{self._path}: nobody reads the stream any more ({e.strerror}): the run goes on without it")
                self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # of what is still in its buffer
            self._file.close()


def progress(standing: Standing) -> dict[str, Any]:
    """Return the line that says where a run stands."""
    total, done = standing.sum("total"), standing.sum("done")
    left = standing.left
    return {
        "event": "progress",
        "cells": total,
        "done": done,
        "reused": standing.sum("reused"),
        "running": standing.sum("running"),
        "left": max(0, total - done),
        "seconds_left": None
        if left is None
        else {"low": round(left.low, 1), "high": round(left.high, 1), "at_least": left.more},
        "kernels": [one._asdict() for one in standing.counts],
    }
