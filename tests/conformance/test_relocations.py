"""The comparison with libbpf notices a difference, and finds none where there is none."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tests.conformance import corpus, left_out, libbpf, made, relocating, relocations
from tests.conformance.foreign import ENOUGH, Foreign
from tests.conformance.references import REFERENCES
from tests.conformance.relocations import Tally

from everykernel import core, kernels
from everykernel.architectures import DEFAULT
from everykernel.btf import Btf
from everykernel.btf.subset import Subset
from everykernel.compile import Job, compile_one
from everykernel.core import needed
from everykernel.errors import ObjectMalformed
from everykernel.kernels.debian import Archive
from everykernel.load.programs.link import link
from everykernel.object import read
from everykernel.object.spec import ObjectSpec

pytestmark = pytest.mark.conformance

QUIET = Console(quiet=True)


def _compare(folder: Path) -> list[Tally]:
    objects = [*corpus.sources(folder, corpus.SOURCES, corpus.WHOLES), *made.objects()]
    return relocating.run(objects, "6.1", folder, QUIET)


def test_our_relocator_and_libbpf_agree_on_every_kind_and_every_refusal(tmp_path: Path) -> None:
    """Patched, poisoned and failed records of our own sources come out as libbpf's on 6.1, with its modules too."""
    tallies = _compare(tmp_path)
    assert relocating.report(tallies, (), (), QUIET)
    assert [tally.title for tally in tallies if "kernels'" in tally.title] == [f"{r}, kernels' BTF" for r in REFERENCES]
    for tally in tallies:
        if "big-endian" not in tally.title:
            assert min(tally.outcomes[o] for o in (core.PATCHED, core.POISONED, core.FAILED)) > 0


def test_a_wrong_byte_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One relocated immediate that is off by one is reported with program and instruction."""

    def wrong(fixup: core.Fixup, code: bytearray, insn: int) -> None:
        core.fixup.apply(fixup, code, insn)
        code[insn * 8 + 4] ^= 1

    monkeypatch.setattr("everykernel.core.program.apply", wrong)
    tallies = _compare(tmp_path)
    found = [str(d) for d in tallies[0].differences]
    assert any(text.startswith("sources/fields.bpf.c: offsets on 6.1: ours instruction ") for text in found)
    assert any(d.program == "in_several" and " modules" in d.kernel for d in tallies[1].differences)
    assert not relocating.report(tallies, (), (), QUIET)


def test_a_rule_of_the_table_that_is_reversed_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the older reference's rule, the newer one differs, and the entry for the older one fits nothing any more."""
    monkeypatch.setattr("everykernel.core.patch.check", lambda insn, byteorder: None)
    told = io.StringIO()
    objects = made.objects()
    tallies = relocating.run(objects, "6.1", tmp_path, QUIET)
    assert not relocating.report(tallies, [o.name for o in objects], (), Console(file=told, soft_wrap=True))
    assert "DIFFERENCE made/unsuited: never on 6.1" in told.getvalue()
    assert "STALE ENTRY poisons-only-what-can-be-relocated: made/unsuited" in told.getvalue()


@pytest.fixture
def lone(tmp_path: Path) -> ObjectSpec:
    """An object with a program."""
    source = corpus.compiled(corpus.SOURCES / "refused_text.bpf.c", tmp_path)
    return read(source.data, source.name)


def _stopped(spec: ObjectSpec, words: str) -> list[libbpf.Verdict]:
    """Return what libbpf makes of programs that it gives up on with these words."""
    log = ("libbpf: loading object", f"libbpf: {words}")
    return [libbpf.Verdict(p.name, p.section, 2, b"", None, log) for p in spec.programs]


def test_what_is_left_out_for_a_reason_that_nobody_named_fails(lone: ObjectSpec) -> None:
    """A map that libbpf cannot create, as where /sys is not mounted, fails the session, whatever else was compared."""
    words = "map 'events': failed to create: -ENOENT"
    for verdicts in (_stopped(lone, words), words, "libbpf ended with -7: "):
        tally = Tally("x")
        relocations.compare(lone, verdicts, core.Target(None), tally, "6.1")
        assert len(tally.uncompared) == (1 if isinstance(verdicts, str) else len(lone.programs))
        assert not tally.left_out
        assert not relocating.report([tally], (), (), QUIET)


def test_what_is_left_out_for_a_named_reason_is_counted(lone: ObjectSpec) -> None:
    """A symbol that the kernel lacks, and maps that libbpf does not take, do not fail the session."""
    tally = Tally("x")
    missing = "extern (func ksym) 'scx_bpf_x': not found in kernel or module BTFs"
    relocations.compare(lone, _stopped(lone, missing), core.Target(None), tally, "6.1")
    legacy = "libbpf: elf: legacy map definitions in 'maps' section are not supported by libbpf v1.0+"
    relocations.compare(lone, legacy, core.Target(None), tally, "6.1")
    assert sorted(tally.left_out.values()) == [1, len(lone.programs)]
    assert relocating.report([tally], (), (), QUIET)


