"""Two doubles of an old kernel, made in two ways from one table, are each other's check."""

from __future__ import annotations

from tests.old import verdicts
from tests.old.table import RELEASES


def test_filtered_and_built_kernels_give_the_same_verdicts() -> None:
    """A 5.10 behind a filter and a 5.10 built with what came later switched off stop each case at the same thing."""
    filtered, built = (verdicts.read(path.read_text()) for path in (verdicts.FILE, verdicts.BUILT))
    assert len(filtered["4.14"]) > 80
    assert {release: built[release] for release in RELEASES} == filtered
