"""The comparison of verdicts notices what differs, and our table of sections is libbpf's."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tests.conformance import corpus, differences, left_out, libbpf, loading, references, verdicts
from tests.conformance.differences import WHOLE, Difference, Entry
from tests.conformance.foreign import ENOUGH, Foreign
from tests.conformance.loading import Tally
from tests.conformance.verdicts import BY_KERNEL, BY_LOADER, BY_MAP, LOADED, Answer, Verdict, Whole

from everykernel.kernels.debian import Archive
from everykernel.object import sections

pytestmark = pytest.mark.conformance

OUTPUT = """object\t/tmp/0.o
log\tlibbpf: prog 'two': BPF program load failed: -EACCES
log\tlibbpf: prog 'two': failed to load: -EACCES
log\tlibbpf: failed to load object '/tmp/0.o'
whole\t13\tkernel
log\tlibbpf: prog 'two': BPF program load failed: -EINVAL
map\tevents\t22
program\tone\t?kprobe/x\t0\tloaded
program\ttwo\txdp\t13\tkernel
crashed\t11
object\t/tmp/1.o
log\tlibbpf: elf: legacy map definitions in 'maps' section are not supported by libbpf v1.0+
whole\t95\topen
log\tlibbpf: elf: legacy map definitions in 'maps' section are not supported by libbpf v1.0+
open\t95
"""


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> libbpf.Loader:
    """The reference whose sections ours are, built once."""
    return libbpf.Loader(Archive(), tmp_path_factory.mktemp("loader"))


def _ours(name: str) -> tuple[int, int] | None:
    rule, _ = sections.match(name)
    if rule is None:
        return None
    attach = sections.ATTACH_TYPE[rule.attach_type] if rule.attach_type else 0
    return sections.PROGRAM_TYPE[rule.type], attach


def test_every_section_that_libbpf_knows_has_its_type_and_attach_type(loader: libbpf.Loader) -> None:
    """Each name of libbpf's table, alone, with a target, with a path and misspelt, means to us what it means there."""
    table = loader.section_names()
    assert len(table) > 100
    names = [form for name in table for form in _forms(name.rstrip("+"))]
    assert {name: _ours(name) for name in names} == loader.sections(names)


def _forms(stem: str) -> list[str]:
    return [stem, f"{stem}/target", f"{stem}/", f"{stem}/a/b", f"{stem}x", f"{stem}.s", f"{stem}.s/target", stem[:-1]]


def test_our_table_has_no_section_of_its_own(loader: libbpf.Loader) -> None:
    """Every row of our table is one of libbpf's, written alike, and none is there twice."""
    assert sorted(rule.pattern for rule in sections.RULES) == sorted(loader.section_names())


def test_the_reference_says_what_it_made_of_each_object() -> None:
    """Verdicts, the object that libbpf does not open, and a crash are told apart."""
    found = verdicts.parse(OUTPUT)
    assert found["/tmp/0.o"].programs == {
        ("one", "kprobe/x"): Verdict(LOADED),
        ("two", "xdp"): Verdict(BY_KERNEL, "EACCES"),
    }
    assert found["/tmp/0.o"].unopened == "libbpf crashed with signal 11"
    assert found["/tmp/1.o"].unopened.startswith("elf: legacy map definitions")


def test_the_reference_says_what_it_made_of_the_whole() -> None:
    """The errno of a whole object, and the program or map at which libbpf gave up."""
    one, two = (found.whole for found in verdicts.parse(OUTPUT).values())
    assert one is not None
    assert two is not None
    assert (one.errno, one.culprit) == ("EACCES", "two")
    assert (two.errno, two.culprit) == ("EOPNOTSUPP", "")
    assert two.words.startswith("elf: legacy map definitions")