def test_an_object_whose_records_we_do_not_see_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the header of .BTF.ext promises CO-RE records and our reader finds none, the session fails."""
    source = corpus.compiled(corpus.SOURCES / "fields.bpf.c", tmp_path)

    def blind(data: bytes, name: str) -> ObjectSpec:
        spec = read(data, name)
        return replace(spec, functions={n: replace(f, core=()) for n, f in spec.functions.items()})

    monkeypatch.setattr(relocating, "read", blind)
    tally = Tally("x")
    assert relocating.parse([source], tmp_path, libbpf.Oracle(Archive(), tmp_path), tally) == []
    assert tally.uncompared == ["sources/fields.bpf.c: its .BTF.ext has CO-RE records, and we see none"]


def test_an_object_that_only_libbpf_reads_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What both find unsound is counted; what libbpf opens and we do not fails the session."""
    oracle, tally = libbpf.Oracle(Archive(), tmp_path), Tally("x")
    source = corpus.compiled(corpus.SOURCES / "fields.bpf.c", tmp_path)
    assert relocating.parse([Foreign("cut.o", source.data[:100])], tmp_path, oracle, tally) == []
    assert sum(tally.left_out.values()) == 1
    assert not tally.uncompared

    def strict(data: bytes, name: str) -> ObjectSpec:
        raise ObjectMalformed("is not to our taste", where=name)

    monkeypatch.setattr(relocating, "read", strict)
    assert relocating.parse([source], tmp_path, oracle, tally) == []
    assert tally.uncompared == ["sources/fields.bpf.c: libbpf opens it, and we do not: is not to our taste"]


def test_too_few_objects_or_outcomes_fail() -> None:
    """The default objects have to give all three outcomes in every tally, and sixty foreign objects on every kernel.

    Of the programs few may be left out, also for a named reason.
    """
    full = Counter({core.PATCHED: 1, core.POISONED: 1, core.FAILED: 1})
    specs = relocating.KERNELS.split(",")
    foreign = Counter(dict.fromkeys(specs, ENOUGH))
    enough = Tally("x", "1.8", full, kernels=specs, foreign=foreign)
    assert not list(relocating.shortfalls([enough, Tally("y", "1.8", full)]))
    assert list(relocating.shortfalls([enough, Tally("y", "1.8", Counter({core.PATCHED: 9}))]))
    short = list(relocating.shortfalls([replace(enough, foreign=foreign - Counter({"6.1": 1}))]))
    assert short == ["x: only 59 foreign objects were compared on 6.1, not 60"]
    assert not relocating.report([], (), short, QUIET)
    legacy = left_out.OBJECTS[0]
    for count in (legacy.most, legacy.most + 1):
        found = list(relocating.shortfalls([Tally("x", "1.8", full, left_out=Counter({legacy.name: count}))]))
        assert len(found) == (count > legacy.most)
    missing = Counter({left_out.PROGRAMS[0].name: 3})
    assert list(relocating.shortfalls([Tally("x", "1.8", full, 100, left_out=missing)])) == [
        "x: 3 programs were left out, and 100 compared"
    ]


def test_the_oracle_says_what_it_makes_of_an_arena(tmp_path: Path) -> None:
    """Variables in an arena lie in memory of the oracle's own, as the kernel's arena would be mapped."""
    arena = corpus.compiled(corpus.PROGRAMS / "arena.bpf.c", tmp_path)
    path, btf, symbols = tmp_path / "arena.o", tmp_path / "vmlinux.btf", tmp_path / "kallsyms"
    path.write_bytes(arena.data)
    btf.write_bytes(kernels.btf(kernels.resolve("6.12")[0].fetch()) or b"")
    symbols.touch()
    verdicts = libbpf.Oracle(Archive(), tmp_path).relocate(path, libbpf.Files(btf, symbols))
    assert [(v.program, v.errno) for v in verdicts if isinstance(v, libbpf.Verdict)] == [("counts", 0), ("beside", 0)]


def test_what_uses_a_map_that_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that take the place of a map's use are libbpf's, byte for byte."""
    path, btf, symbols = tmp_path / "maps.o", tmp_path / "vmlinux.btf", tmp_path / "kallsyms"
    compile_one(Job(Path(__file__).parent.parent / "vm" / "objects" / "contract.bpf.c", DEFAULT, path))
    btf.write_bytes(kernels.btf(kernels.resolve("6.12")[0].fetch()) or b"")
    symbols.touch()
    monkeypatch.setenv("ORACLE_LEFT_OUT", "wide")
    verdicts = libbpf.Oracle(Archive(), tmp_path).relocate(path, libbpf.Files(btf, symbols))
    theirs = next(v for v in verdicts if isinstance(v, libbpf.Verdict) and v.program == "stores")
    spec = read(path.read_bytes(), "maps.o")
    stores = spec.functions["stores"]
    fds = {name: -1 if name == "wide" else 3 for name in spec.maps}
    ours = link([stores], {"stores": stores.code}, fds, {}, "little")
    assert theirs.errno == 0
    assert bytes(ours.code) == theirs.code


def test_libbpf_relocates_against_a_minimised_btf_with_the_same_result(tmp_path: Path) -> None:
    """Every program comes out alike against 6.1's whole BTF and against what our sources need of it.

    The program `numbers` asks for a target type id, which is a number in the BTF that was given.
    """
    raw = kernels.btf(kernels.resolve("6.1")[0].fetch())
    assert raw is not None
    kernel = Btf.parse(raw)
    sources = corpus.sources(tmp_path, corpus.SOURCES)
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
        answers = (oracle.relocate(path, libbpf.Files(btf, symbols)) for btf in (whole, cut))
        for one, two in zip(*answers, strict=True):
            assert isinstance(one, libbpf.Verdict)
            assert isinstance(two, libbpf.Verdict)
            if one.program != "numbers":
                assert (one.program, one.errno, one.code) == (two.program, two.errno, two.code)
                compared += 1
    assert compared > 15
