"""Progress on the terminal: bars on standard error where it is one, a line for each slow thing where it is not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import rich.progress

from everykernel.escaping import printable
from everykernel.kernels.progress import SILENT, Progress, Task
from everykernel.report.screen import Screen

_WORTH_A_LINE = 1 << 20  # bytes below which a download is not worth a line in a log


@contextlib.contextmanager
def shown(*, quiet: bool = False) -> Iterator[Progress]:
    """Yield a progress that shows on standard error while the block runs; ``quiet`` shows nothing.

    Standard output stays free for results. NO_COLOR is respected (rich does that).
    """
    console = Screen(stderr=True, soft_wrap=True)
    if quiet:
        yield SILENT
    elif console.is_terminal:
        with rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.BarColumn(bar_width=20),
            rich.progress.DownloadColumn(),
            rich.progress.TransferSpeedColumn(),
            console=console,
            transient=True,
        ) as bars:
            yield _Bars(bars)
    else:
        yield _Lines(console)


class _Bars:
    """Progress as bars, which vanish when their work is done."""

    def __init__(self, bars: rich.progress.Progress) -> None:
        self._bars = bars

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        number = self._bars.add_task(printable(description), total=total)
        try:
            yield _Bar(self._bars, number)
        finally:
            self._bars.remove_task(number)

    def note(self, message: str) -> None:
        self._bars.console.print(printable(message), soft_wrap=True)


class _Bar:
    def __init__(self, bars: rich.progress.Progress, number: rich.progress.TaskID) -> None:
        self._bars = bars
        self._number = number

    def advance(self, amount: int) -> None:
        self._bars.advance(self._number, amount)


class _Lines:
    """Progress as a line when a large piece of work begins: for logs."""

    def __init__(self, console: Screen) -> None:
        self._console = console
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        if total is None:
            self.note(description)
        elif total >= _WORTH_A_LINE:
            self.note(f"{description} ({total / 1e6:.1f} MB)")
        with SILENT.task(description, total) as task:
            yield task

    def note(self, message: str) -> None:
        with self._lock:
            self._console.print(printable(message))
