"""The comparison with real loaders notices what differs, and excuses only what the library's own words excuse."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.conformance import differences, left_out, loaders, verdicts
from tests.conformance.differences import WHOLE, Difference
from tests.conformance.foreign import Foreign
from tests.conformance.loading import Tally
from tests.conformance.verdicts import BY_KERNEL, BY_LOADER, BY_MAP, LOADED, Answer, Verdict, Whole

from everykernel.loaders import contract
from everykernel.loaders.contract import ProgramEvent, WholeEvent
from everykernel.loaders.names import REAL

pytestmark = pytest.mark.conformance


def _program(name: str, status: str, by: str = "", errno: str | None = None) -> ProgramEvent:
    return {
        "event": "program", "name": name, "section": "?xdp", "type": "xdp", "status": status, "errno": errno,
        "message": "it says", "by": by, "log": "", "verified_insns": None,
    }  # fmt: skip


def test_an_adapter_s_answer_becomes_verdicts() -> None:
    """Who decided, with the kernel's errno where it was asked; why it was not opened; the whole."""
    whole: WholeEvent = {"event": "whole", "status": "failed", "errno": None, "message": "no"}
    said = contract.Answer(
        opened={"event": "object", "status": "passed", "errno": None, "message": ""},
        programs=[
            _program("a", "passed"),
            _program("b", "failed", "kernel", "EACCES"),
            _program("c", "failed", "map", "EINVAL"),
            _program("d", "failed", "loader", "ENOENT"),
        ],
        whole=whole,
    )
    answer = loaders.their_answer(said)
    assert list(answer.programs.values()) == [
        Verdict(LOADED),
        Verdict(BY_KERNEL, "EACCES", "it says"),
        Verdict(BY_MAP, "EINVAL", "it says"),
        Verdict(BY_LOADER, "", "it says"),
    ]
    assert ("a", "xdp") in answer.programs
    assert (answer.unopened, answer.whole) == ("", Whole("refused", "", "no"))
    unopened = contract.Answer(opened={"event": "object", "status": "failed", "errno": "EINVAL", "message": ""})
    assert loaders.their_answer(unopened).unopened == "EINVAL"


def _compared(ours: Answer, theirs: Answer, loader: str = "aya") -> Tally:
    tally = Tally(loader, "6.1")
    loaders.compare(Foreign("x.o", b""), ours, theirs, tally, loader)
    return tally


PROGRAM = ("p", "xdp")
ALL = Answer({PROGRAM: Verdict(LOADED)}, whole=Whole())


def test_what_both_say_agrees_and_is_counted() -> None:
    """A program and the whole: two pairs."""
    tally = _compared(ALL, ALL)
    assert (tally.programs, tally.objects, tally.foreign, tally.differences) == (1, 1, 1, [])
    assert tally.title == "aya on 6.1"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Verdict(LOADED), Verdict(BY_LOADER, "", "never")),
        (Verdict(BY_KERNEL, "EINVAL"), Verdict(LOADED)),
        (Verdict(BY_KERNEL, "EINVAL"), Verdict(BY_KERNEL, "EACCES")),
    ],
)
def test_a_program_on_which_they_differ_is_a_difference(ours: Verdict, theirs: Verdict) -> None:
    """Loaded against refused, and two errnos of the kernel."""
    tally = _compared(Answer({PROGRAM: ours}, whole=Whole()), Answer({PROGRAM: theirs}, whole=Whole()))
    assert [difference.program for difference in tally.differences] == ["p"]


def test_an_object_that_only_one_opens_differs_in_what_the_other_loads() -> None:
    """And as a whole; that both do not open agrees."""
    tally = _compared(ALL, Answer({}, "invalid program section `x`", Whole("refused")))
    assert {difference.program for difference in tally.differences} == {"p", WHOLE}
    both = _compared(Answer({}, "unreadable", Whole("EINVAL")), Answer({}, "invalid program section", Whole("refused")))
    assert (both.differences, both.programs, both.objects) == ([], 1, 1)


def test_wholes_are_compared_by_the_errnos_of_the_kernel_that_both_have() -> None:
    """A library often gives none: then it is enough that both refuse."""
    for ours, theirs, same in (
        ("EINVAL", "EINVAL", True),
        ("EINVAL", "refused", True),
        ("LIBBPF_ERRNO__FORMAT", "EINVAL", True),
        ("EINVAL", "EACCES", False),
        ("", "EACCES", False),
    ):
        programs = {PROGRAM: Verdict(LOADED)}
        tally = _compared(Answer(programs, whole=Whole(ours)), Answer(programs, whole=Whole(theirs)))
        assert bool(tally.wholes) is same
        assert bool(tally.differences) is not same


def test_only_the_librarys_own_words_excuse_a_program() -> None:
    """libbpf of a legacy map; the same refusal by aya, or other words, are differences."""
    for loader, words, excused in (
        ("libbpf", "elf: legacy map definitions in 'maps' section are not supported", True),
        ("aya", "elf: legacy map definitions in 'maps' section are not supported", False),
        ("libbpf", "something else", False),
    ):
        tally = _compared(ALL, Answer({PROGRAM: Verdict(BY_LOADER, "", words)}, whole=Whole()), loader)
        assert bool(tally.left_out) is excused
        assert bool(tally.differences) is not excused


def test_too_much_left_out_and_too_little_compared_fail() -> None:
    """One more than was looked at; nothing loaded, or nothing refused, proves nothing."""
    pairs = Counter({verdicts.BOTH_LOADED: 9, verdicts.SAME_ERRNO: 9})
    reason = loaders.LEFT_OUT["libbpf"][0]
    sound = Tally("libbpf", "6.1", pairs=pairs, foreign=60, left_out=Counter({f"program: {reason.name}": reason.most}))
    assert not list(loaders.shortfalls([sound]))
    sound.left_out[f"program: {reason.name}"] += 1
    assert list(loaders.shortfalls([sound]))
    assert list(loaders.shortfalls([Tally("aya", "6.1", pairs=Counter({verdicts.BOTH_LOADED: 9}), foreign=60)]))
    assert list(loaders.shortfalls([Tally("aya", "6.1", pairs=pairs, foreign=59)]))


def test_the_table_names_rules_of_real_loaders() -> None:
    """Each entry has a rule, a loader, who decides and why; a reference is told by its name."""
    for entry in differences.table(loaders.TABLE):
        assert entry.rule
        assert entry.decides
        assert entry.why
        assert set(entry.references) <= set(REAL)
    told = str(Difference("aya", "x.o", "p", "6.1", Verdict(LOADED), Verdict(BY_LOADER)))
    assert told == "x.o: p on 6.1: ours loaded, aya's loader"
    assert set(loaders.LEFT_OUT) == set(REAL)
    assert isinstance(reason := loaders.LEFT_OUT["libbpf"][0], left_out.Reason)
    assert reason.most
