"""`btf archive` of real tools: libbpf makes of each minimised BTF what it makes of the whole, and of bpftool's."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from tests.conformance import generated, libbpf, relocating

from everykernel import cli, core, kernels
from everykernel.btf import Btf
from everykernel.btf.subset import Subset
from everykernel.core import needed, relokinds
from everykernel.kernels.debian import Archive, unpack
from everykernel.kernels.supplied import Supply
from everykernel.object import embedded, read

pytestmark = pytest.mark.conformance

TOOLS = ("biosnoop", "filetop", "opensnoop", "runqslower", "tcpconnect")
BPFTOOL = "/usr/sbin/bpftool"  # not on every user's PATH


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Objects of Debian's libbpf-tools, carved out of the programs that hold them."""
    archive, folder = Archive(), tmp_path_factory.mktemp("tools")
    entry = archive.package("trixie", "libbpf-tools", "amd64")
    assert entry is not None
    for member, content in unpack(archive.fetch(entry)):
        name = Path(member.name).name.removesuffix("-libbpf")
        if content is not None and name in TOOLS:
            (data,) = embedded.carve(content.read())
            (folder / f"{name}.o").write_bytes(data)
    found = sorted(folder.iterdir())
    assert len(found) == len(TOOLS)
    return found


def _numbered(path: Path) -> set[str]:
    """Return the programs that ask for a target type's id: a number in the BTF that was given, another in each."""
    spec = read(path.read_bytes(), path.name)
    asking = {f.name for f in spec.functions.values() if any(r.kind == relokinds.TYPE_ID_TARGET for _, r in f.core)}
    return {program.name for program in spec.programs if asking & {program.function}}


def test_libbpf_makes_the_same_of_six_kernels(tools: list[Path], tmp_path: Path) -> None:
    """Whole, ours and bpftool's give the same instructions and the same refusals, and `--btf` finds ours."""
    top, symbols = tmp_path / "tree", tmp_path / "kallsyms"
    symbols.touch()
    command = ["btf", "archive", *map(str, tools), "--kernels", relocating.KERNELS, "--out", str(top), "--tar-xz"]
    assert cli.main(command) == 0
    oracle = libbpf.Oracle(Archive(), tmp_path)
    resolved = [one.fetch() for one in kernels.resolve(relocating.KERNELS)]
    assert len(resolved) == 6
    compared = 0
    for kernel in resolved:
        raw = kernels.btf(kernel)
        assert raw is not None
        found = Supply.parse(str(top)).find(kernel.release, kernel.arch, kernel.source)
        assert found is not None
        files = {name: tmp_path / f"{name}.btf" for name in ("whole", "ours", "theirs")}
        files["whole"].write_bytes(raw)
        files["ours"].write_bytes(found.data)
        assert len(found.data) * 50 < len(raw)
        asked = [BPFTOOL, "gen", "min_core_btf", str(files["whole"]), str(files["theirs"]), *map(str, tools)]
        subprocess.run(asked, check=True, capture_output=True)
        for path in tools:
            apart = _numbered(path)
            answers = {name: oracle.relocate(path, libbpf.Files(btf, symbols)) for name, btf in files.items()}
            for one in zip(*answers.values(), strict=True):
                assert all(isinstance(verdict, libbpf.Verdict) for verdict in one)
                whole, *others = [(v.program, v.errno, v.code) for v in one if isinstance(v, libbpf.Verdict)]
                if whole[0] not in apart:
                    assert others == [whole, whole], f"{path.name} on {kernel.spec}"
                    compared += 1
    assert compared >= 6 * len(tools)


@pytest.mark.parametrize("seed", random.Random(13).sample(range(1 << 30), 60))
def test_generated_objects_relocate_alike(seed: int) -> None:
    """Of random objects and kernels every record comes to the same against whole and subset, ids of types aside."""
    sample = generated.sample(seed, big=bool(seed % 2))
    kernel = Btf.parse(sample.target)
    subset = Subset(kernel)
    for program in sample.programs:
        needed.keep(program.records, sample.local, core.Target(kernel), subset)
    small = Btf.parse(subset.image())
    small.check()
    for program in sample.programs:
        sessions = [core.Session(sample.local, core.Target(btf)) for btf in (kernel, small)]
        for index, record in enumerate(program.records):
            insn = program.code[record.insn_off : record.insn_off + 16]
            whole, cut = (core.compute(record, index, s.local, s.target, insn, s) for s in sessions)
            assert whole.outcome == cut.outcome, (record, whole.message, cut.message)
            if record.kind != relokinds.TYPE_ID_TARGET:
                assert (whole.target, whole.insn) == (cut.target, cut.insn), record
