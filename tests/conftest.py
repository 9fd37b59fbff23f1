"""What all tests share."""

import os

import pytest

os.environ["EVERYKERNEL_SOURCES"] = "debian"  # tests ask no other distribution's servers, but those that they start

pytest_plugins = ["pytester"]
collect_ignore = ["old/cases"]  # a case of tests/vm/test_old.py

# Files that take minutes, the longest first: one that came last would keep one worker alone.
LONGEST = (
    "test_vng.py",
    "test_ssh.py",
    "test_columns.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the files that take longest begin first."""
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
