"""Ranges of kernels."""

from __future__ import annotations

import pytest

from everykernel.errors import UsageError
from everykernel.matrix.ranges import KernelRange, numbers


@pytest.mark.parametrize(
    ("text", "release", "holds"),
    [
        ("6.1", (6, 1, 192), True),
        ("6.1", (6, 12, 1), False),
        (">=5.14,<6.15", (5, 14), True),
        (">=5.14,<6.15", (6, 14, 9), True),
        (">=5.14,<6.15", (6, 15, 0), False),
        (">=5.14,<6.15", (5, 10, 262), False),
        ("<=6.1", (6, 1, 192), True),
        (">6.1", (6, 1, 192), False),
        (">6.1", (6, 2), True),
        ("!=6.1", (6, 1, 3), False),
        (">=6.1.190", (6, 1, 192), True),
        (">=6.1.193", (6, 1, 192), False),
        (" >= 7 ", (7, 0), True),
        ("==6", (6, 18), True),
    ],
)
def test_holds(text: str, release: tuple[int, ...], holds: bool) -> None:
    """A bound is compared with as many numbers as it has itself."""
    assert KernelRange.parse(text).holds(release) is holds


@pytest.mark.parametrize("text", ["", "six", ">=", "6.1,,6.2", "6.1-6.3", "~6.1", "6.x"])
def test_nonsense_is_refused(text: str) -> None:
    """What is no range is a usage error that shows how to write one."""
    with pytest.raises(UsageError, match=r"x: .* is not a range of kernels \[write '6.1' or '>=5.14,<6.15'\]"):
        KernelRange.parse(text, "x")


def test_debians_point_release_is_in_the_version() -> None:
    """Debian's release says 6.1.0 for every 6.1.y; others say it themselves."""
    assert numbers("6.1.0-56-cloud-amd64", "#1 SMP Debian 6.1.192-2 (2026-11-16)") == (6, 1, 192)
    assert numbers("6.18.44-custom", "#1 SMP") == (6, 18, 44)
    with pytest.raises(UsageError):
        numbers("next")
