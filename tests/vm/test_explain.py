"""What `explain` says is true on real kernels, and the C that it proposes compiles and works there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests import idiomatic

from everykernel import cli, core
from everykernel.cli.sources import Source, sources
from everykernel.core import idioms, reads
from everykernel.core.explain import Explanation, explain, together
from everykernel.core.idioms import Rename
from everykernel.core.spec import Spec, parse
from everykernel.load.programs.link import reached
from everykernel.object import ObjectSpec, read

pytestmark = pytest.mark.vm

KERNELS = ["5.10", "6.1", "6.12", "6.18", "7.3"]
SOURCES = ("explained", "module_type")
FOLDER = Path(__file__).with_name("objects")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with explained.o and module_type.o."""
    folder = tmp_path_factory.mktemp("explain")
    flags = ["-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"]
    for name in SOURCES:
        source, out = FOLDER / f"{name}.bpf.c", folder / f"{name}.o"
        subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)
    return folder


@pytest.fixture(scope="module")
def found() -> list[Source]:
    """The kernels' BTF."""
    return list(sources(KERNELS))


Snippet = tuple[str, Spec, tuple[Rename, ...], dict[str, str]]


def _snippets(spec: ObjectSpec, found: list[Source]) -> dict[str, Snippet]:
    """Return every idiom that is printed, by its access: the C, the path, other names, and what each kernel has."""
    assert spec.btf is not None
    fixups: dict[str, core.Fixup] = {}
    explanations: dict[str, list[Explanation]] = {}
    outcomes: dict[str, dict[str, str]] = {}
    targets = {s.label: core.Target(s.btf) for s in found}
    for label, target in targets.items():
        session = core.Session(spec.btf, target)
        others = [t for t in targets.values() if t is not target]
        for program in spec.programs:
            for applied in core.relocate_program(spec, program, session).applied:
                fixup = applied.fixup
                if fixup.kind not in ("byte_off", "enumval_value"):
                    continue
                fixups[fixup.access] = fixup
                outcomes.setdefault(fixup.access, {})[label] = fixup.outcome
                if fixup.outcome != core.PATCHED and fixup.code != "relocation-ambiguous":  # that is told in words
                    told = explain(fixup, spec.btf, target, others)
                    explanations.setdefault(fixup.access, []).append(told)
    snippets = {}
    for access, all_told in explanations.items():
        renames = tuple(dict.fromkeys(e.rename for e in all_told if e.rename is not None))
        idiom = together(all_told, fixups[access], spec.btf)
        assert idiom, access
        snippets[access] = (idiom, parse(fixups[access].record, spec.btf), renames, outcomes[access])
    return snippets


def test_every_idiom_compiles_and_works_on_every_kernel(objects: Path, found: list[Source], tmp_path: Path) -> None:
    """Relocated, no idiom is refused or reaches what is not there, and one with another name reads just one of them."""
    spec = read((objects / "explained.o").read_bytes(), "explained.o")
    snippets = _snippets(spec, found)
    assert set(snippets) == {
        "struct task_struct.state", "struct task_struct.cpu", "struct bio.bi_issue.value",
        "struct bio___own.issue_time_ns", "struct inode.i_ctime.tv_sec", "struct request.rq_disk",
        "struct task_struct.comm[20]", "struct task_struct.nowhere", "struct task_struct.large_nowhere",
        "struct task_struct.bits_nowhere",
        "struct folio.flags", "enum bpf_func_id___mine::BPF_FUNC_loop___mine", "struct irq_info.slot",
        "struct trace_event_raw_kfree_skb.reason",
    }  # fmt: skip
    for access, (idiom, path, renames, outcomes) in snippets.items():
        made = idiomatic.compiled(idiom, path, renames, tmp_path)
        for source in found:
            target = core.Target(source.btf)
            assert idiomatic.failures(made, target) == [], f"{source.label}: {access}"
            has = outcomes[source.label] == core.PATCHED
            live = idiomatic.live(made, idiomatic.relocated(made, target))
            read_ = [a for a in live if a.fixup.kind in ("byte_off", "enumval_value")]
            if has or renames:
                assert len({a.fixup.access for a in read_}) == 1, f"{source.label}: {access}: {read_}"


def test_the_names_that_are_offered_are_the_kernels_own(objects: Path, found: list[Source]) -> None:
    """Renames of real kernels are found, by what the object reads itself, by name, by place."""
    spec = read((objects / "explained.o").read_bytes(), "explained.o")
    renames = {access: {".".join(r.path) for r in s[2]} for access, s in _snippets(spec, found).items() if s[2]}
    assert renames == {
        "struct task_struct.state": {"__state"},
        "struct task_struct.cpu": {"thread_info.cpu"},
        "struct bio.bi_issue.value": {"issue_time_ns"},
        "struct inode.i_ctime.tv_sec": {"i_ctime_sec"},
    }


