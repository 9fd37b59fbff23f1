"""Flavours: what follows the last triple underscore of a name."""

from __future__ import annotations

import pytest

from everykernel.btf.index import essential


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___a", "___a"),
        ("a___", "a___"),
        ("a____b", "a____b"),
        ("_a___b_", "_a"),
        ("a___b____c", "a"),
        ("a___b", "a"),
        ("__", "__"),
        ("", ""),
    ],
)
def test_essential_name(name: str, expected: str) -> None:
    """A flavour stands behind three underscores between two other characters, and only the last one counts."""
    assert essential(name) == expected
