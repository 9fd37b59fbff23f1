"""Which BTF a cell relocates against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import faking
from tests.btfwriter import Writer
from tests.kernels.archive import Server

from everykernel import wire
from everykernel.errors import UsageError
from everykernel.kernels import btfhub
from everykernel.kernels.supplied import Supply
from everykernel.machine import fake
from everykernel.matrix import case, supply
from everykernel.matrix.cell import run_cell
from everykernel.matrix.records import CellReport

WITH, WITHOUT = faking.kernel("6.1"), faking.kernel("6.1/i386")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    writer = Writer()
    writer.integer("long", 4)
    path = tmp_path / "any.btf"
    path.write_bytes(writer.image())
    return path


def name(found: Any) -> str | None:
    return found.name if found is not None else None


def test_a_kernel_with_btf_uses_its_own(file: Path) -> None:
    """What is supplied serves kernels without BTF; one that was named with BTF of its own hears that it is not used."""
    supplies = [Supply.parse(str(file))]
    assert name(supply.choose(supplies, WITHOUT, fake.facts(WITHOUT))[0]) == str(file)
    assert supply.choose(supplies, WITH, fake.facts(WITH)) == (None, [])
    named = [Supply.parse(f"6.1={file}")]
    assert supply.choose(named, WITH, fake.facts(WITH)) == (
        None,
        [f"{file} is not used: the kernel has BTF of its own"],
    )
    assert supply.choose(named, WITHOUT, fake.facts(WITHOUT)) == (None, [])


def test_always(file: Path) -> None:
    """Where a case says always, its kernel's own BTF is left alone; without any, the record says why."""
    assert name(supply.choose([Supply.parse(str(file))], WITH, fake.facts(WITH), always=True)[0]) == str(file)
    found, [note] = supply.choose([], WITH, fake.facts(WITH), always=True)
    assert (found, note) == (None, "a supplied BTF is wanted always, and none was supplied (--btf)")


def test_what_comes_with_a_kernel(file: Path, tmp_path: Path) -> None:
    """BTF that was made for a kernel serves before what is for all, and after what is named for it."""
    made, other = tmp_path / "6.1.7-twin.btf", tmp_path / "other.btf"
    for path in (made, other):
        path.write_bytes(file.read_bytes())
    kernel = replace(WITHOUT, supplied=made)
    facts = fake.facts(kernel)
    assert name(supply.choose([], kernel, facts)[0]) == "6.1.7-twin.btf"
    assert name(supply.choose([Supply.parse(str(file))], kernel, facts)[0]) == "6.1.7-twin.btf"
    assert name(supply.choose([Supply.parse(f"6.1/i386={other}")], kernel, facts)[0]) == str(other)


def test_kernels_of_the_run(file: Path) -> None:
    """BTF for a kernel that is not asked for is an error; the others are not asked."""
    supply.check([Supply.parse(str(file)), Supply.parse(f"6.1={file}")], ["6.1"])
    with pytest.raises(UsageError, match=r"any\.btf: kernel '6\.2' is not part of this run \[one of 6\.1\]"):
        supply.check([Supply.parse(f"6.2={file}")], ["6.1"])


def test_again(file: Path) -> None:
    """The command that repeats a cell has the options that serve its kernel."""
    options = [str(file), f"6.1={file}", f"5.10={file}"]
    assert supply.again(options, "6.1") == f" --btf {file} --btf 6.1={file}"


def run(world: faking.World, what: case.Case, kernel: Any, supplies: list[Supply]) -> tuple[CellReport, wire.Load]:
    report = run_cell(lambda: world.start(kernel, what.machine), kernel, what, btf=supplies)
    (message,) = (m for m in world.guests[-1].requests if isinstance(m, wire.Load))
    return report, message


def a_case(folder: Path, *lines: str) -> case.Case:
    faking.objects(folder, prog={"relocate": {"btf": "supplied:x"}})
    (folder / "case.toml").write_text("\n".join(('object = "prog.bpf.o"', *lines)))
    return case.read(folder / "case.toml")


