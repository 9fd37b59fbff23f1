"""How slow work tells how far it is: a small protocol that the caller implements; None is silent."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, amount: int) -> None:
        """Add ``amount`` (bytes) to what is done."""


class Progress(Protocol):
    """Where slow work is shown. Tasks may run in several threads at once."""

    def task(self, description: str, total: int | None) -> AbstractContextManager[Task]:
        """Begin a task of ``total`` bytes (None: unknown); it ends with the context."""

    def note(self, message: str) -> None:
        """Show one line for people."""


class Silent:
    """The progress that shows nothing."""

    def task(self, description: str, total: int | None) -> AbstractContextManager[Task]:
        """Return a task that shows nothing."""
        return _SilentTask()

    def note(self, message: str) -> None:
        """Show nothing."""


class _SilentTask:
    def __enter__(self) -> Task:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def advance(self, amount: int) -> None:
        pass


SILENT: Progress = Silent()