@pytest.mark.parametrize(
    ("ours", "theirs", "agree"),
    [
        (Verdict(LOADED), Verdict(LOADED), True),
        (Verdict(LOADED), Verdict(BY_KERNEL, "EINVAL"), False),
        (Verdict(BY_LOADER), Verdict(LOADED), False),
        (Verdict(BY_KERNEL, "EINVAL"), Verdict(BY_KERNEL, "EINVAL"), True),
        (Verdict(BY_KERNEL, "EINVAL"), Verdict(BY_KERNEL, "EACCES"), False),
        (Verdict(BY_MAP, "EINVAL"), Verdict(BY_KERNEL, "EACCES"), False),
        (Verdict(BY_LOADER), Verdict(BY_KERNEL, "EACCES"), True),
        (Verdict(BY_LOADER), Verdict(BY_LOADER), True),
    ],
)
def test_verdicts_agree_only_with_the_same_errno_of_the_kernel(ours: Verdict, theirs: Verdict, *, agree: bool) -> None:
    """Loaded is not refused, and two refusals by the kernel agree only if its errno is the same."""
    assert bool(verdicts.agreement(ours, theirs)) is agree


@pytest.mark.parametrize(
    ("ours", "theirs", "agree"),
    [
        (Whole(), Whole(), True),
        (Whole(), Whole("EINVAL", "one"), False),
        (Whole("EINVAL", "one"), Whole(), False),
        (Whole("EINVAL", "one"), Whole("EINVAL", "one"), True),
        (Whole("EINVAL", "one"), Whole("EINVAL", "two"), False),
        (Whole("EINVAL", "one"), Whole("EACCES", "one"), False),
        (Whole("EINVAL", "one"), Whole("EINVAL"), True),
        (Whole("EINVAL"), Whole("EINVAL", "one"), False),
        (Whole("E2BIG", ".bss"), Whole("E2BIG", "tool.bss"), True),
        (Whole("E2BIG", "bss"), Whole("E2BIG", "tool.bss"), False),
    ],
)
def test_wholes_agree_only_with_the_same_errno_at_the_same_place(ours: Whole, theirs: Whole, *, agree: bool) -> None:
    """Both load the whole, or both give up with one errno, at the program or map that libbpf names."""
    assert bool(verdicts.whole_agreement(ours, theirs)) is agree


def test_a_difference_has_to_stand_in_the_table_with_both_errnos() -> None:
    """An entry explains exactly the pair that it names; one that explains nothing any more is stale."""
    difference = Difference("1.8", "tools 1.2 bin/x", "one", "6.1", Verdict(LOADED), Verdict(BY_KERNEL, "EINVAL"))
    entry = Entry(
        "rule", ("1.8", "1.7"), "tools * bin/x", "one", ("6.1",), "loaded", "kernel EINVAL", "f | g", "because"
    )
    assert differences.unexplained([difference], [entry]) == []
    other = Difference("1.8", "tools 1.2 bin/x", "one", "6.1", Verdict(LOADED), Verdict(BY_KERNEL, "EACCES"))
    assert differences.unexplained([other], [entry]) == [other]
    here = [("1.8", "6.1")]
    assert not list(differences.stale([difference], [entry], ["tools 1.2 bin/x"], here))
    assert list(differences.stale([other], [entry], ["tools 1.2 bin/x"], here))
    assert list(differences.stale([difference], [entry], ["tools 1.2 bin/x"], [*here, ("1.7", "6.1")]))
    assert not list(differences.stale([other], [entry], ["tools 1.2 bin/x"], [("1.8", "5.10")]))
    assert not list(differences.stale([other], [entry], ["tools 1.2 bin/y"], here))


def test_an_entry_of_the_table_is_for_the_references_that_it_names() -> None:
    """What only the older reference does otherwise is not excused where the newer one does it."""
    entry = Entry("rule", ("1.7",), "x", WHOLE, ("6.1",), "loaded", "EINVAL", "f | g", "because")
    difference = Difference("1.7", "x", WHOLE, "6.1", Whole(), Whole("EINVAL", "one"))
    assert entry.fits(difference)
    assert not entry.fits(Difference("1.8", "x", WHOLE, "6.1", Whole(), Whole("EINVAL", "one")))
    assert not entry.fits(Difference("1.7", "x", "one", "6.1", Verdict(LOADED), Verdict(BY_KERNEL, "EINVAL")))


