"""docs/kernel-features.md says of a kernel what it answers."""

from __future__ import annotations

import pytest
from tests.features.__main__ import MACHINE, PAGE, ask, column

from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

pytestmark = pytest.mark.vm


@pytest.mark.parametrize("spec", ["5.10", "6.12", "6.1/i386"])
def test_what_the_page_says_is_what_the_kernel_answers(
    machines: Machines, columns: dict[str, Kernel], spec: str
) -> None:
    """Feature by feature; no kernel has all of it, and none has nothing."""
    machines.prepare(columns[spec], MACHINE)
    said = column(PAGE.read_text(), spec)
    assert ask(machines, columns[spec]) == said
    assert 0 < sum(said.values()) < len(said)
