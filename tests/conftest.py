"""What all tests share."""

import os

import pytest

os.environ["EVERYKERNEL_SOURCES"] = "debian"  # tests ask no other distribution's servers, but those that they start

pytest_plugins = ["pytester"]
collect_ignore = ["old/cases"]  # a case of tests/vm/test_old.py

# Files that take minutes, the longest first: one that came last would keep one worker alone.
LONGEST = (
    "test_aya_rules.py",
    "test_vng.py",
    "test_takeover.py",
    "test_old.py",
    "test_cases.py",
    "test_columns.py",
    "test_ssh.py",
    "test_supplied_btf.py",
    "test_sources.py",
    "test_commands.py",
    "test_gates.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the files that take longest begin first."""
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