def test_cells(file: Path, tmp_path: Path) -> None:
    """A cell sends what was supplied for its kernel, and its record names it; the command line wins over the case."""
    world = faking.World()
    own = tmp_path / "own.btf"
    own.write_bytes(file.read_bytes())
    plain = a_case(tmp_path)
    report, message = run(world, plain, WITHOUT, [Supply.parse(str(file))])
    assert (message.btf, message.btf_name) == (file.read_bytes(), str(file))
    assert report["result"]["btf"] == "supplied:x"
    assert run(world, plain, WITH, [Supply.parse(str(file))])[1].btf is None

    with_own = a_case(tmp_path, 'btf = "own.btf"')
    assert run(world, with_own, WITHOUT, [])[1].btf_name == str(own)
    assert run(world, with_own, WITHOUT, [Supply.parse(str(file))])[1].btf_name == str(file)
    assert run(world, with_own, WITH, [])[1].btf is None

    always = a_case(tmp_path, 'btf = {path = "own.btf", always = true}')
    assert run(world, always, WITH, [])[1].btf_name == str(own)


def test_a_folder_without_this_release(tmp_path: Path) -> None:
    """The record says that the folder has none for this kernel."""
    (tmp_path / "many").mkdir()
    report, message = run(faking.World(), a_case(tmp_path), WITHOUT, [Supply.parse(str(tmp_path / "many"))])
    assert message.btf is None
    assert report["result"]["notes"] == [f"{tmp_path}/many has no BTF for 6.1.0-56-686-pae (i386)"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('btf = "none.btf"', r"case\.toml: BTF 'none\.btf': there is no such file"),
        ("btf = 3", r"case\.toml: btf: path = 3 is not str"),
        ('btf = {file = "x"}', r"case\.toml: btf: unknown key 'file'"),
        ("btf = {always = 1}", r"case\.toml: btf: always = 1 is not bool"),
        ('[[expect]]\nstage = "load"\nstatus = "failed"\nbtf = ["suplied"]', "btf 'suplied' .did you mean 'supplied'"),
        ('[[expect]]\nstage = "load"\nstatus = "failed"\nbtf = [1]', r"expect 1: btf = \[1\] is not a list of strings"),
    ],
)
def test_misspelt(line: str, message: str, tmp_path: Path) -> None:
    """A case whose btf key makes no sense is an error that names the key."""
    with pytest.raises(UsageError, match=message):
        a_case(tmp_path, line)


def test_a_tree_behind_a_url(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release that the guest says decides which file is fetched; the record names it, and how it was come by."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    kernel = WITHOUT
    place = f"/hub/{btfhub.place(kernel.source, kernel.arch, fake.facts(kernel).release)}"
    with Server({place: file.read_bytes()}) as server:
        supplies = [Supply.parse(f"{kernel.spec}={server.url}/hub")]
        report, message = run(faking.World(), a_case(tmp_path), kernel, supplies)
        assert (message.btf, message.btf_name) == (file.read_bytes(), f"{server.url}{place}")
        (note,) = report["result"]["notes"]
        assert note.startswith(f"BTF from {server.url}{place} (SHA-256 ")
        again = supply.again(
            [f"6.1/i386={server.url}/hub", "6.1=http://me:word@h/t", "https://me:word@h/t"], "6.1/i386"
        )
        assert again == f" --btf 6.1/i386={server.url}/hub --btf https://h/t"


def test_a_server_that_cannot_be_asked_is_no_fault_of_the_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell is an error of the harness's with one line, not a load that failed."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    with Server() as server:
        url = server.url
    world = faking.World()
    report = run_cell(
        lambda: world.start(WITHOUT, a_case(tmp_path).machine), WITHOUT, a_case(tmp_path), btf=[Supply.parse(url)]
    )
    result = report["result"]
    assert (result["outcome"], result["code"]) == ("error", "harness-error")
    assert "cannot be had: " in result["message"]
    assert result["message"].endswith("[look at the URL, the network and the proxy settings]")


def test_a_case_names_a_url(tmp_path: Path) -> None:
    """A case may bring a URL, which is not taken for a path beside it, and is not asked when the case is read."""
    found = a_case(tmp_path, 'btf = "https://h/tree"').btf
    assert found == Supply(None, "https://h/tree", "", "https://h/tree")
