"""What is known of the accelerator before anything boots."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel.architectures import DEFAULT
from everykernel.machine import accel


def test_known_never_probes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A /dev/kvm that only a probe guest could judge gives no verdict, and none is kept."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path))
    monkeypatch.setattr(accel, "DEVICE", tmp_path)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert accel.known("auto", DEFAULT, Path("/bin/sh")) is None
    assert not list(tmp_path.glob("verdicts/*.json"))
    assert str(accel.known("tcg", DEFAULT, Path("/bin/sh"))) == "tcg (as asked for)"
