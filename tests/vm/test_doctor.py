"""`everykernel doctor` finds out by a guest that really boots which accelerator works here."""

from __future__ import annotations

import json

import pytest

from everykernel.cli import main

pytestmark = pytest.mark.vm


def test_doctor_boots_a_guest(capsys: pytest.CaptureFixture[str]) -> None:
    """Where these tests run nothing is missing, and a guest answered under the accelerator that is named."""
    assert main(["doctor", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["accelerator"]["status"] == "ok"
    assert found["accelerator"]["detail"].startswith(("kvm (", "tcg ("))
    assert "answered after" in found["accelerator"]["detail"]