def test_more_than_one_in_a_hundred_in_the_table_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table may excuse one in a hundred of all pairs on a kernel with a reference, and not one more."""
    entry = Entry("rule", ("1.8",), "x", "p*", ("6.1",), "loaded", "kernel EINVAL", "f | g", "because")
    monkeypatch.setattr(loading, "table", lambda *_: [entry])
    tally = replace(_sound(), pairs=Counter({verdicts.BOTH_LOADED: 72, verdicts.SAME_ERRNO: 9}))
    for name, short in (("p1", []), ("p2", ["libbpf 1.8 on 6.1: more than 1% of all pairs differ"])):
        tally.differences.append(Difference("1.8", "x", name, "6.1", Verdict(LOADED), Verdict(BY_KERNEL, "EINVAL")))
        assert list(loading.shortfalls([tally])) == short
        assert loading.report([tally], [Foreign("x", b"")], (), Console(quiet=True))


def _compared(ours: Answer, theirs: Answer, obj: Foreign | None = None) -> Tally:
    tally = Tally("1.8", "6.1")
    loading.compare(obj or Foreign("x.o", b""), ours, theirs, tally)
    return tally


def test_a_program_that_one_side_does_not_have_is_a_difference() -> None:
    """A program that libbpf loads and that we do not even see is reported."""
    tally = _compared(Answer({}, whole=Whole()), Answer({("one", "xdp"): Verdict(LOADED)}, whole=Whole()))
    assert [d.program for d in tally.differences] == ["one"]


def test_a_whole_that_differs_is_a_difference() -> None:
    """An object whose programs all agree, and that only one loader takes as a whole, is reported."""
    programs = {("one", "xdp"): Verdict(LOADED)}
    tally = _compared(Answer(programs, whole=Whole()), Answer(programs, whole=Whole("EINVAL", "one")))
    assert [d.program for d in tally.differences] == [WHOLE]
    assert (tally.programs, tally.objects) == (1, 1)


def test_a_whole_of_which_one_side_says_nothing_is_not_left_out() -> None:
    """libbpf that says nothing of the whole, or an object that only it opens, fails the session."""
    programs = {("one", "xdp"): Verdict(LOADED)}
    assert _compared(Answer(programs, whole=Whole()), Answer(programs)).uncompared
    assert _compared(Answer({}, "is too new"), Answer(programs, whole=Whole())).uncompared
    unsound = Whole("LIBBPF_ERRNO__FORMAT", "", "elf: x is not a valid eBPF object file")
    tally = _compared(Answer({}, "is no ELF file"), Answer({}, unsound.words, unsound))
    assert not tally.uncompared
    assert tally.objects == 1


def test_an_extern_of_another_program_is_left_out_only_where_ours_refuses_its_users(tmp_path: Path) -> None:
    """libbpf refuses all programs for an extern that one needs: compared is whether ours refuses those that use it."""
    obj = corpus.compiled(corpus.PROGRAMS / "externs.bpf.c", tmp_path)
    words = "extern (func ksym) 'bpf_rcu_read_lock': not found in kernel or module BTFs"
    user, other = ("functions_unasked", "tp_btf/task_newtask"), ("functions", "tp_btf/task_newtask")
    theirs = Answer(dict.fromkeys((user, other), Verdict(BY_LOADER, "", words)), whole=Whole("EINVAL"))
    refused, loaded = Verdict(BY_LOADER, "", "kfunc-missing"), Verdict(LOADED)
    tally = _compared(Answer({user: refused, other: loaded}, whole=Whole("EINVAL")), theirs, obj)
    assert (tally.differences, sum(tally.left_out.values()), tally.programs) == ([], 1, 1)
    tally = _compared(Answer({user: loaded, other: loaded}, whole=Whole("EINVAL")), theirs, obj)
    assert [d.program for d in tally.differences] == ["functions_unasked", "functions"]


def test_an_object_that_neither_opens_for_a_reason_that_nobody_named_fails() -> None:
    """A guest in which libbpf says nothing of an object fails the session; one that both find unsound does not."""
    words = "elf: failed to open /tmp/0.o as ELF"
    tally = _compared(Answer({}, "is no ELF file"), Answer({}, words, Whole("LIBBPF_ERRNO__LIBELF", "", words)))
    assert sum(tally.left_out.values()) == 1
    assert loading.report([tally], [], (), Console(quiet=True))
    tally = _compared(Answer({}, "is no ELF file"), Answer({}, "no answer: b''"))
    assert tally.uncompared[1] == "x.o on 6.1: no answer: b''; ours: is no ELF file"
    assert not loading.report([tally], [], (), Console(quiet=True))


def _sound() -> Tally:
    """Return what a comparison of enough finds."""
    pairs = Counter({verdicts.BOTH_LOADED: 9, verdicts.SAME_ERRNO: 9})
    wholes = Counter({verdicts.WHOLE_LOADED: 9, verdicts.WHOLE_REFUSED: 9})
    return Tally("1.8", "6.1", pairs=pairs, wholes=wholes, foreign=ENOUGH)


def test_too_few_objects_or_verdicts_fail() -> None:
    """The default objects have to be loaded and refused, singly and whole, and sixty foreign ones on every kernel."""
    assert not list(loading.shortfalls([_sound()]))
    for lacking in (
        replace(_sound(), pairs=Counter({verdicts.BOTH_LOADED: 9})),
        replace(_sound(), wholes=Counter({verdicts.WHOLE_LOADED: 9})),
        replace(_sound(), wholes=Counter({verdicts.WHOLE_REFUSED: 9})),
    ):
        assert list(loading.shortfalls([_sound(), lacking]))
    short = list(loading.shortfalls([replace(_sound(), foreign=59)]))
    assert short == ["libbpf 1.8 on 6.1: only 59 foreign objects were loaded, not 60"]
    assert not loading.report([Tally()], [], short, Console(quiet=True))


def test_a_jump_in_what_is_left_out_fails() -> None:
    """One object more than was looked at may not be left out, whatever the reason is called."""
    reason = f"object: {left_out.OBJECTS[0].name}"
    most = left_out.most(reason)
    assert most
    assert not list(loading.shortfalls([replace(_sound(), left_out=Counter({reason: most}))]))
    assert list(loading.shortfalls([replace(_sound(), left_out=Counter({reason: most + 1}))]))
    assert list(loading.shortfalls([replace(_sound(), left_out=Counter({"object: nobody named it": 1}))]))


def test_the_table_can_be_read() -> None:
    """Each checked-in difference names its rule, the references, the functions that decide and why."""
    entries = differences.table()
    assert all(entry.rule and entry.references and entry.decides and entry.why and entry.kernels for entry in entries)
    versions = {reference.version for reference in references.REFERENCES}
    assert {version for entry in entries for version in entry.references} <= versions


def _run(folder: Path, place: Path, kernel: str) -> list[Tally]:
    """Compare the sources of a place on one kernel, with the differences of the table and no others."""
    objects = corpus.sources(folder, place)
    told = io.StringIO()
    tallies = loading.run(objects, kernel, folder, Console(quiet=True))
    assert loading.report(tallies, objects, (), Console(file=told, soft_wrap=True)), told.getvalue()
    assert [tally.reference for tally in tallies] == ["1.8", "1.7"]
    return tallies


def test_our_programs_maps_and_externs_get_libbpf_s_verdicts(tmp_path: Path) -> None:
    """On 6.1, every program of the sources in programs/ comes out as libbpf's, loaded or with the same errno."""
    for tally in _run(tmp_path, corpus.PROGRAMS, "6.1"):
        assert tally.pairs[verdicts.BOTH_LOADED] > 100
        assert tally.pairs[verdicts.SAME_ERRNO] > 20


def test_whole_objects_get_libbpf_s_verdicts(tmp_path: Path) -> None:
    """On 6.12, each source in wholes/ is taken or refused as by libbpf, with the same errno at the same place."""
    for tally in _run(tmp_path, corpus.WHOLES, "6.12"):
        assert tally.wholes[verdicts.WHOLE_LOADED] > 3
        assert tally.wholes[verdicts.WHOLE_REFUSED] > 15
