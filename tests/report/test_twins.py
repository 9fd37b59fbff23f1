"""What BTF is worth to each object: twins side by side, on a terminal, as Markdown, and on the page of a run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from everykernel.kernels.twins.parts import SUPPLIED, WITH, WITHOUT
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.report import markdown, terminal, twins
from everykernel.report.runview import page

SPECS = {WITH: "6.1-btf", WITHOUT: "6.1-nobtf", SUPPLIED: "6.1-supplied"}
KERNELS: list[KernelRecord] = [
    {
        "spec": spec,
        "release": "6.1.192-twin",
        "package_version": "6.1.192-3",
        "arch": "x86_64",
        "source": "twins:linux-source-6.1",
        "flavour": part,
        "btf": "kernel" if part == WITH else "none",
    }
    for part, spec in SPECS.items()
]
Programs = dict[str, tuple[str, str]]  # by name, the stage and code in which each ends; ("", "") works


def cell(case: str, part: str, programs: Programs, *, run: str = "") -> CaseResult:
    """A cell whose programs end so; ``run`` is the code in which its run fails, "" where it passes."""
    result = records.empty(case, "prog.bpf.o", SPECS[part], {"cpus": 2, "flavour": part})
    stages: dict[str, Any] = result["stages"]
    for name, order in (("relocate", 0), ("load", 1)):
        told = []
        for program, (at, code) in programs.items():
            before = at and ("relocate", "load").index(at) < order
            status = "not-reached" if before else "failed" if at == name else "passed"
            told.append({"name": program, "status": status, "code": code if at == name else ""})
        failed = next((code for at, code in programs.values() if at == name), "")
        stages[name] = {"status": "failed" if failed else "passed", "code": failed, "message": "", "programs": told}
    stages["run"] = {"status": "failed" if run else "passed", "code": run, "message": ""}
    result["outcome"] = records.PASSED
    return result


OK = ("", "")
MISSING = ("relocate", "btf-missing")
TARGET = ("load", "btf-missing")
RESULTS = [
    # relocations alone: all back
    cell("moved", WITH, {"read": OK}),
    cell("moved", WITHOUT, {"read": MISSING}),
    cell("moved", SUPPLIED, {"read": OK}),
    # a target in the kernel's own BTF: one never comes back
    cell("mixed", WITH, {"on_entry": OK, "on_probe": OK, "plain": OK}),
    cell("mixed", WITHOUT, {"on_entry": MISSING, "on_probe": MISSING, "plain": OK}),
    cell("mixed", SUPPLIED, {"on_entry": TARGET, "on_probe": OK, "plain": OK}),
    # what the kernel refuses with BTF too is not lost
    cell("old", WITH, {"link": ("load", "attach-type-unsupported")}),
    cell("old", WITHOUT, {"link": ("load", "attach-type-unsupported")}),
    cell("old", SUPPLIED, {"link": ("load", "attach-type-unsupported")}),
    # every program loads, and what they do together fails
    cell("whole", WITH, {"a": OK}),
    cell("whole", WITHOUT, {"a": OK}, run="assertion-failed"),
    cell("whole", SUPPLIED, {"a": OK}, run="assertion-failed"),
    cell("filter", WITH, {"a": OK}),
    cell("filter", WITHOUT, {"a": OK}),
    cell("filter", SUPPLIED, {"a": OK}),
]


def picture(results: list[CaseResult] | None = None, kernels: list[KernelRecord] | None = None) -> twins.Picture:
    (found,) = twins.find(RESULTS if results is None else results, KERNELS if kernels is None else kernels)
    return found


def test_what_is_lost_and_what_comes_back() -> None:
    """Each object's row counts what works on either twin and with supplied BTF, and says why what is lost is."""
    found = picture()
    assert [(row.name, [row.shown(part) for part in found.parts], found.words(row)) for row in found.rows] == [
        ("moved", ["1 of 1", "0 of 1", "1 of 1"], "lost, and back with supplied BTF: read: relocate: btf-missing"),
        (
            "mixed",
            ["3 of 3", "1 of 3", "2 of 3"],
            "lost: on_entry, on_probe: relocate: btf-missing; back: on_probe",
        ),
        ("whole", ["1 of 1", "1 of 1", "1 of 1"], "lost: its run: run: assertion-failed"),
    ]
    assert found.same == ("old", "filter")
    assert found.summary() == [
        "3 of 5 objects lose something without BTF; with supplied BTF 1 of them have all of it back, 2 of 4 programs",
        "nothing is lost of old, filter",
    ]


