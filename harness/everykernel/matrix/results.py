"""results.json: one valid JSON file after every cell, at a cost that does not grow with their number.

The list of results comes first, each result on a line of its own; behind it stand the kernels and the run's identity,
parts of which become known as cells end. A new result is written over the closing brackets, with the new end behind it,
by one pwrite(2).
"""

from __future__ import annotations

import json
import os
import platform
import threading
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, cast

from everykernel.errors import HarnessError, UsageError
from everykernel.matrix import schema
from everykernel.matrix.records import SCHEMA, CaseResult, HostRecord, KernelRecord, RunRecord

LIMIT = 1 << 30  # bytes of a results file that is read


class Results(TypedDict):
    """The whole file."""

    schema: str
    run: RunRecord
    results: list[CaseResult]
    kernels: list[KernelRecord]


_KEYS = tuple(Results.__annotations__)


def identify(accelerator: str, qemu: str = "") -> RunRecord:
    """Return the identity of a run that begins now on this host."""
    now = datetime.now(UTC)
    return {
        "id": f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        "started": now.isoformat(timespec="milliseconds"),
        "tool": f"everykernel {version('everykernel')}",
        "host": host(accelerator, qemu),
    }


def host(accelerator: str, qemu: str) -> HostRecord:
    """Return what a record says of this host."""
    uname = platform.uname()
    return {
        "accelerator": accelerator,
        "cpus": os.cpu_count() or 1,
        "qemu": qemu,
        "system": f"{uname.system} {uname.release} {uname.machine}",
        "python": platform.python_version(),
    }


class Journal:
    """A results.json that is being written. Only one process writes it; its threads may.

    Args:
        path: the file; its folder is made, what was there before is replaced.
        run: the identity of the run; its accelerator is filled in as kernels tell theirs.
        kernels: the columns, in order, as far as they are known.

    Raises HarnessError where the file cannot be written.
    """

    def __init__(self, path: Path, run: RunRecord, kernels: list[KernelRecord]) -> None:
        self.path = path
        self._run = run
        self._kernels: dict[str, KernelRecord] = {k["spec"]: {**k} for k in kernels}
        self._lock = threading.Lock()
        self._count = 0
        head = f'{{"schema": {json.dumps(SCHEMA)},\n"results": [\n'
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as e:
            raise HarnessError(f"cannot be written: {e.strerror}", where=str(path)) from e
        self._end = 0  # where the next result goes: behind the last one
        self._size = 0
        self._write(head.encode())

    def add(self, result: CaseResult, kernel: KernelRecord) -> None:
        """Write one result, and what its guest told about its kernel; what cannot be written leaves the file as it was.

        Raises HarnessError where the disk takes no more, ValueError and others for what JSON cannot hold.
        """
        with self._lock:
            text = (",\n" if self._count else "") + _json(result)
            self._learn(kernel)
            self._write(text.encode())
            self._count += 1

    def learn(self, kernel: KernelRecord) -> None:
        """Write what became known about a kernel."""
        with self._lock:
            self._learn(kernel)
            self._write(b"")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _learn(self, kernel: KernelRecord) -> None:
        _json(kernel)  # raises while nothing has changed yet
        self._kernels.setdefault(kernel["spec"], {"spec": kernel["spec"]}).update(kernel)

    def _write(self, text: bytes) -> None:
        """Write ``text`` behind the last result, and the end of the file behind that, at once."""
        kernels = list(self._kernels.values())
        for key in ("accelerator", "accelerator_reason"):
            if found := sorted({k[key] for k in kernels if k.get(key)}):
                self._run["host"][key] = ", ".join(found)
        tail = f'\n],\n"kernels": {_json(kernels)},\n"run": {_json(self._run)}}}\n'
        data = text + tail.encode()
        data += b" " * (self._size - self._end - len(data))  # never leave a longer, older end behind
        try:
            written = os.pwrite(self._file, data, self._end)
            while written < len(data):
                written += os.pwrite(self._file, data[written:], self._end + written)
        except OSError as e:
            raise HarnessError(f"cannot be written: {e.strerror}", where=str(self.path)) from e
        self._size = max(self._size, self._end + len(data))
        self._end += len(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def read(path: Path) -> Results:
    """Return the results in a file, all of them checked; raise UsageError if it holds none, or those of another schema.

    The error of a file that is not what the schema says names the place in it.
    """
    where = str(path)
    try:
        if path.stat().st_size > LIMIT:
            raise UsageError(f"is larger than {LIMIT >> 20} MiB", where=where, remedy="merge fewer parts")
        data: Any = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=where) from e
    except RecursionError as e:
        raise UsageError("is not JSON of ours: it is nested too deep", where=where) from e
    except ValueError as e:
        raise UsageError(f"is not JSON: {e}", where=where) from e
    tag = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(tag, str) or tag.partition("/")[0] != "everykernel":
        raise UsageError("is not a results file of everykernel", where=where)
    if tag != SCHEMA:
        raise UsageError(f"has schema {tag!r}, and this everykernel reads {SCHEMA!r}", where=where)
    schema.check(data, where)
    return cast(Results, data)


def write(path: Path, results: Results) -> None:
    """Write results as one file, a result a line, whole or not at all; raise HarnessError where that cannot be done."""
    lines = ",\n".join(_json(result) for result in results["results"])
    more = "".join(f',\n"{name}": {_json(value)}' for name, value in results.items() if name not in _KEYS)
    text = (
        f'{{"schema": {json.dumps(results["schema"])},\n"results": [\n{lines}\n],\n'
        f'"kernels": {_json(results["kernels"])},\n"run": {_json(results["run"])}{more}}}\n'
    )
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as e:
        new.unlink(missing_ok=True)
        raise HarnessError(f"cannot be written: {e.strerror}", where=str(path)) from e


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
