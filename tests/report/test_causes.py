"""Failures are grouped by cause: each reason once, with all rows and kernels that have it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from everykernel.matrix.records import CaseResult
from everykernel.report import blocks, causes, diagnosis, remarks, terminal
from everykernel.report.labels import labels

KERNELS: list[Any] = [
    {"spec": spec, "release": f"{spec}.0", "btf": "kernel"} for spec in ("5.10", "6.1", "6.12", "7.3")
]
SPECS = [kernel["spec"] for kernel in KERNELS]

# What 7.3 printed for a lookup whose result nobody checked.
LOG = """6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=h,ks=4,vs=8)
7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'

Verification failed: Register Type Safety: Invalid dereference

Reason:
  R0 may be NULL here (a nullable map value pointer). The program could dereference NULL on this
  path, so the verifier cannot prove this access is safe.

At:
  null_deref @ bad.bpf.c:5:100
  Source context:
  >>> 5 | SEC("socket") int null_deref(void *ctx) { int k = 0; long *v = bpf_map_lookup...
        | ^-- error: invalid dereference of R0 (a nullable map value pointer)
  Instruction context:
  >>> 7 | (79) r0 = *(u64 *)(r0 +0)

Causal path:
  null_deref @ bad.bpf.c:5:64
  Source context:
  >>> 5 | SEC("socket") int null_deref(void *ctx) { int k = 0; long *v = bpf_map_lookup...
        |         ^-- update: R0 changed from uninitialized value to nullable map value from h with variable
        |             offset: known bits 0x0
      6 |         ...
  Instruction context:
  >>> 6 | (85) call bpf_map_lookup_elem#1

Suggestion:
  Add a NULL check before the access and dereference the pointer only on the non-NULL path.

BPF_EXIT instruction in main prog would lead to reference leak
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def cell(row: str, kernel: str, *problems: tuple[str, str, str], log: str = "", **more: Any) -> CaseResult:
    """Return a cell that failed to load for these (program, code, message)."""
    found = [{"stage": "load", "program": p, "code": c, "message": f"program {p!r}: {m}"} for p, c, m in problems]
    stage: Any = {"status": "failed", "programs": [
        {"name": p, "status": "failed", "code": c, "message": m, "log": log} for p, c, m in problems
    ]}  # fmt: skip
    made: Any = {"object": row, "case": None, "kernel": kernel, "outcome": "failed", "stage": "load",
                 "code": found[0]["code"], "message": found[0]["message"], "problems": found,
                 "stages": {"load": stage}, "again": f"run {row} {kernel}", **more}  # fmt: skip
    return made  # type: ignore[no-any-return]


def shown(results: list[CaseResult], *, verbose: int = 0, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    terminal.show(console, results, KERNELS, verbose=verbose)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_one_block_a_cause() -> None:
    """Cells of many objects and kernels that fail alike share a block: what, how many, which, and what to do, once."""
    gone = "fentry/{0}: this kernel's BTF has no function {0}"
    results = [
        cell(row, kernel, ("p", "attach-target-missing", gone.format(function)))
        for row, function in (("a.o", "do_one"), ("b.o", "do_one"), ("c.o", "do_two"))
        for kernel in SPECS[1:]
    ]
    results.append(cell("c.o", "5.10", ("q", "map-create-failed", "it needs map 'm': EINVAL: no")))
    lines = shown(results)
    at = lines.index("load: attach-target-missing (9 cells)")
    assert lines[at + 1 : at + 6] == [
        "  fentry/do_one: this kernel's BTF has no function do_one: 6.1..7.3: a.o, b.o",
        "  fentry/do_two: this kernel's BTF has no function do_two: 6.1..7.3: c.o (p)",
        "  hint: name a target that it has, or make the program optional",
        "load: map-create-failed: it needs map 'm': EINVAL: no (1 cell)",
        "  5.10: c.o (q)",
    ]
    assert lines[-1] == "again, one cell (-v shows how for each): run a.o 6.1"
    every = shown(results, verbose=1)
    assert sum(line.startswith(("a.o on ", "b.o on ", "c.o on ")) for line in every) == 10
    assert sum(line.startswith("  again: ") for line in every) == 10


def test_what_to_do_is_not_cut_off() -> None:
    """A sentence that is too long loses its middle, not the remedy in brackets behind it."""
    why = f"the kernel refuses a ringbuf {'of so many entries ' * 12}[ebpf-go takes it: --rules ebpf-go]"
    lines = shown([cell("a.o", "6.1", ("p", "map-create-failed", why))])
    assert any(line.endswith("… [ebpf-go takes it: --rules ebpf-go] (1 cell)") for line in lines)


def test_every_cell_is_named() -> None:
    """However many reasons of one kind there are, each cell that did not pass is under its cause."""
    results = [cell(f"object-{n}.o", "6.1", ("p", "kfunc-missing", f"no function 'f{n}'")) for n in range(30)]
    text = "\n".join(shown(results))
    assert all(f"object-{n}.o" in text.partition("30 cells")[2] for n in range(30))
    assert "  … and 27 more like it: 6.1: " in text


def test_the_verifier_is_quoted_once() -> None:
    """An instruction's number and its line of source are no part of a cause; the kernel's own report is shown."""
    why = "7: (79) r0 = *(u64 *)(r0 +0): R0 invalid mem access 'map_value_or_null'"
    results = [
        cell("old.o", "6.12", ("p", "verifier-rejected", f"EACCES: {why} at /build/x/bad.bpf.c:5: return *v;"),
             log="6: (85) call bpf_map_lookup_elem#1\n; return *v;\n7: (79) r0 = *(u64 *)(r0 +0)\nprocessed 7 insns "),
        cell("new.o", "7.3", ("p", "verifier-rejected", f"EACCES: {why} at /else/bad.bpf.c:9: return *v;"), log=LOG),
    ]  # fmt: skip
    lines = shown(results)
    at = lines.index(f"load: verifier-rejected: {why} at bad.bpf.c:5: return *v; (2 cells)")
    assert lines[at + 1 : at + 5] == [
        "  6.12: old.o; 7.3: new.o",
        "    | why: R0 may be NULL here (a nullable map value pointer). The program could dereference NULL on this "
        "path, so the verifier cannot prove this access is safe.",
        "    | path: bad.bpf.c:5: update: R0 changed from uninitialized value to nullable map value from h with "
        "variable offset: known bits 0x0",
        "    | try: Add a NULL check before the access and dereference the pointer only on the non-NULL path.",
    ]
    old = shown(results[:1])
    assert "    | 6: (85) call bpf_map_lookup_elem#1" in old
    assert not any("processed 7 insns" in line or "; return" in line for line in old[at:])


def test_what_a_log_repeats_is_left_out() -> None:
    """Functions of another name are the same cause, and lines that say nothing new are no evidence."""
    why = "EINVAL: this kernel takes no pointers in global functions: Arg#0 type PTR in {}() is not supported yet."
    results = [
        cell(f"{name}.o", "5.10", ("p", "verifier-rejected", why.format(name)),
             log=f"Validating {name}() func#1...\nArg#0 type PTR in {name}() is not supported yet.\n"
             "0: R1=ctx() R10=fp0\n R0_w=inv1 R10=fp0\nprocessed 0 insns (limit 1000000)\n")
        for name in ("eval", "takes")
    ]  # fmt: skip
    lines = shown(results)
    at = lines.index("load: verifier-rejected (2 cells)")
    assert lines[at + 1 : at + 5] == [
        "  this kernel takes no pointers in global functions: Arg#0 type PTR in eval() is not supported yet.",
        "      5.10: eval.o (p)",
        "  this kernel takes no pointers in global functions: Arg#0 type PTR in takes() i…: 5.10: takes.o (p)",
        "  hint: read the failing instruction and its source line",
    ]


def test_a_report_takes_the_place_of_the_last_lines() -> None:
    """A cell's own block has the verifier's words and the kernel's report in brief; with -vv the whole log."""
    result = cell("new.o", "7.3", ("p", "verifier-rejected", "EACCES: no"), log=LOG)
    lines = blocks.lines(result)
    at = lines.index("    | R0 invalid mem access 'map_value_or_null'")
    assert [line[:12] for line in lines[at + 1 : at + 4]] == ["    | why: R", "    | path: ", "    | try: A"]
    assert "    | Causal path:" not in lines
    assert "    | Causal path:" in blocks.lines(result, verbose=2)


@pytest.mark.parametrize("cut", range(0, len(LOG), 40))
def test_a_report_that_ends_early_is_read_as_far_as_it_goes(cut: int) -> None:
    """A log may end anywhere: what is there is told, and nothing raises."""
    before, report = diagnosis.split(LOG[:cut])
    assert LOG.startswith(before)
    if report is not None:
        assert report.reason
        assert " ".join(LOG.split()).find(report.reason) > 0


def test_a_broken_guest_has_its_console() -> None:
    """The end of the console is the evidence of a guest that broke."""
    broke: Any = {"object": "a.o", "kernel": "6.1", "outcome": "error", "stage": "load", "code": "kernel-panic",
                  "message": "it panicked", "stages": {}, "problems": []}  # fmt: skip
    found = causes.find([broke], [{"result": broke, "console": "one\nBUG: x\nCall Trace:\n f+0x1\n"}])
    (lines,) = causes.lines(found, {"a.o": "a.o"}, SPECS)
    assert lines == [
        "load: kernel-panic: it panicked (1 cell)",
        "  6.1: a.o",
        "    | BUG: x",
        "    | Call Trace:",
        "    |  f+0x1",
        "  hint: read the trace in the console",
    ]


def test_48_objects_on_4_kernels_fit() -> None:
    """A run of 192 cells, a third of which fail for nine kinds of reasons, is told in 150 lines of 100 columns."""
    kinds = [
        ("attach-target-missing", "fentry/gone_{}: this kernel's BTF has no function gone_{}"),
        ("map-create-failed", "it needs map 'm{}': EINVAL: the kernel refuses a ringbuf of 1{} entries"),
        ("limit-exceeded", "it needs map 'm{}': ENOMEM: there is no memory for 1{} entries of 72 bytes"),
        ("object-unsupported", "section 'sec{}/x{}' stands for no program type"),
        ("relocation-unresolved", "EINVAL: byte_off struct a{}.b: struct a has no member 'b{}' at /b/x.bpf.c:1: x->b"),
        ("verifier-rejected", "EACCES: {}: (79) r0 = *(u64 *)(r0 +0): R0 is bad at /b/x.bpf.c:1{}: y->b"),
        (
            "helper-unsupported",
            "EINVAL: this kernel does not have helper bpf_x{}: {}: (85) call bpf_x#57: unknown func",
        ),
        ("kfunc-missing", "the kernel has no function 'f{}', nor its like {}"),
        ("ksym-missing", "the kernel has no symbol 's{}', nor its like {}"),
    ]
    rows = [f"objects/some-project__pkg__with__a__very__long__path__probe{n}_bpfel.o" for n in range(48)]
    results: list[Any] = []
    for number, row in enumerate(rows):
        for kernel in SPECS:
            if number % 3:
                results.append({"object": row, "kernel": kernel, "outcome": "passed", "stages": {}})
            else:
                code, why = kinds[number // 3 % len(kinds)]
                results.append(cell(row, kernel, (f"prog{number}", code, why.format(number, number)), log=LOG))
    lines = shown(results)
    assert sum(max(1, -(-len(line) // 100)) for line in lines) <= 150
    _, names = labels(rows, 40)
    assert len(set(names.values())) == 48


def test_remarks_are_grouped() -> None:
    """What changes a verdict's meaning is said in one line a kind; what a case asked for itself is not."""
    results: list[Any] = [
        {
            "object": f"{name}.o", "kernel": kernel, "outcome": "passed", "granted": {"memory": 1024},
            "machine": {"memory": None}, "notes": ["x.btf is not used: the kernel has BTF of its own"],
            "stages": {
                "relocate": {"notes": [f"legacy maps section 'maps/{name}': libbpf 1.x refuses this object"]},
                "load": {
                    "status": "passed",
                    "notes": ["map 'm': max_entries 0 -> 9, as the contract says"],
                    "maps": [{"name": f"events_{name}", "note": "max_entries was 0: 2, one a CPU"},
                             {"name": "p", "note": "pinned at /sys/fs/bpf/p"}],
                    "whole": {"loader": "libbpf 1.7", "status": "failed", "message": "'slot' is poisoned"},
                },
            },
        }
        for name in ("a", "b", "c")
        for kernel in SPECS
    ]  # fmt: skip
    names = {f"{name}.o": f"{name}.o" for name in "abc"}
    assert remarks.lines(results, names, SPECS) == [
        "legacy maps section 'maps/a': libbpf 1.x refuses this object (and 2 more like it): 5.10..7.3: a.o and 2 more",
        "map 'events_a': max_entries was 0: 2, one a CPU (and 2 more like it): 5.10..7.3: a.o and 2 more",
        "its guest was given 1024 MiB of memory: 5.10..7.3: a.o and 2 more",
        "libbpf 1.7 refuses the object as a whole: 'slot' is poisoned: 5.10..7.3: a.o and 2 more",
    ]
    assert any(line.startswith("legacy maps section") for line in shown(results))
