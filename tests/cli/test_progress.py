"""Progress is talk: on standard error, as bars on a terminal, as lines in a log."""

from __future__ import annotations

import pytest

from everykernel.cli import progress
from everykernel.kernels.progress import Progress


def work(shown: Progress) -> None:
    with shown.task("a large file", 5_000_000) as task:
        task.advance(2_500_000)
        shown.note("[half] way")
        task.advance(2_500_000)
    with shown.task("a small file", 500) as task:
        task.advance(500)
    with shown.task("unpacking", None) as task:
        task.advance(1)


def test_a_log_gets_a_line_for_each_large_thing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is redrawn, and small downloads are not told."""
    with progress.shown() as shown:
        work(shown)
    assert capsys.readouterr() == ("", "a large file (5.0 MB)\n[half] way\nunpacking\n")


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Output for programs is not mixed with talk."""
    with progress.shown(quiet=True) as shown:
        work(shown)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_bars(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar is drawn on standard error; notes stand above it, square brackets and all."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress.shown() as shown:
        work(shown)
    out, err = capsys.readouterr()
    assert out == ""
    assert "[half] way" in err
    assert "\x1b[" in err


def test_no_color_is_respected(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR set, a terminal gets no colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with progress.shown() as shown:
        work(shown)
    assert "\x1b[3" not in capsys.readouterr().err