def test_a_pair_without_the_third() -> None:
    """--kernels 6.1-btf,6.1-nobtf is a picture too, of two columns."""
    found = picture([one for one in RESULTS if one["kernel"] != SPECS[SUPPLIED]], KERNELS[:2])
    assert found.parts == [WITH, WITHOUT]
    assert found.words(found.rows[0]) == "lost: read: relocate: btf-missing"
    assert found.summary()[0] == "3 of 5 objects lose something without BTF"


@pytest.mark.parametrize(
    "kernels",
    [
        KERNELS[:1],
        KERNELS[1:],
        [KERNELS[0], {**KERNELS[1], "package_version": "6.1.191-1"}],
        [{**KERNELS[0], "source": "debian:bookworm"}, {**KERNELS[1], "source": "debian:bookworm"}],
        [],
    ],
    ids=["one", "no-btf-twin", "two-versions", "no-twins", "none"],
)
def test_what_is_no_pair_gives_no_picture(kernels: Any) -> None:
    """Only kernels of one source and version are twins; nothing is said of others."""
    assert twins.find(RESULTS, kernels) == []


def test_a_cell_whose_guest_broke_says_nothing_of_btf() -> None:
    """An object is in the picture only with a verdict on each twin."""
    broken = [{**one, "outcome": records.ERROR} if one["kernel"] == SPECS[WITHOUT] else one for one in RESULTS]
    found = picture(broken)  # type: ignore[arg-type]
    assert (found.rows, found.same) == ((), ())


def text(width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    terminal.show_twins(console, RESULTS, KERNELS)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_on_a_terminal() -> None:
    """One table a pair, whose words wrap where the terminal is narrow; nothing where there are no twins."""
    lines = [line.rstrip() for line in text().splitlines()]
    assert lines[:3] == [
        "",
        "twins: 6.1.192-twin (6.1.192-3)",
        "case    with BTF   without   supplied   programs that work",
    ]
    assert (
        lines[4]
        == "mixed   3 of 3     1 of 3    2 of 3     lost: on_entry, on_probe: relocate: btf-missing; back: on_probe"
    )
    assert max(map(len, text(60).splitlines()[:6])) <= 60
    console = Console(file=io.StringIO())
    terminal.show_twins(console, RESULTS, [])
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_as_markdown_and_on_the_page() -> None:
    """Both have the same rows and sentences; the page's counts lead to the cells."""
    written = markdown.render(RESULTS, KERNELS)
    assert "## What BTF is worth: 6.1.192-twin (6.1.192-3)\n\n| case | with BTF | without | supplied |" in written
    assert (
        "| moved | 1 of 1 | 0 of 1 | 1 of 1 | lost, and back with supplied BTF: read: relocate: btf-missing |"
        in written
    )
    assert "- 3 of 5 objects lose something without BTF" in written
    results: Any = {"schema": records.SCHEMA, "run": {}, "results": RESULTS, "kernels": KERNELS}
    html = page.page(results)
    assert "<h2>What BTF is worth: 6.1.192-twin (6.1.192-3)</h2>" in html
    assert '<td><a href="#row=mixed&amp;kernel=6.1-nobtf">1 of 3</a></td>' in html
    assert "What BTF is worth" not in page.page(results | {"kernels": []})
