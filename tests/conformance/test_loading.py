"""The comparison of verdicts notices what differs, and our table of sections is libbpf's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console
from tests.conformance import __main__ as conformance
from tests.conformance import libbpf, loading
from tests.conformance.foreign import ENOUGH, Foreign
from tests.conformance.loading import BY_KERNEL, BY_LOADER, BY_MAP, LOADED, Answer, Difference, Entry, Tally, Verdict

from everykernel.kernels.debian import Archive
from everykernel.object import sections

pytestmark = pytest.mark.conformance

OUTPUT = """object\t/tmp/0.o
log\tlibbpf: prog 'two': BPF program load failed: -EINVAL
map\tevents\t22
program\tone\t?kprobe/x\t0\tloaded
program\ttwo\txdp\t13\tkernel
crashed\t11
object\t/tmp/1.o
log\tlibbpf: elf: legacy map definitions in 'maps' section are not supported by libbpf v1.0+
open\t95
"""


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> libbpf.Loader:
    """The reference, built once."""
    return libbpf.Loader(Archive(), tmp_path_factory.mktemp("loader"))


# Patterns of libbpf 1.8 that 1.7 does not have.
NEWER = {
    *("tp.s+", "tracepoint.s+", "raw_tp.s+", "raw_tracepoint.s+", "tp_btf.s+", "fentry.multi+", "fentry.multi.s+"),
    *("fexit.multi+", "fexit.multi.s+", "fsession.multi+", "fsession.multi.s+"),
}


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
    names = [name for name in names if (rule := sections.match(name)[0]) is None or rule.pattern not in NEWER]
    assert {name: _ours(name) for name in names} == loader.sections(names)


def _forms(stem: str) -> list[str]:
    return [stem, f"{stem}/target", f"{stem}/", f"{stem}/a/b", f"{stem}x", f"{stem}.s", f"{stem}.s/target", stem[:-1]]


def test_our_table_has_no_section_of_its_own(loader: libbpf.Loader) -> None:
    """Every row of our table is one of libbpf's, written alike, and none is there twice."""
    assert sorted(rule.pattern for rule in sections.RULES) == sorted([*loader.section_names(), *NEWER])


def test_the_reference_says_what_it_made_of_each_object() -> None:
    """Verdicts, the object that libbpf does not open, and a crash are told apart."""
    found = loading.parse(OUTPUT)
    assert found["/tmp/0.o"].programs == {
        ("one", "kprobe/x"): Verdict(LOADED),
        ("two", "xdp"): Verdict(BY_KERNEL, "EACCES"),
    }
    assert found["/tmp/0.o"].unopened == "libbpf crashed with signal 11"
    assert found["/tmp/1.o"].unopened.startswith("elf: legacy map definitions")


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
    assert bool(loading.agreement(ours, theirs)) is agree


def test_a_difference_has_to_stand_in_the_table_with_both_errnos() -> None:
    """An entry explains exactly the pair that it names; one that explains nothing any more is stale."""
    difference = Difference("tools 1.2 bin/x", "one", "6.1", Verdict(LOADED), Verdict(BY_KERNEL, "EINVAL"))
    entry = Entry("tools * bin/x", "one", ("6.1",), "loaded", "kernel EINVAL", "f | g", "because")
    assert loading.unexplained([difference], [entry]) == []
    other = Difference("tools 1.2 bin/x", "one", "6.1", Verdict(LOADED), Verdict(BY_KERNEL, "EACCES"))
    assert loading.unexplained([other], [entry]) == [other]
    assert not list(loading.stale([difference], [entry], ["tools 1.2 bin/x"], ["6.1"]))
    assert list(loading.stale([other], [entry], ["tools 1.2 bin/x"], ["6.1"]))
    assert not list(loading.stale([other], [entry], ["tools 1.2 bin/x"], ["5.10"]))
    assert not list(loading.stale([other], [entry], ["tools 1.2 bin/y"], ["6.1"]))


