"""The comparison with libbpf notices a difference, and finds none where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from tests.conformance import __main__ as conformance
from tests.conformance import relocations

from everykernel import core

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

    monkeypatch.setattr(core, "apply", wrong)
    tally = _compare(tmp_path)
    assert any("fields.bpf.c on 6.1: offsets: instruction " in d for d in tally.differences)
