"""The cases as data: each is whole, honest about what it needs, and compiled for each target's own layouts."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from everykernel import folders
from everykernel.architectures import ARCHITECTURES
from everykernel.btf import Btf, ext, kinds
from everykernel.compile import compile_all, jobs
from everykernel.matrix import case as cases
from everykernel.matrix.expect import Conditions, find

FOLDERS = sorted(path.parent for path in folders.data("cases").glob("*/case.toml"))
NEEDS_NO_BTF = {
    "arena",
    "bloom_filter",
    "cgroup_addr6",
    "cgroup_device",
    "cgroup_maps",
    "cgroup_skb",
    "cgroup_sock",
    "cgroup_sock_addr",
    "cgroup_sockopt",
    "cgroup_sysctl",
    "cgroup_unix",
    "classifier",
    "clsact",
    "flow_dissector",
    "freplace",
    "fsession",
    "insn_array",
    "iter_map",
    "kprobe_multi",
    "kprobe_registers",
    "ksyscall",
    "lirc",
    "lsm_cgroup",
    "lwt",
    "map_types",
    "misread_tracepoint",
    "netfilter",
    "netkit",
    "percpu_maps",
    "perf_event_faults",
    "perfbuf_events",
    "raw_tracepoint_hash",
    "raw_tracepoint_writable",
    "reuseport_migrate",
    "ringbuf_events",
    "sk_lookup",
    "sleepable",
    "sock_ops",
    "socket_attach",
    "socket_filter",
    "sockhash",
    "sockmap",
    "sockmap_parser",
    "stack_trace",
    "struct_ops",
    "struct_ops_link",
    "struct_ops_test_run",
    "subprograms_globals",
    "syscall",
    "tcx",
    "test_runs",
    "tracepoint_context",
    "uprobe",
    "uprobe_multi",
    "uprobe_session",
    "usdt",
    "usdt_sites",
    "user_ringbuf",
    "xdp_link",
    "xdp_maps",
    "xdp_test_run",
    "xskmap",
}
NEWER = {
    "arena",
    "bloom_filter",
    "cgroup_unix",
    "cgrp_storage",
    "freplace",
    "fsession",
    "insn_array",
    "iter_map",
    "kprobe_multi",
    "lirc",
    "lsm_cgroup",
    "misread_enumerator",
    "misread_tracepoint",
    "netfilter",
    "netkit",
    "reuseport_migrate",
    "sleepable",
    "sockmap_parser",
    "struct_ops",
    "struct_ops_link",
    "struct_ops_test_run",
    "syscall",
    "task_storage",
    "tcx",
    "test_runs",
    "uprobe_multi",
    "uprobe_session",
    "usdt",
    "user_ringbuf",
    "xdp_maps",
}
"""Cases of what not every kernel of the matrix has, for other reasons than relocation."""
every_case = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs())


def btf_of(path: Path) -> tuple[Btf, ext.BtfExt]:
    elf = ELFFile(io.BytesIO(path.read_bytes()))
    sections = {section.name: section.data() for section in elf.iter_sections() if section.name.startswith(".BTF")}
    btf = Btf.parse(sections[".BTF"], name=path.name)
    return btf, ext.parse(sections[".BTF.ext"], btf, name=path.name)


def struct_of(btf: Btf, name: str) -> kinds.Struct:
    number = btf.find(name, "struct")
    assert number is not None
    found = btf.type(number)
    assert isinstance(found, kinds.Struct)
    return found


@every_case
def test_a_case_reads(folder: Path) -> None:
    """Every case.toml is valid, described, and has its object for each architecture."""
    case = cases.read(folder / "case.toml")
    assert case.name == folder.name
    assert case.description
    assert not case.description.endswith(".")
    for arch in ARCHITECTURES.values():
        assert case.object_path(arch).is_file()
    assert case.check or case.trigger
    assert all(entry.reason for entry in case.expect)


@every_case
def test_a_source_stands_alone(folder: Path) -> None:
    """Every program may be loaded by anybody, declares its own kernel types, and includes what cases/include has."""
    for source in folder.glob("*.bpf.c"):
        text = source.read_text()
        assert text.startswith("// SPDX-License-Identifier: MIT OR GPL-2.0-only\n")
        assert 'char LICENSE[] SEC("license") = "Dual MIT/GPL";' in text
        assert "#include <everykernel.h>" in text
        assert "vmlinux.h" not in text


@every_case
def test_a_check_needs_only_the_standard_library(folder: Path) -> None:
    """Every check defines check(obj) and imports nothing that the guest lacks."""
    path = folder / "case.py"
    tree = ast.parse(path.read_text(), feature_version=(3, 11))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [argument.arg for argument in functions["check"].args.args] == ["obj"]
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {
        "contextlib",
        "ctypes",
        "errno",
        "gc",
        "mmap",
        "os",
        "pathlib",
        "re",
        "resource",
        "shutil",
        "signal",
        "socket",
        "struct",
        "subprocess",
        "sys",
    } | {
        "tempfile",
        "threading",
        "time",
    }
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))


@every_case
def test_what_needs_btf_says_so(folder: Path) -> None:
    """A case with CO-RE records expects btf-missing where there is no BTF, one without expects to pass there."""
    case = cases.read(folder / "case.toml")
    records = {arch.name: btf_of(case.object_path(arch))[1].core for arch in ARCHITECTURES.values()}
    needs_btf = [name for name, core in records.items() if any(core.values())]
    assert needs_btf in ([], list(ARCHITECTURES))
    assert bool(needs_btf) == (folder.name not in NEEDS_NO_BTF)
    expected = find(case.expect, Conditions((6, 1), "i386", "none"), "relocate")
    if needs_btf:
        assert expected is not None
        assert (expected.status, expected.code) == ("failed", "btf-missing")
    else:
        assert expected is None
        on_x86 = [entry for entry in case.expect if entry.arch in ("", "x86_64", "i386")]
        assert bool(on_x86) == (folder.name in NEWER)


@pytest.mark.parametrize(
    ("case", "struct", "member", "offsets"),
    [
        ("tracepoint_context", "sched_switch", 4, {8: 32, 4: 32}),
        ("tracepoint_context", "sched_switch", 5, {8: 40, 4: 36}),
        ("ringbuf_events", "ek_sys_enter", 2, {8: 16, 4: 12}),
    ],
)
def test_layouts_are_the_targets(case: str, struct: str, member: int, offsets: dict[int, int]) -> None:
    """Tracepoint contexts are laid out for the kernel, by the size of its pointers, not for the machine that BPF is."""
    for name, row in ARCHITECTURES.items():
        btf, _ = btf_of(folders.data("cases") / case / "build" / name / "prog.bpf.o")
        assert struct_of(btf, struct).members[member].bit_offset // 8 == offsets[row.pointer_size], name


# By architecture, the size of struct pt_regs; the others have a struct of user space's, cast where it is used.
REGISTERS = {
    "x86_64": 21 * 8,
    "i386": 17 * 4,
    "armhf": 18 * 4,
    "ppc64el": 44 * 8,
}


@pytest.mark.parametrize("arch", list(REGISTERS))
def test_registers_are_the_kernels(arch: str) -> None:
    """The struct of the registers has the size that the kernel's has."""
    btf, _ = btf_of(folders.data("cases") / "kprobe_registers" / "build" / arch / "prog.bpf.o")
    assert struct_of(btf, "pt_regs").size == REGISTERS[arch]