def test_idioms_for_misreads_compile_and_adapt(objects: Path, found: list[Source], tmp_path: Path) -> None:
    """What is misread is named with the kernels, and its idiom is no misread on any."""
    spec = read((objects / "explained.o").read_bytes(), "explained.o")
    assert spec.btf is not None
    target = core.Target(found[0].btf)
    relocated = [core.relocate_program(spec, p, core.Session(spec.btf, target)) for p in spec.programs]
    fixups = {a.fixup.access: a.fixup for r in relocated for a in r.applied if a.fixup.kind == "byte_off"}
    for access in ("struct task_struct.on_cpu", "struct in6_addr.in6_u.u6_addr32[1]"):
        path = fixups[access].paths[0]
        made = idiomatic.compiled(idioms.of_misread(path), path, (), tmp_path)
        assert made.btf is not None
        (program,) = made.programs
        for source in found:
            whole = core.relocate_program(made, program, core.Session(made.btf, core.Target(source.btf)))
            parts = reached(made.functions[program.function], made.functions)
            assert whole.failed is None
            assert reads.Finder(made).find(program, parts, whole).misreads == []


def test_an_enumerator_that_is_misread_is_taken_from_the_kernel(
    objects: Path, found: list[Source], tmp_path: Path
) -> None:
    """The idiom has the value of each kernel that has the enum, and the object's own on the one that has none."""
    spec = read((objects / "explained.o").read_bytes(), "explained.o")
    assert spec.btf is not None
    session = core.Session(spec.btf, core.Target(found[1].btf))
    applied = [a for p in spec.programs for a in core.relocate_program(spec, p, session).applied]
    path = next(a.fixup.paths[0] for a in applied if a.fixup.access == "struct trace_event_raw_kfree_skb.reason")
    idiom = idioms.of_misread(path, "SKB_DROP_REASON_NO_SOCKET")
    made = idiomatic.compiled(idiom, path, (), tmp_path, "SKB_DROP_REASON_NO_SOCKET = 3")
    taken = {}
    for source in found:
        target = core.Target(source.btf)
        assert idiomatic.failures(made, target) == [], source.label
        live = idiomatic.live(made, idiomatic.relocated(made, target))
        taken[source.label] = [a.fixup.target for a in live if a.fixup.kind == "enumval_value"]
    assert taken == {"5.10": [], "6.1": [2], "6.12": [3], "6.18": [3], "7.3": [3]}


def test_what_is_printed(objects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels, modules, misreads: each with what is true of it."""
    assert cli.main(["explain", str(objects / "explained.o"), "--kernels", "6.1,6.12,7.3"]) == 1
    out = capsys.readouterr().out
    assert "near: struct bio.issue_time_ns (u64 issue_time_ns): the object reads it through struct bio___own" in out
    assert "has it, of the kernel's 3 types of this name; what is accessed before it left only" in out
    assert "taken for int on_cpu, 4 bytes; 7.3: u8 on_cpu, 1 byte" in out
    assert "taken for SKB_DROP_REASON_NO_SOCKET = 3; 6.1: SKB_DROP_REASON_NO_SOCKET = 2" in out
    assert "; give the local type a member that only the wanted one has, and access that first" in out
    assert "bi_iter" not in out


def test_a_type_of_a_module_is_found_without_booting(objects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What only a module has is said to be module-missing, with the module; `btf find` knows where it is."""
    assert cli.main(["explain", str(objects / "module_type.o"), "--kernels", "6.12,7.3"]) == 0
    out = capsys.readouterr().out
    where = "6.12..7.3: only where module nfs is loaded"
    assert f'{where}; without, it is module-missing [modules = ["nfs"] in the case\'s machine]\n' in out
    assert f"has struct nfs_inode\n  asked by there\n  there: yes (6.12..7.3)\n  {where}\n" in out
    assert "the kernel has no struct" not in out
    assert cli.main(["btf", "find", "6.12", "nfs_inode"]) == 2
    assert "everykernel btf find 6.12 nfs_inode --module nfs]" in capsys.readouterr().err
    assert cli.main(["btf", "find", "6.12", "nfs_inode", "--module", "nfs"]) == 0
    assert "struct nfs_inode" in capsys.readouterr().out
