"""Merging: parts of runs as one, whatever their order, and nothing is lost."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.comparing.building import result, results, run

from everykernel import cli
from everykernel.comparing import parts
from everykernel.comparing.merge import every, merge
from everykernel.errors import UsageError
from everykernel.matrix import records, schema
from everykernel.matrix.records import CaseResult
from everykernel.matrix.results import Results

OUTCOMES = (records.PASSED, records.FAILED, records.ERROR)
STARTED = ("2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00", "2026-11-01T23:00:00-05:00")


@st.composite
def cells(draw: st.DrawFn) -> CaseResult:
    made = result(
        draw(st.sampled_from(["a.bpf.o", "b.bpf.o"])),
        draw(st.sampled_from(["5.10", "6.1", "6.12"])),
        draw(st.sampled_from(OUTCOMES)),
        message=draw(st.sampled_from(["", "x"])),
        evidence=draw(st.sampled_from([None, "cells/a/6.1"])),
    )
    if draw(st.booleans()):
        broken = result(str(made["object"]), made["kernel"], records.ERROR, attempt=1)
        made |= {"attempt": 2, "attempts": [broken]}
    return made


@st.composite
def files(draw: st.DrawFn) -> Results:
    """A file of one of four runs, each of which always says the same of itself, as far as it had come."""
    number = draw(st.integers(0, 3))
    identity = run(f"run-{number}", STARTED[number % 3])
    if draw(st.booleans()):
        identity["host"]["accelerator_reason"] = "no /dev/kvm"
    specs = draw(st.lists(st.sampled_from(["5.10", "6.1", "6.12"]), unique=True))
    kernels: list[Any] = [{"spec": spec, "release": f"{spec}.{number}", "sha256": "ab" * number} for spec in specs]
    broken = draw(st.booleans())
    if kernels and broken:
        kernels[0]["broken"] = "no answer"
    found: list[CaseResult] = draw(st.lists(cells(), max_size=4))
    return results(found, identity, kernels)


@given(files(), files(), files())
@settings(max_examples=150, deadline=None)
def test_merging_is_associative_commutative_and_idempotent(a: Results, b: Results, c: Results) -> None:
    """However files are put together, the same comes of it."""
    whole = merge([a, b, c])
    assert merge([merge([a, b]), c]) == whole
    assert merge([a, merge([b, c])]) == whole
    for order in itertools.permutations([a, b, c]):
        assert merge(order) == whole
    assert merge([whole, whole, b]) == whole
    schema.check(json.loads(json.dumps(whole)), "merged")


@given(st.lists(files(), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_nothing_is_lost(given_files: list[Results]) -> None:
    """Every attempt of every file, and what each run says of itself and its kernels, is in what comes of them."""
    merged = merge(given_files)

    def told(found: list[CaseResult]) -> set[str]:
        own = ("outcome", "message", "object", "kernel", "code")
        return {json.dumps([one.get(name) for name in own]) for one in every(found)}

    assert set().union(*(told(file["results"]) for file in given_files)) == told(merged["results"])
    assert {part["id"] for part in parts.of(merged)} == {file["run"]["id"] for file in given_files}
    kernels = {part["id"]: {k["spec"] for k in part["kernels"]} for part in parts.of(merged)}
    for file in given_files:
        assert {k["spec"] for k in file["kernels"]} <= kernels[file["run"]["id"]]
    assert len(merged["results"]) == len({records.asked(one) for file in given_files for one in file["results"]})


def test_the_last_verdict_is_shown() -> None:
    """A later run decides, the earlier is kept beside it; its start counts, not the place on the command line."""
    old = results([result(outcome=records.FAILED)], run("old", "2026-11-01T00:00:00+00:00"))
    new = results([result()], run("new", "2026-11-02T00:00:00+00:00"))
    [cell] = merge([new, old])["results"]
    assert (cell["outcome"], cell["run"]) == ("passed", "new")
    assert [(one["outcome"], one["run"]) for one in cell["attempts"]] == [("failed", "old")]
    assert not records.flaky(cell)


def test_a_broken_guest_hides_no_verdict() -> None:
    """A later run whose guest broke says nothing about the cell: the verdict stays, and the breakage is kept."""
    old = results([result(outcome=records.FAILED)], run("old", "2026-11-01T00:00:00+00:00"))
    new = results([result(outcome=records.ERROR)], run("new", "2026-11-02T00:00:00+00:00"))
    [cell] = merge([old, new])["results"]
    assert (cell["outcome"], [one["outcome"] for one in cell["attempts"]]) == ("failed", ["error"])


def test_a_cell_that_was_run_again_is_the_same_cell() -> None:
    """A guest that broke before it said which BTF it uses, and the pass of a later run, are attempts of one cell."""
    broken = result(outcome=records.ERROR, machine={"cpus": 2, "memory": None})
    again = result(machine={"cpus": 2, "memory": None, "flavour": "cloud-amd64"}, btf="supplied:x.btf")
    [cell] = merge([results([broken], run("a", STARTED[0])), results([again], run("b", STARTED[1]))])["results"]
    assert cell["outcome"] == "passed"
    assert records.flaky(cell)


@pytest.mark.parametrize(
    "other",
    [{"loader": "libbpf", "rules": "libbpf"}, {"rules": "aya"}, {"machine": {"cpus": 4}}, {"case": "c"}],
    ids=lambda other: next(iter(other)),
)
def test_what_was_asked_otherwise_is_another_cell(other: dict[str, Any]) -> None:
    """Loader, rules, machine and case tell cells apart."""
    assert len(merge([results([result()], run("a")), results([result(**other)], run("b"))])["results"]) == 2


def test_columns_know_what_any_run_knows() -> None:
    """A kernel that answered in one run is told from there; that one spec meant two kernels is in the notes."""
    a = results([], run("a", STARTED[0]), [{"spec": "6.1", "release": "6.1.1", "sha256": "1" * 64, "btf": "kernel"}])
    b = results([], run("b", STARTED[1]), [{"spec": "6.1", "release": "6.1.2", "sha256": "2" * 64, "broken": "silent"}])
    [column] = merge([a, b])["kernels"]
    assert (column["release"], column["btf"], column.get("broken")) == ("6.1.1", "kernel", None)
    assert column["notes"] == [f"run a: 6.1.1, sha256 {'1' * 64}", f"run b: 6.1.2, sha256 {'2' * 64}"]


def test_a_result_of_no_part_is_refused() -> None:
    """A merged file whose results name a run that it does not have is no file of ours."""
    both = merge([results([result()], run("a")), results([], run("b"))])
    both["results"][0]["run"] = "c"
    with pytest.raises(UsageError, match=r"x.json: results\[0\].run is none of the file's parts"):
        merge([both], ["x.json"])


# --- the command


def write(folder: Path, found: Results, **evidence: str) -> Path:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(found))
    for cell in every(found["results"]):
        if cell.get("evidence"):
            (folder / str(cell["evidence"])).mkdir(parents=True)
            (folder / str(cell["evidence"]) / "console.txt").write_text(evidence["console"])
    return folder


def test_folders_are_merged_with_their_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run's evidence is found where the merged results say, that of the attempts too; links are left behind."""
    old = write(tmp_path / "a", results([result(evidence="cells/x/6.1", outcome="failed")], run("a")), console="old")
    new = write(tmp_path / "b", results([result(evidence="cells/x/6.1")], run("b", STARTED[1])), console="new")
    (old / "cells/x/6.1/link.txt").symlink_to("/etc/hostname")
    assert cli.main(["report", "merge", str(old), str(new / "results.json"), "-o", str(tmp_path / "all")]) == 0
    assert capsys.readouterr().out.endswith("all: 2 runs, 1 cell: 1 passed\n")
    merged = json.loads((tmp_path / "all/results.json").read_text())
    jsonschema.validate(merged, schema.load())
    [cell] = merged["results"]
    assert (tmp_path / "all" / cell["evidence"] / "console.txt").read_text() == "new"
    first = tmp_path / "all" / cell["attempts"][0]["evidence"]
    assert [path.name for path in first.iterdir()] == ["console.txt"]
    assert (first / "console.txt").read_text() == "old"
    assert (tmp_path / "all/matrix.md").is_file()
    again = ["report", "merge", str(tmp_path / "all"), str(new), "-o", str(tmp_path / "all")]
    assert cli.main(again) == 0
    assert json.loads((tmp_path / "all/results.json").read_text()) == merged
    assert (first / "console.txt").read_text() == "old"


