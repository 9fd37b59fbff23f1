"""CO-RE where the best candidate wins: what a program's records of a type come to together."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core.test_candidates import structs

from everykernel import core
from everykernel.btf.ext import CoreRecord
from everykernel.core import best
from everykernel.core import relokinds as rk
from everykernel.core.patch import poison_kept_wide
from everykernel.core.refusal import Refused

MANNER = core.Manner(agree=False, poison=poison_kept_wide)


def _choose(local: Writer, target: Writer, *asked: tuple[str, int]) -> list[tuple[int | None, bool]]:
    """Return the target of each record, and whether it counts as unresolved."""
    session = core.Session(local.btf("prog.bpf.o"), core.Target(target.btf()), MANNER)
    records = [(number, CoreRecord(8 * number, 2, access, kind)) for number, (access, kind) in enumerate(asked)]
    found = [outcome for outcome, _ in best.choose(session, records)]
    return [(outcome.change.new if outcome.change else None, outcome.unresolved) for outcome in found]


def test_the_candidate_with_most_fields_wins() -> None:
    """Of two types that differ in a field's place, the one that has the other field too; alone they are ambiguous."""
    local, target = structs({"a": 0, "b": 4}), structs({"a": 8}, {"a": 12, "b": 16})
    both = ("0:0", rk.FIELD_BYTE_OFFSET), ("0:1", rk.FIELD_BYTE_OFFSET)
    assert _choose(local, target, *both) == [(12, False), (16, False)]
    with pytest.raises(Refused, match="several types of the kernel match"):
        _choose(local, target, both[0])


def test_sizes_of_what_is_not_there_are_poison() -> None:
    """Existence comes to 0; a size or an id of a missing type is no number, where libbpf has 0."""
    local, target = structs({"a": 0}), Writer()
    target.integer("int", signed=True)
    kinds = rk.TYPE_EXISTS, rk.TYPE_SIZE, rk.TYPE_ID_TARGET
    assert _choose(local, target, *(("0", kind) for kind in kinds)) == [(0, True), (None, True), (None, True)]