def test_a_program_that_one_side_does_not_have_is_a_difference() -> None:
    """A program that libbpf loads and that we do not even see is reported."""
    tally = Tally()
    obj = Foreign("x.o", b"")
    loading.compare(obj, "6.1", Answer({}), Answer({("one", "xdp"): Verdict(LOADED)}), tally)
    assert [d.program for d in tally.differences] == ["one"]


def test_an_extern_of_another_program_is_left_out_only_where_ours_refuses_its_users(tmp_path: Path) -> None:
    """libbpf refuses all programs for an extern that one needs: compared is whether ours refuses those that use it."""
    obj = conformance.compiled(conformance.PROGRAMS / "externs.bpf.c", tmp_path, "bpf")
    words = "extern (func ksym) 'bpf_rcu_read_lock': not found in kernel or module BTFs"
    user, other = ("functions_unasked", "tp_btf/task_newtask"), ("functions", "tp_btf/task_newtask")
    theirs = Answer(dict.fromkeys((user, other), Verdict(BY_LOADER, "", words)))
    refused, loaded, tally = Verdict(BY_LOADER, "", "kfunc-missing"), Verdict(LOADED), Tally()
    loading.compare(obj, "6.12", Answer({user: refused, other: loaded}), theirs, tally)
    assert (tally.differences, sum(tally.left_out.values()), tally.compared) == ([], 1, 1)
    loading.compare(obj, "6.12", Answer({user: loaded, other: loaded}), theirs, tally)
    assert [d.program for d in tally.differences] == ["functions_unasked", "functions"]


def test_an_object_that_neither_opens_for_a_reason_that_nobody_named_fails() -> None:
    """A guest in which libbpf says nothing of an object fails the session; one that both find unsound does not."""
    tally = Tally()
    obj = Foreign("x.o", b"")
    loading.compare(obj, "6.1", Answer({}, "is no ELF file"), Answer({}, "elf: failed to open /tmp/0.o as ELF"), tally)
    assert sum(tally.left_out.values()) == 1
    assert loading.report(tally, [], "6.1", (), Console(quiet=True))
    loading.compare(obj, "6.1", Answer({}, "is no ELF file"), Answer({}, "no answer: b''"), tally)
    assert tally.uncompared == ["x.o on 6.1: no answer: b''; ours: is no ELF file"]
    assert not loading.report(tally, [], "6.1", (), Console(quiet=True))


def test_too_few_objects_or_verdicts_fail() -> None:
    """The default objects have to be loaded and refused, and sixty foreign ones be loaded on every kernel."""
    pairs = Counter({loading.BOTH_LOADED: 9, loading.SAME_ERRNO: 9})
    foreign = Counter(dict.fromkeys(loading.KERNELS.split(","), ENOUGH))
    assert not list(loading.shortfalls(Tally(pairs=pairs, foreign=foreign)))
    assert list(loading.shortfalls(Tally(pairs=Counter({loading.BOTH_LOADED: 9}), foreign=foreign)))
    short = list(loading.shortfalls(Tally(pairs=pairs, foreign=foreign - Counter({"6.1": 1}))))
    assert short == ["only 59 foreign objects were loaded on 6.1, not 60"]
    assert not loading.report(Tally(), [], "6.1", short, Console(quiet=True))


def test_the_table_can_be_read() -> None:
    """Each checked-in difference names the functions that decide and why."""
    assert all(entry.decides and entry.why and entry.kernels for entry in loading.table())
    assert Path(loading.TABLE).name == "differences.toml"


def test_our_programs_maps_and_externs_get_libbpf_s_verdicts(tmp_path: Path) -> None:
    """On 6.1, every program of the sources in programs/ comes out as libbpf's, loaded or with the same errno."""
    objects = [o for o in conformance.own_objects(tmp_path) if o.name.startswith("programs/")]
    console = Console(quiet=True)
    tally = loading.run(objects, "6.1", tmp_path, console)
    assert loading.unexplained(tally.differences, loading.table()) == []
    assert tally.broken == []
    assert tally.pairs["loaded by both"] > 100
    assert tally.pairs["refused by the kernel with the same errno"] > 20
