"""A baseline is brought up to date with the least that changes in it, and is true of the run then."""

from __future__ import annotations

import datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gates.made import LINE, REFUSED, RELEASES, cell, run, seen

from everykernel.gates.baseline import Baseline
from everykernel.gates.findings import Survey
from everykernel.gates.gate import judge
from everykernel.gates.policy import Policy
from everykernel.gates.update import natural, update
from everykernel.matrix.records import CaseResult

OTHER = ("load", "q", "helper-unsupported")


def updated(text: str, survey: Survey, *, partial: bool = False) -> list[str]:
    """The lines about things, and comments, of an updated baseline."""
    made = update(Baseline.parse(text), survey, partial=partial)
    return [line for line in made.text.splitlines() if line and not line.startswith("tested")]


def test_a_new_file() -> None:
    """It says what was tested, then a line a thing, sorted, kernels as ranges, with a head for people."""
    cells = [cell("b.o", spec, REFUSED) for spec in ("5.10", "5.15", "6.1")]
    cells += [cell("a b.o", "6.12", OTHER), cell("a b.o", "6.1/i386", ("relocate", "p", "btf-missing"), btf="none")]
    assert (
        update(Baseline(), seen(*cells, cell("b.o", "6.12"))).text
        == """\
# What is known not to be green: a line a thing, sorted; a comment belongs to the line below it.
# OBJECT STAGE PROGRAM KERNELS CODE ["REASON"] [LINK] [until=DATE or KERNEL]; --update-baseline writes it.

tested kernel 5.10
tested kernel 5.15
tested kernel 6.1
tested kernel 6.1/i386
tested kernel 6.12
tested object "a b.o"
tested object b.o

"a b.o" relocate p 6.1/i386 btf-missing btf=none
"a b.o" load q 6.12 helper-unsupported
b.o load p 5.10..6.1 verifier-rejected
"""
    )


KEPT = """\
# the head stays

# about p
x.o load p 5.10 verifier-rejected "why" https://host/1 until=2027-01-01 # end

# of a topic

y.o   load  p   5.10 verifier-rejected
# goes with its line
z.o load p 5.10 verifier-rejected
"""


def test_what_holds_stays_as_it_stands() -> None:
    """Lines that hold keep every blank of theirs, comments by themselves stay, and what is gone takes its comment."""
    survey = seen(cell("x.o", "5.10", REFUSED), cell("y.o", "5.10", REFUSED), cell("z.o", "5.10"))
    made = update(Baseline.parse(KEPT), survey)
    assert (made.added, made.removed, made.kept) == (0, 1, 2)
    assert [line for line in made.text.splitlines() if not line.startswith("tested")] == [
        *("# the head stays", "", ""),
        *KEPT.splitlines()[2:-2],
    ]


def test_a_range_is_narrowed() -> None:
    """A line that holds for some of its kernels keeps what people wrote, for these."""
    text = '# about p\nx.o load p 5.10..6.12 verifier-rejected "why" https://h until=7.4 # end\n'
    survey = seen(*(cell("x.o", spec, REFUSED) for spec in ("5.10", "5.15")), cell("x.o", "6.1"), cell("x.o", "6.12"))
    [*lines] = updated(text, survey)
    assert lines == ["# about p", 'x.o load p 5.10..5.15 verifier-rejected "why" https://h until=7.4 # end']


def test_one_more_kernel_is_a_line_of_its_own() -> None:
    """The reason of one line is not lent to another kernel."""
    survey = seen(cell("x.o", "5.10", REFUSED), cell("x.o", "5.15", REFUSED))
    assert updated(LINE + ' "why"\n', survey) == [LINE + ' "why"', LINE.replace("5.10", "5.15")]


def test_what_nothing_tells_of_stays() -> None:
    """A broken guest, a stage that was not reached, and in a part of a run all else, change no line."""
    assert updated(LINE, seen(cell("x.o", "5.10", broke="guest-lost"))) == [LINE]
    later = "x.o run - 5.10 assertion-failed"
    assert updated(later, seen(cell("x.o", "5.10", REFUSED))) == [LINE, later]
    survey = seen(cell("y.o", "6.1"))
    assert updated(LINE, survey, partial=True) == [LINE]
    assert updated(LINE, survey) == []
    assert "tested object x.o" in update(Baseline.parse("tested object x.o"), survey, partial=True).text
    assert "tested object x.o" not in update(Baseline.parse("tested object x.o"), survey).text


