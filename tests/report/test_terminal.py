"""The matrix on a terminal and as Markdown."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.report import blocks, columns, markdown, terminal

KERNELS: list[KernelRecord] = [
    {"spec": "5.10", "release": "5.10.0-46-cloud-amd64", "flavour": "cloud-amd64", "btf": "kernel"},
    {"spec": "6.1/i386", "release": "6.1.0-50-686-pae", "flavour": "686-pae", "btf": "none"},
    {"spec": "6.8", "missing": "6.8: no source has this kernel"},
]
STAGES: dict[str, Any] = {name: {"status": "passed", "code": "", "message": ""} for name in ("relocate", "load", "run")}
REACHED: dict[str, Any] = {**STAGES, "run": records.not_reached()}


def result(case: str, kernel: str, **more: Any) -> CaseResult:
    made: Any = {"case": case, "kernel": kernel, "outcome": "passed", "stages": STAGES, "problems": [], **more}
    return made  # type: ignore[no-any-return]


REFUSED = result(
    "moved",
    "5.10",
    outcome="failed",
    stage="load",
    code="relocation-unresolved",
    message="program 'p': EINVAL: byte_off struct a.b: struct a has no member 'b' (and 4 more)",
    problems=[
        {"stage": "load", "program": program, "code": code, "message": f"program {program!r}: {why}"}
        for program, code, why in (
            ("p", "relocation-unresolved", "EINVAL: byte_off struct a.b: struct a has no member 'b'"),
            ("q", "relocation-unresolved", "EINVAL: byte_off struct a.b: struct a has no member 'b'"),
            ("r", "map-create-failed", "it needs map 'm': EINVAL: the kernel refuses it"),
            ("s", "map-create-failed", "it needs map 'm': EINVAL: the kernel refuses it"),
            ("t", "kfunc-missing", "the kernel has no such function"),
        )
    ],
    btf="kernel",
    evidence="cells/moved/5.10",
    again="pytest --kernels 5.10 moved",
    stages={
        **REACHED,
        "relocate": {
            "status": "passed",
            "relocations": [
                {"program": "p", "insn": 3, "kind": "byte_off", "access": "struct a.b", "outcome": "poisoned",
                 "message": "struct a has no member 'b'"},
                {"program": "p", "insn": 4, "kind": "byte_off", "access": "struct a.c", "outcome": "patched"},
            ],
        },
        "load": {
            "status": "failed", "code": "relocation-unresolved", "message": "…",
            "programs": [{"name": "p", "section": "kprobe/x", "status": "failed", "errno": "EINVAL",
                          "message": "EINVAL: byte_off struct a.b: struct a has no member 'b'",
                          "log": "\n".join(f"line {n}" for n in range(40))}],
            "maps": [{"name": "m", "status": "failed", "message": "map 'm': EINVAL: the kernel refuses it"},
                     {"name": "n", "status": "failed", "message": "map 'n': ENOMEM: no memory"}],
        },
    },
)  # fmt: skip
EXPECTED = result(
    "moved",
    "6.1/i386",
    stages={**REACHED, "relocate": {"status": "failed", "code": "btf-missing"}, "load": records.not_reached()},
)
PANICKED = result("z", "5.10", outcome="error", stage="run", code="kernel-panic", message="it panicked",
                  stages={**STAGES, "run": {"status": "failed", "code": "kernel-panic"}})  # fmt: skip
ALL = [REFUSED, EXPECTED, PANICKED, result("z", "6.1/i386", warnings=["WARNING: CPU: 0\n x"])]


def drawn(width: int = 100, *, unicode: bool = True, color: bool = False, kernels: Any = KERNELS) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=color, highlight=False)
    terminal.show_matrix(console, ALL, kernels, unicode=unicode)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_matrix() -> None:
    """Rows are cases, columns kernels with release and BTF, cells three marks; the legend has what occurs."""
    lines = [line.rstrip() for line in drawn().splitlines()]
    assert lines == [
        "        5.10        6.1/i386   6.8",
        "        5.10.0-46   6.1.0-50   -",
        "case    BTF         no BTF     missing",
        "moved   ✓✗·         ○··        missing",
        "z       ✓✓‼         ✓✓✓!       missing",
        "",
        "three marks a cell: relocate, load, run",
        "✓ passed   ✗ failed   ○ refused or failed, as the case expects   ‼ the guest or the harness broke",
        "· not reached   ! the kernel printed a warning",
        "6.1/i386: this kernel (6.1.0-50-686-pae) has no BTF of its own",
        "6.1/i386: 1 case ends in relocate with btf-missing, as expected",
        "6.8: no source has this kernel",
        "4 cells: 2 passed, 1 failed, 1 guest broke, 1 with kernel warnings",
    ]


def test_colour_adds_nothing() -> None:
    """With colour, the same text; without, no escape."""
    assert "\x1b" not in drawn()
    assert "\x1b[" in drawn(color=True)


def test_ascii() -> None:
    """Where the encoding has no Unicode, the marks are ASCII."""
    text = drawn(unicode=False)
    assert "moved   +X.         o..        missing" in text
    assert "+ passed   X failed" in text


def test_many_columns_fold() -> None:
    """Columns that do not fit become a second table, and no line is wider than the terminal."""
    many = [{"spec": f"6.{n}", "release": f"6.{n}.0-56-cloud-amd64", "btf": "kernel"} for n in range(12)]
    text = drawn(80, kernels=[*KERNELS, *many])
    assert text.count("\ncase ") > 1
    assert all(f"6.{n}.0-56" in text for n in range(12))
    assert max(len(line) for line in text.splitlines() if "as the case" not in line) <= 80


def test_long_notes_are_whole() -> None:
    """A note that is wider than the terminal is not cut: the terminal wraps it."""
    note = "no modules: " + "x" * 200
    assert f"7.1: {note}\n" in drawn(80, kernels=[{"spec": "7.1", "btf": "kernel", "notes": [note]}])


def test_block() -> None:
    """One block says all, and nothing twice: code, reasons, the end of the log, refused maps, how to run it again."""
    lines = blocks.lines(REFUSED)
    why = "EINVAL: byte_off struct a.b: struct a has no member 'b'"
    assert lines[0] == f"moved on 5.10: load: relocation-unresolved: program 'p': {why} (and 4 more)"
    assert [line for line in lines[1:] if not line.startswith("    |")] == [
        "  relocate passed   load failed (relocation-unresolved)   run not-reached   BTF: kernel",
        "  for the same reason: q",
        "  p (kprobe/x): its log",
        "  also load: map-create-failed: r, s: it needs map 'm': EINVAL: the kernel refuses it",
        "  also load: kfunc-missing: t: the kernel has no such function",
        "  map 'n': ENOMEM: no memory",
        "  hint: guard the access with bpf_core_field_exists, or add a ___flavour for the other layout",
        "  evidence: cells/moved/5.10",
        "  again: pytest --kernels 5.10 moved",
    ]
    assert "    | … 28 lines before" in lines
    assert "    | line 39" in lines
    assert "    | line 0" not in lines
    assert "    | line 0" in blocks.lines(REFUSED, verbose=2)


def test_block_of_a_fixture() -> None:
    """Where no title tells of a program, its line does; what a relocation came to is said beside."""
    lines = blocks.of_stages({name: REFUSED["stages"][name] for name in ("relocate", "load")})
    assert "  p (kprobe/x): EINVAL: byte_off struct a.b: struct a has no member 'b'" in lines
    assert "  p insn 3: byte_off struct a.b: struct a has no member 'b'" not in lines
    assert lines[-2:] == ["  map 'm': EINVAL: the kernel refuses it", "  map 'n': ENOMEM: no memory"]


def test_supplied_btf_is_noted() -> None:
    """A kernel without BTF has a note on what its cells used instead."""
    names = ("supplied:a.btf", "supplied:a.btf", "supplied:b.btf", "none")
    cells = [result(str(number), "6.1/i386", btf=btf) for number, btf in enumerate(names)]
    console = Console(file=io.StringIO(), width=200, highlight=False)
    terminal.show_matrix(console, cells, [k for k in KERNELS if k["spec"] == "6.1/i386"], unicode=True)
    assert isinstance(console.file, io.StringIO)
    note = "6.1/i386: this kernel (6.1.0-50-686-pae) has no BTF of its own; 2 cells used a.btf; 1 cell used b.btf"
    assert note in console.file.getvalue().splitlines()


def test_block_of_a_broken_guest_has_its_console() -> None:
    """The last console lines are the evidence of a panic."""
    lines = blocks.lines(PANICKED, console="one\nCall Trace:\n f\n")
    assert lines[0] == "z on 5.10: run: kernel-panic: it panicked"
    assert "    | Call Trace:" in lines


def test_markdown() -> None:
    """matrix.md has the same cells, notes and blocks."""
    text = markdown.render(
        ALL, KERNELS, {"tool": "everykernel 0.1.0", "started": "now", "host": {"accelerator": "tcg"}}
    )
    assert "| case | 5.10<br>5.10.0-46<br>BTF | 6.1/i386<br>6.1.0-50<br>no BTF | 6.8<br>-<br>missing |" in text
    assert "| moved | ✓✗· | ○·· | missing |" in text
    assert "- 6.1/i386: this kernel (6.1.0-50-686-pae) has no BTF of its own" in text
    assert "```text\nload: relocation-unresolved: byte_off struct a.b: struct a has no member 'b' (1 cell)\n" in text
    assert "```text\npytest --kernels 5.10 moved\n```" in text


def test_names_cannot_steer_a_terminal() -> None:
    """Control characters in what an object is called, and in what is said of it, are shown as escapes."""
    lines = blocks.lines(result("x", "6.1", code="load-failed", message="program 'a\x1b[31m\x07': no"))
    assert lines[0] == r"x on 6.1: load-failed: program 'a\x1b[31m\x07': no"


def test_ranges_are_of_one_kind() -> None:
    """Neighbouring columns are a range only where architecture, source and loader are the same."""
    kernels = ["5.10", "6.1", "6.12", "6.1/i386", "6.12/arm64", "rocky:8", "rocky:9"]
    assert columns.ranges(kernels, kernels) == ["5.10..6.12", "6.1/i386", "6.12/arm64", "rocky:8..rocky:9"]
    assert columns.ranges(["6.1", "6.12"], ["6.1", "6.1 libbpf", "6.12"]) == ["6.1", "6.12"]
