"""Kernels and machines for the tests that boot; nothing here skips: without QEMU or a kernel, these tests fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everykernel import kernels
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines

SERIES = ("5.10", "6.1", "6.12", "6.1/i386")


@pytest.fixture(scope="session")
def columns() -> dict[str, Kernel]:
    """The four kernels, by spec."""
    return {resolved.spec: resolved.fetch() for resolved in kernels.resolve(SERIES)}


@pytest.fixture(scope="session")
def linux(columns: dict[str, Kernel]) -> Kernel:
    """The kernel for tests that need only one."""
    return columns["6.1"]


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    with Machines("tcg", timeout=30) as machines:
        yield machines


@pytest.fixture
def guest(machines: Machines, linux: Kernel) -> Iterator[Guest]:
    """A fresh guest of `linux`."""
    with machines.start(linux) as guest:
        yield guest
