"""The comparison with libbpf notices a difference, and finds none where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from tests.conformance import __main__ as conformance
from tests.conformance import libbpf, relocations

from everykernel import core, kernels
from everykernel.btf import Btf
from everykernel.btf.subset import Subset
from everykernel.core import needed
from everykernel.kernels.debian import Archive
from everykernel.object import read

pytestmark = pytest.mark.conformance


def _compare(folder: Path) -> relocations.Tally:
    sources = [o for o in conformance.own_objects(folder) if o.name.startswith("sources/")]
    return conformance.run(sources, "6.1", folder, Console(quiet=True))


def test_our_relocator_and_libbpf_agree_on_every_kind_and_every_refusal(tmp_path: Path) -> None:
    """Patched, poisoned and failed records of our own sources come out as libbpf's on 6.1."""
    tally = _compare(tmp_path)
    assert not tally.differences
    assert min(tally.outcomes[o] for o in (core.PATCHED, core.POISONED, core.FAILED)) > 0


def test_a_wrong_byte_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One relocated immediate that is off by one is reported with program and instruction."""

    def wrong(fixup: core.Fixup, code: bytearray, insn: int) -> None:
        core.fixup.apply(fixup, code, insn)
        code[insn * 8 + 4] ^= 1

    monkeypatch.setattr("everykernel.core.program.apply", wrong)
    tally = _compare(tmp_path)
    assert any("fields.bpf.c on 6.1: offsets: instruction " in d for d in tally.differences)


def test_libbpf_relocates_against_a_minimised_btf_with_the_same_result(tmp_path: Path) -> None:
    """Every program comes out alike against 6.1's whole BTF and against what our sources need of it.

    The program `numbers` asks for a target type id, which is a number in the BTF that was given.
    """
    raw = kernels.btf(kernels.resolve("6.1")[0].fetch())
    assert raw is not None
    kernel = Btf.parse(raw)
    sources = [o for o in conformance.own_objects(tmp_path) if o.name.startswith("sources/")]
    subset = Subset(kernel)
    for source in sources:
        spec = read(source.data, source.name)
        assert spec.btf is not None
        records = [record for function in spec.functions.values() for _, record in function.core]
        needed.keep(records, spec.btf, core.Target(kernel), subset)
    whole, cut, symbols = tmp_path / "whole.btf", tmp_path / "cut.btf", tmp_path / "kallsyms"
    whole.write_bytes(raw)
    cut.write_bytes(subset.image())
    symbols.touch()
    assert cut.stat().st_size * 100 < whole.stat().st_size
    oracle = libbpf.Oracle(Archive(), tmp_path)
    compared = 0
    for source in sources:
        path = tmp_path / "source.o"
        path.write_bytes(source.data)
        for one, two in zip(oracle.relocate(path, whole, symbols), oracle.relocate(path, cut, symbols), strict=True):
            assert isinstance(one, libbpf.Verdict)
            assert isinstance(two, libbpf.Verdict)
            if one.program != "numbers":
                assert (one.program, one.errno, one.code) == (two.program, two.errno, two.code)
                compared += 1
    assert compared > 15
