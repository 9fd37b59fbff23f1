"""Cases fail when they should: spoilt on purpose, each is found out by its own truth and not by accident."""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from tests.test_cases import NEEDS_NO_BTF

from everykernel import folders
from everykernel.compile import compile_all, jobs
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines
from everykernel.matrix import case as cases
from everykernel.matrix.case import Case
from everykernel.matrix.cell import run_cell
from everykernel.matrix.expect import Expectation
from everykernel.matrix.records import CaseResult

pytestmark = pytest.mark.vm

CASES = folders.data("cases")
Run = Callable[[Case, str], CaseResult]


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs())


@pytest.fixture
def run(machines: Machines, columns: dict[str, Kernel]) -> Run:
    """Run a case on one of the kernels and return its result."""

    def run(case: Case, spec: str) -> CaseResult:
        kernel = columns[spec]
        report = run_cell(lambda: machines.start(kernel, case.machine), kernel, case, timeout=30)
        return report["result"]

    return run


def named(name: str) -> Case:
    return cases.read(CASES / name / "case.toml")


def core_cases() -> list[str]:
    return sorted(path.parent.name for path in CASES.glob("*/case.toml") if path.parent.name not in NEEDS_NO_BTF)


def spoilt_source(tmp_path: Path, name: str, file: str, old: str, new: str) -> Case:
    """Return a copy of a case with one text replaced, compiled."""
    folder = tmp_path / "cases" / name
    shutil.copytree(CASES / name, folder, ignore=shutil.ignore_patterns("build"))
    source = (folder / file).read_text()
    assert source.count(old) == 1
    (folder / file).write_text(source.replace(old, new))
    compile_all(jobs([str(folder)]))
    return cases.read(folder / "case.toml")


def without_relocations(case: Case, tmp_path: Path, kernel: Kernel) -> Case:
    """Return the case with an object whose .BTF.ext lists no CO-RE records."""
    path = case.object_path(kernel.arch)
    data = bytearray(path.read_bytes())
    section = ELFFile(io.BytesIO(data)).get_section_by_name(".BTF.ext")
    assert section is not None
    length_at = section["sh_offset"] + 28  # struct btf_ext_header.core_relo_len
    assert struct.unpack_from("<I", data, length_at)[0] > 0
    struct.pack_into("<I", data, length_at, 0)
    spoilt = tmp_path / path.name
    spoilt.write_bytes(data)
    return replace(case, object=str(spoilt))


@pytest.mark.parametrize("name", core_cases())
def test_a_case_notices_that_nothing_was_relocated(
    run: Run, columns: dict[str, Kernel], tmp_path: Path, name: str
) -> None:
    """No CO-RE case passes with the offsets, sizes and values of its own declarations on the oldest and the newest."""
    case = without_relocations(named(name), tmp_path, columns["6.12"])
    result = run(case, "6.12")
    if result["outcome"] == "passed":  # it has all that the object was compiled for: the oldest kernel has not
        result = run(case, "5.10")
    assert result["outcome"] == "failed"
    assert result["stage"] in ("load", "run")


