"""Where loaders disagree is found from results, explained by the table, and told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from everykernel import wire
from everykernel.loaders import differences, names
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.report import disagreements, markdown

PAGE = Path(__file__).parents[2] / "docs" / "loader-differences.md"


def result(loader: str, programs: dict[str, Any], **changes: Any) -> CaseResult:
    """A cell of tool.o on 6.1: what became of its programs, by name: "" for taken, else the message."""
    made = records.empty(None, "tool.o", "6.1", {"cpus": 1}, loader=loader)
    stage: Any = made["stages"]["load"]
    stage["status"] = wire.FAILED if any(programs.values()) else wire.PASSED
    stage["programs"] = [
        {
            "name": name,
            "status": wire.FAILED if says else wire.PASSED,
            "code": "load-failed" if says else "",
            "message": says,
        }
        for name, says in programs.items()
    ]
    stage["maps"] = []
    made["outcome"] = records.FAILED if any(programs.values()) else records.PASSED
    return {**made, **changes}  # type: ignore[typeddict-item]


def unopened(loader: str, message: str) -> CaseResult:
    """A cell whose object does not open."""
    made = result(loader, {})
    made["stages"]["load"].update({"status": wire.FAILED, "code": "loader-refused", "message": message})
    return made


def test_loaders_that_take_the_same_agree() -> None:
    """Both load, both refuse with other words, one broke: nothing to tell."""
    both = {"one": "", "two": "EINVAL: no"}
    for other in (
        result("aya", both),
        result("aya", {"one": "", "two": "EACCES: never"}),
        result("aya", {"one": "x", "two": ""}, outcome=records.ERROR),
        result("aya", {"one": "x", "two": ""}, kernel="6.12"),
    ):
        found = disagreements.find([result("own", both), other])
        assert found == []
        assert disagreements.summary(found) == "the loaders agree: whatever one takes, all take"


def test_a_program_that_one_refuses_is_told_with_who_takes_it() -> None:
    """Who refuses, who takes, and what is said; no rule is made up for it."""
    found = disagreements.find(
        [result("own", {"p": ""}), result("libbpf", {"p": ""}), result("aya", {"p": "EINVAL: for no reason"})]
    )
    [refusal] = found
    assert (refusal.program, refusal.loader, sorted(refusal.takes)) == ("p", "aya", ["libbpf", "own"])
    assert (refusal.says, refusal.kind) == ("load-failed: EINVAL: for no reason", None)
    assert disagreements.lines(found, {}, ["6.1"]) == [
        [
            "not explained: aya refuses program p of tool.o on 6.1, libbpf, own take it",
            "  load-failed: EINVAL: for no reason",
        ]
    ]
    assert disagreements.summary(found).endswith("by 0 known rules; 1 not explained")


def whole(loader: str, programs: dict[str, Any], message: str) -> CaseResult:
    """A cell of tool.o on 6.1 with what its loader says of the object as a whole: "" for taken."""
    made = result(loader, programs)
    status = wire.FAILED if message else wire.PASSED
    code = "loader-refused" if message else ""
    made["stages"]["load"]["whole"] = {
        "loader": loader, "status": status, "code": code, "errno": None, "message": message
    }  # fmt: skip
    return made


def test_an_object_that_loads_only_program_by_program_is_told() -> None:
    """Once, of the loader that takes each program and not all together; a program that is refused is told alone."""
    taken = {"a": "", "b": ""}
    both = [whole("own", taken, ""), whole("ebpf-go", taken, "no map of that name can be pinned")]
    [refusal] = found = disagreements.find(both)
    assert (refusal.program, refusal.loader, set(refusal.takes)) == (disagreements.TOGETHER, "ebpf-go", {"own"})
    assert disagreements.lines(found, {}, ["6.1"])[0][0] == (
        "not explained: ebpf-go refuses all programs together of tool.o on 6.1, own take it"
    )
    assert disagreements.summary(found).startswith("0 refusals of programs and 1 of an object")
    [program] = disagreements.find([both[0], whole("ebpf-go", {"a": "", "b": "EACCES"}, "b: EACCES")])
    assert program.program == "b"
    assert disagreements.find([both[1], whole("own", taken, "neither")]) == []


def test_an_object_that_is_not_opened_is_one_disagreement() -> None:
    """Not one for each of its programs, and explained by the section that it is refused for."""
    found = disagreements.find(
        [
            result("own", {"a": "", "b": "", "c": ""}),
            unopened("aya", "aya does not open it: invalid program section `tc`"),
        ]
    )
    [refusal] = found
    assert refusal.program == disagreements.WHOLE
    assert refusal.kind is not None
    assert refusal.kind.name == "section-unknown-to-aya"
    [[head, where, why]] = disagreements.lines(found, {"tool.o": "tool"}, ["6.1"])
    assert head == f"aya refuses, own takes: {refusal.kind.title} (section-unknown-to-aya)"
    assert (where, why) == ("  1 object on 6.1: tool", f"  {refusal.kind.why}")


def test_a_program_that_only_others_have_is_refused_by_who_has_it_not() -> None:
    """A static function is a program for ebpf-go alone."""
    [refusal] = disagreements.find([result("own", {"p": ""}), result("ebpf-go", {"p": "", "helper": ""})])
    assert (refusal.program, refusal.loader, refusal.says) == ("helper", "own", disagreements.NO_PROGRAM)
    assert refusal.kind is not None
    assert refusal.kind.name == "static-function"


def test_a_refusal_is_told_apart_by_the_maps_that_it_names_and_the_end_of_its_log() -> None:
    """The type and sizes of a refused map, and the log's last lines without its counts."""
    mine = result("own", {"p": "map 'events': EINVAL: no"})
    load: Any = mine["stages"]["load"]
    load["maps"] = [
        {"name": "events", "type": "perf_event_array", "key_size": 4, "value_size": 16, "max_entries": 1,
         "status": wire.FAILED, "errno": "EINVAL", "message": "no"},
        {"name": "other", "type": "hash", "status": wire.FAILED, "errno": "E2BIG", "message": "no"},
    ]  # fmt: skip
    load["programs"][0]["log"] = "0: first\n1: second\nprocessed 2 insns\n"
    [refusal] = disagreements.find([mine, result("ebpf-go", {"p": ""})])
    assert refusal.says.splitlines() == [
        "load-failed: map 'events': EINVAL: no",
        "map perf_event_array 4 16 1: EINVAL: no",
        "0: first",
        "1: second",
    ]
    assert refusal.kind is not None
    assert refusal.kind.name == "perf-array-sizes"
    assert "perf-array-sizes" in markdown.disagreements([refusal], ["6.1"])


def test_every_kind_has_a_name_of_its_own_and_a_written_reason() -> None:
    """Names are kebab-case and unique, loaders are known, and each says why and what to do."""
    table = differences.table()
    assert len({kind.name for kind in table}) == len(table)
    for kind in table:
        assert kind.name == kind.name.lower().replace(" ", "-")
        assert set(kind.refuses) | set(kind.takes) <= set(names.EVERY)
        assert not set(kind.refuses) & set(kind.takes)
        assert len(kind.why) > 40
        assert kind.title
        assert kind.remedy
        assert not kind.says.search("")


def test_the_page_is_written_from_the_table() -> None:
    """docs/loader-differences.md is what the table says; ``python -m tests.report.test_disagreements`` writes it."""
    assert PAGE.read_text() == differences.page()


if __name__ == "__main__":
    PAGE.write_text(differences.page())
    sys.exit(0)
