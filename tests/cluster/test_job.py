"""A cell that travels is the cell that was sent: what it reads from files there, it reads here."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from everykernel import cache
from everykernel.architectures import ARCHITECTURES
from everykernel.cluster import blobs, job
from everykernel.cluster.job import Job, Settings
from everykernel.cluster.packing import Packer
from everykernel.errors import UsageError
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supply, for_kernel
from everykernel.loaders.adapter import Adapter
from everykernel.machine import fake
from everykernel.matrix import case

from ..btfwriter import Writer

ARCH = ARCHITECTURES["x86_64"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def travel(sent: case.Case, kernel: Kernel, supplies: list[Supply]) -> tuple[job.ArrivedCase, list[Supply]]:
    """Send a case, take it in where its files are gone, and return it with the BTF of the command line."""
    packer = Packer("session", Settings("auto", 60.0, 1, None), supplies)
    came: Job = pickle.loads(pickle.dumps(packer.job(kernel, "linux-image", ("pack", "image"), sent)))
    for digest in (*came.small, *came.large):
        if digest not in ("pack", "image"):
            for offset, chunk, last in packer.chunks(digest):
                blobs.put(digest, offset, chunk, last, "session")
    data = {digest: blobs.read(digest) or b"" for digest in came.small}
    return job.arrive(came, data), [job.supply(one, data) for one in came.supplies]


def test_objects_checks_and_programs(tmp_path: Path) -> None:
    """Objects, those beside them, the check and a real loader's program are read as they were."""
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "one.bpf.o").write_bytes(b"one")
    (folder / "two.bpf.o").write_bytes(b"two")
    (folder / "check.py").write_text("def check(obj): ...\n")
    (folder / "adapter").write_bytes(b"adapter" * 1_000_000)  # more than one part
    (folder / "case.toml").write_text('objects = ["one.bpf.o", "two.bpf.o"]\ncheck = "check.py"\n')
    sent = replace(case.read(Path("both/case.toml")), adapter=Adapter("mine", folder / "adapter"))
    before = (sent.object_data(ARCH), sent.beside_data(ARCH), sent.check_source(), sent.content(ARCH))
    names = (sent.object_shown(ARCH), sent.source_line(ARCH, 4), sent.loader, sent.folder)
    arrived, _ = travel(sent, fake.kernel(), [])
    for path in folder.iterdir():
        path.unlink()
    assert (
        arrived.object_data(ARCH),
        arrived.beside_data(ARCH),
        arrived.check_source(),
        arrived.content(ARCH),
    ) == before
    assert (arrived.object_shown(ARCH), arrived.source_line(ARCH, 4), arrived.loader, arrived.folder) == names
    assert arrived.adapter is not None
    assert arrived.adapter.program.read_bytes() == b"adapter" * 1_000_000


def test_commands_and_their_files(tmp_path: Path) -> None:
    """A command's tree has the same files, bytes, permissions and bounds."""
    folder = tmp_path / "tool"
    (folder / "data").mkdir(parents=True)
    (folder / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "tool.sh").chmod(0o755)
    (folder / "data" / "a").write_text("a")
    (folder / "data" / "link").symlink_to("a")
    (folder / "case.toml").write_text('command = "./tool.sh now"\npush = ["data:/srv/data"]\n')
    sent = case.read(Path("tool/case.toml"))
    assert sent.command is not None
    before = sent.command.tree(ARCH)
    content = {path: item.source.read_bytes() for path, item in before.items.items() if item.source is not None}
    started, shown = sent.command.started(ARCH), sent.object_shown(ARCH)
    arrived, _ = travel(sent, fake.kernel(), [])
    assert arrived.command is not None
    after = arrived.command.tree(ARCH)
    assert {path: item.source.read_bytes() for path, item in after.items.items() if item.source is not None} == content
    assert [replace(item, source=None) for item in after.items.values()] == [
        replace(item, source=None) for item in before.items.values()
    ]
    assert (after.bytes, after.binds, arrived.command.started(ARCH), arrived.object_shown(ARCH)) == (
        before.bytes, before.binds, started, shown,
    )  # fmt: skip
    assert arrived.content(ARCH) == b"#!/bin/sh\n"


def _btf(name: str) -> bytes:
    writer = Writer()
    writer.integer(name, 4)
    return writer.image()


def test_supplied_btf_is_looked_for_where_it_was_supplied(tmp_path: Path) -> None:
    """A kernel gets the BTF, the notes and the errors that it would get on the machine that asked."""
    kernel = fake.kernel()
    data, other = _btf("long"), _btf("short")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "5.10.0-1.btf").write_bytes(data)
    (tmp_path / "own.btf").write_bytes(data)
    (tmp_path / "x.bpf.o").write_bytes(b"x")
    supplies = [Supply.at("folder"), replace(Supply.at("own.btf"), spec="6.12")]
    sent = replace(case.bare(Path("x.bpf.o")), btf=Supply.at("own.btf"))
    arrived, came = travel(sent, kernel, supplies)
    assert arrived.btf is not None
    words = (kernel.spec, kernel.release, kernel.arch, kernel.source)
    assert for_kernel([*came, arrived.btf], *words) == for_kernel([*supplies, Supply.at("own.btf")], *words)
    assert for_kernel(came, *words) == for_kernel(supplies, *words)
    several = tmp_path / "several"
    for name, its in (("a", data), ("b", other)):
        path = several / name / "1" / "x86_64" / f"{kernel.release}.btf"
        path.parent.mkdir(parents=True)
        path.write_bytes(its)
    _, [wrong] = travel(replace(sent, btf=None), kernel, [Supply.at("several")])
    with pytest.raises(UsageError, match="has several BTFs"):
        wrong.find(kernel.release, kernel.arch)