@pytest.mark.parametrize("name", ["kprobe_registers", "ringbuf_events", "tracepoint_context"])
def test_a_case_notices_an_object_made_for_another_target(run: Run, name: str) -> None:
    """An object with amd64's registers and context layouts does not pass on i386."""
    case = named(name)
    result = run(replace(case, object=case.object.replace("{arch}", "x86_64")), "6.1/i386")
    assert result["outcome"] == "failed"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("arena", "page[i].next = ours;", "page[i].next = NULL;"),
        ("cgroup_maps", "*many += 1;", "*many += 2;"),
        ("cgroup_maps", "*own += 1;", "*own += 2;"),
        ("cgroup_maps", "&cgroups, 1)", "&cgroups, 0)"),
        ("cgrp_storage", "__sync_fetch_and_add(calls, 1)", "__sync_fetch_and_add(calls, 2)"),
        ("freplace", "return number * number;", "return number;"),
        ("inode_storage", "opened->times++;", "opened->times = 1;"),
        ("iter_map", "*value += 1;", "*value += 2;"),
        ("ksyscall", "result = (ek_long)PT_REGS_RC(ctx);", "result = 0;"),
        ("lsm_cgroup", "return type != forbidden_type;", "return 1;"),
        ("sleepable", "return changed_result;", "return 0;"),
        ("sockhash", "return bpf_msg_redirect_hash(ctx, &sockets, mark, BPF_F_INGRESS);", "return SK_PASS;"),
        ("stack_trace", "bpf_get_stackid(ctx, &stacks, 0)", "bpf_get_stackid(ctx, &stacks, 1)"),
        ("struct_ops", "ek_plain", "ek_other"),
        ("struct_ops_test_run", "state->val *= 3;", "state->val *= 4;"),
        ("syscall", "max_entries = ctx->max_entries;", "max_entries = 1;"),
        ("task_storage", "calls->count++;", "calls->count += 2;"),
        ("usdt", "collected = number;", "collected = number + 1;"),
        ("usdt_sites", "&places[number & (PLACES - 1)]", "&places[0]"),
        ("user_ringbuf", "last = command.number;", "last = 0;"),
        ("xskmap", "return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);", "return XDP_PASS;"),
    ],
)
def test_a_case_notices_a_program_that_does_something_else(
    run: Run, tmp_path: Path, name: str, old: str, new: str
) -> None:
    """A program with one line changed attaches as before, and what the rest of the guest knows tells on it."""
    result = run(spoilt_source(tmp_path, name, "prog.bpf.c", old, new), "6.12")
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "run", "assertion-failed")


def test_an_assertion_in_the_program_names_its_line(run: Run, tmp_path: Path) -> None:
    """The report says cases/<name>/prog.bpf.c and the line of the assertion that failed in the kernel."""
    case = spoilt_source(tmp_path, "helpers_agree", "prog.bpf.c", "EK_ASSERT(i > 0);", "EK_ASSERT(i > 16);")
    result = run(case, "6.1")
    lines = (tmp_path / "cases" / "helpers_agree" / "prog.bpf.c").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "i > 16" in line)
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "run", "assertion-failed")
    assert result["message"] == f"cases/helpers_agree/prog.bpf.c:{number}: assertion failed"


def test_an_assertion_in_the_check_names_its_line(run: Run, tmp_path: Path) -> None:
    """A check that fails is reported with its file, line and message."""
    case = spoilt_source(
        tmp_path, "field_moved", "case.py", "assert truth[", 'assert 1 == 2, "spoilt"\n        assert truth['
    )
    result = run(case, "6.1")
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "run", "assertion-failed")
    lines = (tmp_path / "cases" / "field_moved" / "case.py").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "spoilt" in line)
    assert result["message"].endswith(f"field_moved/case.py:{number}: spoilt")


def test_a_trigger_that_fails_is_told(run: Run) -> None:
    """A trigger with a bad exit code fails the run stage."""
    result = run(replace(named("helpers_agree"), trigger=("/bin/false",)), "6.1")
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "run", "assertion-failed")
    assert "/bin/false ended with exit code 1" in result["message"]


def test_a_refusal_that_nobody_expects_fails_the_case(run: Run) -> None:
    """Without its expectations, the case of unresolvable accesses fails with their code, naming the access."""
    result = run(replace(named("unresolved"), expect=()), "6.12")
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "load", "relocation-unresolved")
    assert "no_such_field" in result["message"]


def test_a_refusal_that_does_not_come_fails_the_case(run: Run) -> None:
    """An expected failure that passes is as wrong as the other way round."""
    expected = Expectation("load", "failed", "relocation-unresolved", program="sound")
    case = named("unresolved")
    result = run(replace(case, expect=(expected, *case.expect)), "6.1")
    assert (result["outcome"], result["stage"]) == ("failed", "load")
    assert "sound" in result["message"]


def test_a_refusal_for_another_reason_fails_the_case(run: Run) -> None:
    """The reason code is part of what is expected."""
    case = named("unresolved")
    wrong = tuple(replace(entry, code="verifier-rejected") if entry.program else entry for entry in case.expect)
    result = run(replace(case, expect=wrong), "6.1")
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "load", "relocation-unresolved")


def test_without_btf_nothing_is_taken_for_granted(run: Run) -> None:
    """On the kernel without BTF a CO-RE case that does not say so fails with btf-missing."""
    result = run(replace(named("field_moved"), expect=()), "6.1/i386")
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "relocate", "btf-missing")
