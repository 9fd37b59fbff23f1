"""The layouts of a kernel's tracepoints, kept beside the kernel once a guest has told them.

No file of a kernel's package has them: the kernel itself describes its events, in tracefs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from everykernel import cache
from everykernel.core.reads import formats
from everykernel.kernels.model import Kernel

# Prints ``CATEGORY/NAME/format:`` and a line of the event's description, for each field of each event: two seconds.
COMMAND = ("/bin/sh", "-c", "cd /sys/kernel/tracing/events && grep field: */*/format")
_FORMAT = 1  # of the file: one of another format is as good as none


def path(kernel: Kernel) -> Path:
    """Return where a kernel's tracepoints are kept, whether they are or not."""
    if not kernel.source.startswith("path:"):
        return kernel.image.with_name("tracepoints.json")
    return cache.folder("tracepoints") / f"{kernel.digest}.json"


def keep(kernel: Kernel, told: str) -> None:
    """Keep what `COMMAND` printed in a guest of the kernel."""
    lines: dict[str, list[str]] = {}
    for line in told.splitlines():
        place, found, rest = line.partition("/format:")
        if found and " common_" not in rest:
            lines.setdefault(place, []).append(rest)
    events = {place: formats.parse("\n".join(found)) for place, found in lines.items()}
    cache.write(path(kernel), json.dumps({"format": _FORMAT, "events": events}, separators=(",", ":")).encode())


def read(kernel: Kernel) -> Mapping[str, formats.Format] | None:
    """Return a kernel's events by ``CATEGORY/NAME``; None where no guest has told them yet."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(path(kernel).read_bytes())
        if kept["format"] == _FORMAT:
            return {event: tuple(formats.Field(*row) for row in rows) for event, rows in kept["events"].items()}
    return None
