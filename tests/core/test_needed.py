"""A BTF cut down to what records need relocates them as the whole one does."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core.relocating import mov

from everykernel import core
from everykernel.btf import Btf
from everykernel.btf.ext import CoreRecord
from everykernel.btf.subset import Subset
from everykernel.core import needed
from everykernel.core import relokinds as rk


def _kernel() -> Btf:
    w = Writer()
    number = w.integer("int", signed=True)
    w.integer("long", 8, signed=True)
    w.struct("unrelated", 4, [("x", number, 0)])
    inner = w.struct("", 8, [("p", number, 0), ("q", number, 32)])
    array = w.array(number, 4)
    w.struct("s", 64, [("gone", number, 0), ("", inner, 64), ("list", array, 128), ("next", w.ptr(inner), 256)])
    w.enum("e", {"A": 1, "B": 7, "C": 9})
    wrong = w.struct("", 24, [("x", number, 0), ("y", number, 32), ("z", number, 64), ("q", inner, 128)])
    w.struct("t", 32, [("", wrong, 0), ("q", number, 192)])
    return w.btf()


def _object() -> tuple[Btf, dict[str, int]]:
    w = Writer()
    number = w.integer("int", signed=True)
    array = w.array(number, 4)
    fields = [("q", number, 0), ("list", array, 32), ("next", w.ptr(0), 192)]
    ids = {"s": w.struct("s", 32, fields), "e": w.enum("e", {"B": 0}), "t": w.struct("t", 4, [("q", number, 0)])}
    return w.btf("prog.bpf.o"), ids


@pytest.mark.parametrize(
    ("root", "access", "kind"),
    [
        ("s", "0:0", rk.FIELD_BYTE_OFFSET),
        ("s", "0:1:2", rk.FIELD_BYTE_OFFSET),
        ("s", "0:1", rk.FIELD_BYTE_SIZE),
        ("s", "0:2", rk.FIELD_EXISTS),
        ("s", "0", rk.TYPE_SIZE),
        ("s", "0", rk.TYPE_EXISTS),
        ("e", "0", rk.ENUMVAL_VALUE),
        ("t", "0:0", rk.FIELD_BYTE_OFFSET),  # a member of that name and another type comes first
    ],
)
def test_a_record_comes_to_the_same_against_the_subset(root: str, access: str, kind: int) -> None:
    """Value and bytes are equal, the subset is smaller, and what is unrelated is not in it."""
    kernel = _kernel()
    local, ids = _object()
    record = CoreRecord(0, ids[root], access, kind)
    subset = Subset(kernel)
    needed.keep([record], local, core.Target(kernel), subset)
    small = Btf.parse(subset.image())
    small.check()
    whole, cut = (core.compute(record, 0, local, core.Target(b), mov(0) + mov(0)) for b in (kernel, small))
    assert whole.target is not None
    assert (whole.outcome, whole.target, whole.insn) == (cut.outcome, cut.target, cut.insn)
    assert len(small.raw) < len(kernel.raw)
    assert small.find("unrelated", "struct") is None
    assert small.pointer_size == kernel.pointer_size