def test_one_report_may_be_merged_into_itself(tmp_path: Path) -> None:
    """Old and new with the old as the place to write to: nothing of the old's evidence is lost."""
    old = write(tmp_path / "a", results([result(evidence="cells/x/6.1", outcome="failed")], run("a")), console="old")
    new = write(tmp_path / "b", results([result(evidence="cells/x/6.1")], run("b", STARTED[1])), console="new")
    assert cli.main(["report", "merge", str(old), str(new), "-o", str(old)]) == 0
    [cell] = json.loads((old / "results.json").read_text())["results"]
    texts = [(old / one["evidence"] / "console.txt").read_text() for one in (cell, *cell["attempts"])]
    assert texts == ["new", "old"]
    assert not (old / "cells").exists()


def test_a_folder_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    """A report whose evidence is a link to elsewhere brings nothing from there."""
    a = write(tmp_path / "a", results([result()], run("a")))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("secret")
    (a / "cells").symlink_to(tmp_path / "secret")
    (a / "results.json").write_text(json.dumps(results([result(evidence="cells")], run("a"))))
    b = write(tmp_path / "b", results([], run("b")))
    assert cli.main(["report", "merge", str(a), str(b), "-o", str(tmp_path / "all")]) == 0
    assert not list((tmp_path / "all").rglob("key"))


