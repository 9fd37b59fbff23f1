"""Comparing two runs: classes of cells, what is paired with what, and changes in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.comparing.building import result, results, run

from everykernel import cli
from everykernel.comparing import changes, difference
from everykernel.comparing.difference import CLASSES, compare
from everykernel.errors import UsageError
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult

PASSED, FAILED, ERROR = records.PASSED, records.FAILED, records.ERROR
SCHEMA = json.loads((Path(difference.__file__).with_name("diff-schema.json")).read_text())


def relocation(access: str, outcome: str, target: int | None = None, **more: Any) -> Any:
    return {
        "program": "handle_exec", "index": 3, "insn": 12, "kind": "byte_off", "access": access, "outcome": outcome,
        "target": target, **more,
    }  # fmt: skip


def program(name: str = "handle_exec", status: str = "passed", **more: Any) -> Any:
    return {"name": name, "status": status, **more}


def cell(relocations: Any = (), programs: Any = (), **more: Any) -> CaseResult:
    made = result(**more)
    made["stages"]["relocate"]["relocations"] = list(relocations)
    made["stages"]["load"]["programs"] = list(programs)
    return made


def lines(old: CaseResult, new: CaseResult) -> list[str]:
    found = changes.between(old, new)
    return [
        f"{one.direction}: {one.subject}: {one.before} → {one.after}{f' ({one.why})' if one.why else ''}"
        for one in found
    ]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (PASSED, FAILED, "regressed"),
        (FAILED, PASSED, "fixed"),
        (FAILED, FAILED, "still failing"),
        (PASSED, PASSED, "same"),
        (PASSED, ERROR, "indeterminate"),
        (ERROR, FAILED, "indeterminate"),
        (ERROR, ERROR, "indeterminate"),
        (None, FAILED, "newly tested"),
        (PASSED, None, "gone"),
    ],
)
def test_each_cell_has_a_class(old: str | None, new: str | None, kind: str) -> None:
    """A guest that broke, before or now, is never a regression, nor is what was not there."""
    files = [results([result(outcome=one)] if one is not None else []) for one in (old, new)]
    assert compare(*files).counts == {kind: 1}


def test_rows_say_how_many_pass_and_changed_ones_come_first() -> None:
    """`passing/total` before and after; broken cells are in neither."""
    old = results([result("a", "6.1"), result("b", "5.10"), result("b", "6.1"), result("b", "6.12", ERROR)])
    new = results([result("a", "6.1"), result("b", "5.10", FAILED), result("b", "6.1"), result("b", "6.12")])
    found = compare(old, new)
    assert [(row.name, row.before, row.after, row.changed) for row in found.rows] == [
        ("b", (2, 2), (2, 3), True), ("a", (1, 1), (1, 1), False)
    ]  # fmt: skip


def test_a_kernel_that_is_gone_says_why() -> None:
    """A cell whose kernel no source serves any more is gone, with the reason."""
    new = results([], kernels=[{"spec": "6.1", "missing": "6.1: no source has this kernel"}])
    [row] = compare(results([result()]), new).rows
    assert (row.cells[0].kind, row.cells[0].why) == ("gone", "kernel 6.1: no source has this kernel")


def test_two_kernels_are_paired_where_there_is_one_each() -> None:
    """A run on 5.10 alone and one on 6.12 alone are compared; where there are more, it has to be asked for."""
    old, new = results([result(spec="5.10")]), results([result(spec="6.12", outcome=FAILED)])
    assert compare(old, new).kernels == {"5.10": "6.12"}
    assert compare(old, new).counts == {"regressed": 1}
    both = results([result(spec="5.10"), result(spec="6.12", outcome=FAILED), result(spec="6.1")])
    assert compare(both, both).counts == {"same": 2, "still failing": 1}
    assert compare(both, both, ["5.10=6.12"]).counts == {"regressed": 1}
    assert compare(both, both, ["5.10=6.1", "6.1=6.12"]).counts == {"same": 1, "regressed": 1}
    with pytest.raises(
        UsageError, match=r"--pair: '5.10=7.3' is no pair of kernels \[OLD=NEW, of 5.10, 6.12, 6.1 and of"
    ):
        compare(both, both, ["5.10=7.3"])


def test_pytest_nodes_are_paired_across_kernels() -> None:
    """The kernel in a node's brackets does not part its cells."""
    old = results([result(spec="5.10", test="t.py::test_x[5.10-a]"), result(spec="5.10", test="o::o[5.10]")])
    new = results([result(spec="6.12", test="t.py::test_x[6.12-a]"), result(spec="6.12", test="o::o[6.12]")])
    assert compare(old, new).counts == {"same": 2}