def test_broken_guests_are_not_written() -> None:
    """What broke is for people to list."""
    assert updated("", seen(cell("x.o", "5.10", broke="kernel-panic"))) == updated("", seen(cell("x.o", "5.10")))


def test_another_reason_takes_the_place() -> None:
    """Where a program fails for another reason than is listed, the old line goes and the new one comes."""
    survey = seen(cell("x.o", "5.10", ("load", "p", "limit-exceeded")))
    assert updated(LINE + ' "why"', survey) == [LINE.replace("verifier-rejected", "limit-exceeded")]


def test_ranges_are_true_of_all_that_was_tested() -> None:
    """No range runs over a kernel that passes, broke or has other BTF, nor over another architecture's."""
    fails = [cell("x.o", spec, REFUSED) for spec in ("5.10", "5.15", "6.12", "7.3")]
    assert updated("# h", seen(*fails, cell("x.o", "6.1", broke="guest-lost")))[1:] == [
        "x.o load p 5.10..5.15 verifier-rejected",
        "x.o load p 6.12..7.3 verifier-rejected",
    ]
    assert updated("# h", seen(*fails, cell("y.o", "6.1")))[1] == "x.o load p 5.10..5.15 verifier-rejected"
    twins = [cell("x.o", "6.1-nobtf", btf="none"), cell("x.o", "6.1", REFUSED), cell("x.o", "6.12", REFUSED)]
    results = run(*twins)
    for kernel in results["kernels"]:
        kernel["release"] = RELEASES[kernel["spec"].partition("-")[0]]
    survey = Policy().survey(results)
    assert updated("# h", survey)[1:] == ["x.o load p 6.1..6.12 verifier-rejected btf=kernel"]


def test_numbers_sort_as_numbers() -> None:
    """5.4 stands before 5.10, whatever else is in the text."""
    texts = ["6.1", "./b", "5.10..6.1", "5.4", "٣", "5.10/i386"]
    assert [t for t in sorted(texts, key=natural) if t[0] in "56"] == ["5.4", "5.10..6.1", "5.10/i386", "6.1"]


SPECS = ["5.10", "5.15", "6.1", "6.1/i386", "6.12"]
PROBLEMS = [
    ("relocate", "p", "btf-missing"),
    REFUSED,
    OTHER,
    ("run", "", "assertion-failed"),
    ("load", "p", "load-failed"),
]
CELL = st.one_of(
    st.just(None),
    st.sampled_from(["guest-lost", "harness-error"]),
    st.lists(st.sampled_from(PROBLEMS), unique=True, max_size=2),
)
RUN = st.fixed_dictionaries({(name, spec): CELL for name in ("x.o", "y.o") for spec in SPECS})
TODAY = datetime.date(2026, 11, 29)


def _cells(drawn: dict[tuple[str, str], object]) -> list[CaseResult]:
    made = []
    for (name, spec), what in drawn.items():
        if isinstance(what, str):
            made.append(cell(name, spec, broke=what))
        elif isinstance(what, list):
            made.append(cell(name, spec, *what))
    return made


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RUN, RUN)
def test_an_updated_baseline_is_green(
    before: dict[tuple[str, str], object], after: dict[tuple[str, str], object]
) -> None:
    """Whatever ran before, a baseline that was updated by a run has no change with it, and is not changed again."""
    first, second = _cells(before), _cells(after)
    old = update(Baseline(), seen(*first)).text
    made = update(Baseline.parse(old), seen(*second)).text
    verdict = judge(run(*second), Policy(), Baseline.parse(made), today=TODAY)
    assert [change for change in verdict.changes if second] == []
    assert update(Baseline.parse(made), seen(*second)).text == made
    lines = [line for line in made.splitlines() if line.startswith(("x.o", "y.o"))]
    assert len(lines) == len(set(lines))