def test_missing_shards_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shard that no file holds is an error after the merge, unless that is wanted."""
    a = write(tmp_path / "a", results([result()], run("a", shard="1/3")))
    b = write(tmp_path / "b", results([], run("b", shard="3/3")))
    command = ["report", "merge", str(a), str(b), "-o", str(tmp_path / "all.json")]
    assert cli.main(command) == 4
    assert "all.json: shard 2/3 is in none of the files: cells may be missing" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "all.json").read_text())["results"]) == 1
    assert cli.main([*command, "--partial"]) == 0


HOSTILE: list[tuple[Any, str]] = [
    ({"results": [{"kernel": "6.1"}]}, r"results[0] must contain"),
    ({"results": [{**result(), "evidence": "../../etc"}]}, r"results[0].evidence must match pattern"),
    ({"results": [{**result(), "evidence": "/etc"}]}, r"results[0].evidence must match pattern"),
    ({"results": [{**result(), "evidence": "cells/.ssh"}]}, r"results[0].evidence must match pattern"),
    ({"results": [{**result(), "attempts": [{**result(), "outcome": "great"}]}]}, r"results[0].attempts[0].outcome"),
    ({"run": {**run(), "host": []}}, r"run.host must be object"),
    ({"run": {**run(), "started": "\x1b[2J"}}, r"run.started must be date-time"),
    ({"kernels": [{"spec": 6.1}]}, r"kernels[0].spec must be string"),
    ({"kernels": {}}, r"kernels must be array"),
    ({"results": [{**result(), "machine": {"sysctls": "all"}}]}, r"results[0].machine.sysctls must be object"),
]


@pytest.mark.parametrize(("change", "place"), HOSTILE, ids=[place for _, place in HOSTILE])
def test_hostile_files_are_refused_at_the_gate(
    change: Any, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not as the schema says is a usage error that names file and place, and nothing is written."""
    (tmp_path / "x.json").write_text(json.dumps({**results([]), **change}))
    assert cli.main(["report", "merge", str(tmp_path / "x.json"), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"everykernel: {tmp_path / 'x.json'}: {place}")
    assert "\x1b" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "what"),
    [("[" * 100_000, "nested too deep"), ('{"schema": NaN}', "NaN is no number"), ("\xff", "not JSON")],
)
def test_files_that_are_no_json_of_ours(
    text: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Depth, numbers and bytes that JSON has not are refused in a line."""
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    assert cli.main(["report", "merge", str(tmp_path / "x.json"), "-o", str(tmp_path / "out")]) == 2
    assert what in capsys.readouterr().err