def test_a_lost_access_names_what_is_read_instead() -> None:
    """state was renamed to __state: the object that handles both says so, and nothing is worse for it."""
    old = cell(
        [
            relocation("struct task_struct___o.state", "patched", 16),
            relocation("struct task_struct.__state", "poisoned"),
        ]
    )
    gone = relocation("struct task_struct___o.state", "poisoned", message="struct task_struct has no member 'state'")
    new = cell([gone, relocation("struct task_struct.__state", "patched", 24)])
    assert lines(old, new) == [
        "better: task_struct.__state, offset: poisoned → patched at 24",
        "other: task_struct___o.state, offset: patched at 16 → poisoned "
        "(struct task_struct has no member 'state'; instead, task_struct.__state is patched at 24)",
    ]


def test_a_program_that_is_refused_now_says_why() -> None:
    """The verifier's words and the line of C are in the change, and what was lost comes with it."""
    old = cell([relocation("struct request.rq_disk", "patched", 160)], [program()])
    refused = program(status="failed", code="relocation-unresolved", message="EINVAL: no member", source="x.bpf.c:9")
    new = cell(
        [relocation("struct request.rq_disk", "poisoned", message="no member 'rq_disk'")], [refused], outcome=FAILED
    )
    assert lines(old, new) == [
        "worse: request.rq_disk, offset: patched at 160 → poisoned (no member 'rq_disk')",
        "worse: program handle_exec: loads → refused: relocation-unresolved (EINVAL: no member (at x.bpf.c:9))",
    ]


def test_growth_of_verified_instructions() -> None:
    """How much more the verifier looked at, in numbers and per cent."""
    old, new = cell(programs=[program(verified_insns=200)]), cell(programs=[program(verified_insns=250)])
    assert lines(old, new) == ["other: program handle_exec, instructions verified: 200 → 250 (+50, +25 %)"]


def test_misreads_warnings_btf_maps_and_objects() -> None:
    """Each is told; a misread that came is worse, one that went is better."""
    misread = {"program": "p", "insn": 1, "access": "struct a.b", "taken": "int b", "kernel": "u8 b"}
    old = cell(sha256="a" * 64, btf="kernel")
    new = cell(sha256="b" * 64, btf="none", misreads=[misread], warnings=["WARNING: x\nmore"])
    new["stages"]["load"]["maps"] = [
        {"name": "m", "status": "failed", "code": "map-create-failed", "message": "EINVAL"}
    ]
    assert lines(old, new) == [
        "worse: a.b in p: read right → misread (taken for int b, the kernel has u8 b)",
        "worse: kernel warnings: 0 → 1 (WARNING: x)",
        "other: the object itself: sha256 aaaaaaaaaaaa → sha256 bbbbbbbbbbbb",
        "other: BTF: kernel → none",
        "other: map m: not there → refused: map-create-failed (EINVAL)",
    ]
    assert lines(new, old)[0].startswith("better: a.b in p: misread → no longer misread")


def test_what_moves_is_what_co_re_is_for() -> None:
    """An offset that CO-RE patched otherwise is counted in the text, and told with -v."""
    old = cell([relocation("struct a.b", "patched", 8)])
    new = cell([relocation("struct a.b", "patched", 16, mem_size=4)])
    [change] = changes.between(old, new)
    assert changes.moved(change)
    assert (change.before, change.after) == ("patched at 8", "patched at 16, 4 bytes wide")


