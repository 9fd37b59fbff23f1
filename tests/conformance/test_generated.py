"""Random objects against random kernels: our outcome and bytes are libbpf's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.conformance import emulated, generated, libbpf

from everykernel import core
from everykernel.architectures import ARCHITECTURES
from everykernel.kernels.debian import Archive

pytestmark = pytest.mark.conformance

SEEDS = 150
BIG_SEEDS = 30  # emulated


def relocated(sample: generated.Sample, program: generated.Program) -> tuple[bytes | None, Counter[str]]:
    """Return the program's code as we relocate it (None: refused), and the outcomes of its records."""
    target = generated.target_of(sample.target, sample.modules)
    session = core.Session(sample.local, target)
    code = bytearray(program.code)
    outcomes: Counter[str] = Counter()
    for index, record in enumerate(program.records):
        insn = bytes(code[record.insn_off : record.insn_off + 16])
        fixup = core.compute(record, index, sample.local, target, insn, session)
        outcomes[fixup.outcome] += 1
        if fixup.outcome == core.FAILED:
            return None, outcomes
        core.apply(fixup, code, record.insn_off // 8)
    return bytes(code), outcomes


def compare(oracle: libbpf.Oracle, folder: Path, seed: int, *, big: bool) -> tuple[list[str], Counter[str]]:
    """Return how we differ from libbpf on the sample of a seed, and the outcomes."""
    sample = generated.sample(seed, big=big)
    obj, btf, symbols = folder / "sample.o", folder / "sample.btf", folder / "kallsyms"
    obj.write_bytes(sample.object)
    btf.write_bytes(sample.target)
    symbols.touch()
    modules = [folder / f"m{number}" for number in range(len(sample.modules))]
    for path, image in zip(modules, sample.modules, strict=True):
        path.write_bytes(image)
    verdicts = oracle.relocate(obj, libbpf.Files(btf, symbols, modules=tuple(modules)))
    if isinstance(verdicts, str):
        return [f"seed {seed}: libbpf does not open the object: {verdicts}"], Counter()
    differences = []
    total: Counter[str] = Counter()
    for number, (program, verdict) in enumerate(zip(sample.programs, verdicts, strict=True)):
        code, outcomes = relocated(sample, program)
        total += outcomes
        theirs = None if verdict.errno and verdict.failed else verdict.code
        if code != theirs:
            differences.append(f"seed {seed}: p{number}: we {code and code.hex()}, libbpf {theirs and theirs.hex()}")
    return differences, total


def _all_alike(oracle: libbpf.Oracle, folder: Path, seeds: int, *, big: bool) -> Counter[str]:
    """Compare the samples of many seeds; return the outcomes."""
    total: Counter[str] = Counter()
    for seed in range(seeds):
        differences, outcomes = compare(oracle, folder, seed, big=big)
        assert not differences
        total += outcomes
    return total


def test_random_objects_come_out_as_libbpfs(tmp_path: Path) -> None:
    """Thousands of records of every kind, over types that agree, differ and contradict, give libbpf's bytes."""
    total = _all_alike(libbpf.Oracle(Archive(), tmp_path), tmp_path, SEEDS, big=False)
    assert min(total[outcome] for outcome in (core.PATCHED, core.POISONED, core.FAILED)) > 500


def test_random_big_endian_objects_come_out_as_libbpfs(tmp_path: Path) -> None:
    """The same where bytes, bit-fields and registers are the other way round: libbpf runs as a program for s390x."""
    machine = emulated.machine(Archive(), ARCHITECTURES["s390x"], tmp_path)
    oracle = libbpf.Oracle(Archive(), tmp_path, machine=machine)
    total = _all_alike(oracle, tmp_path, BIG_SEEDS, big=True)
    assert min(total[outcome] for outcome in (core.PATCHED, core.POISONED, core.FAILED)) > 100