TEXT = st.text(max_size=5)
RELOCATIONS = st.lists(
    st.builds(
        relocation, TEXT, st.sampled_from(["patched", "poisoned", "failed"]), st.none() | st.integers(),
        message=TEXT, program=TEXT, kind=st.sampled_from(["byte_off", "type_exists", "x"]),
    ), max_size=4,
)  # fmt: skip
PROGRAMS = st.lists(
    st.builds(program, TEXT, st.sampled_from(["passed", "failed", "skipped"]), code=TEXT, message=TEXT), max_size=3
)
CELLS = st.builds(
    cell, RELOCATIONS, PROGRAMS, outcome=st.sampled_from([PASSED, FAILED, ERROR]), shown=TEXT, message=TEXT
)


@given(st.lists(CELLS, max_size=3), st.lists(CELLS, max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_two_files_compare(old: list[CaseResult], new: list[CaseResult]) -> None:
    """Whatever strangers' files hold: each way round the classes fit, and every line and the JSON can be shown."""
    from everykernel.report import differences

    one, other = compare(results(old), results(new)), compare(results(new), results(old))
    swapped = {"regressed": "fixed", "fixed": "regressed", "gone": "newly tested", "newly tested": "gone"}
    assert {swapped.get(kind, kind): number for kind, number in one.counts.items()} == other.counts
    assert compare(results(old), results(old)).counts.keys() <= {"same", "still failing", "indeterminate"}
    jsonschema.validate(json.loads(json.dumps(difference.as_json(one))), SCHEMA)
    for line in differences.render(one, verbose=True).splitlines():
        assert line.isprintable()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A regression is exit code 1; the head says what is compared; Markdown is escaped; JSON validates."""
    old = results([cell([relocation("struct a.b", "patched", 8)], shown="<b>.o")], run("one"))
    lost = relocation("struct a.b", "poisoned", message="no *b*")
    new = results([cell([lost], outcome=FAILED, shown="<b>.o")], run("two"))
    for name, file in (("old", old), ("new", new)):
        (tmp_path / f"{name}.json").write_text(json.dumps(file))
    files = [str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    assert cli.main(["report", "diff", *files]) == 1
    told = capsys.readouterr().out
    for line in (
        "old: one, 2026-11-01T00:00:00+00:00, everykernel 0.1.0", "1 regressed", "<b>.o: 1/1 → 0/1",
        "  6.1: regressed: load: verifier-rejected: R0 !read_ok",
        "    a.b, offset: relocation 3 of handle_exec: patched at 8 → poisoned (no *b*)",
    ):  # fmt: skip
        assert line in told.splitlines()
    assert cli.main(["report", "diff", *files, "--format", "markdown"]) == 1
    assert "## &lt;b&gt;.o: 1/1 → 0/1\n\n- 6.1: regressed" in capsys.readouterr().out
    assert cli.main(["report", "diff", *files, "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    assert list(found["counts"]) == list(CLASSES)
    assert cli.main(["report", "diff", *files[::-1]]) == 0
    assert cli.main(["report", "diff", files[0], files[0]]) == 0


def test_what_is_not_explained_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--explain needs the object that ran: another one, or none, is a note, and the difference is told all the same."""
    old = results([cell([relocation("struct a.b", "patched", 8)], shown="gone.o", sha256="a" * 64)])
    new = results([cell([relocation("struct a.b", "poisoned")], outcome=FAILED, shown="gone.o", sha256="a" * 64)])
    for name, file in (("old", old), ("new", new)):
        (tmp_path / f"{name}.json").write_text(json.dumps(file))
    assert cli.main(["report", "diff", str(tmp_path / "old.json"), str(tmp_path / "new.json"), "--explain"]) == 1
    told = capsys.readouterr()
    assert "gone.o: not explained:" in told.err
    assert "patched at 8 → poisoned" in told.out
