"""Kernels that are given a BTF: 6.1/i386 has none of its own, 6.1 has one that a case may leave alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.btfwriter import Writer
from tests.debugpackage import debug_package
from tests.missing_btf import SESSION, relocated
from tests.missing_btf import committed as place

from everykernel import cli, folders, kernels, wire
from everykernel.btf import Btf, image
from everykernel.compile import Job, compile_all, compile_one, jobs
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supply
from everykernel.machine import Machines
from everykernel.matrix import case
from everykernel.matrix.cell import run_cell

from ..kernels.archive import Server

pytestmark = pytest.mark.vm

CASES = folders.data("cases")
BTF = CASES / "btf"
OBJECTS = Path(__file__).parent / "objects"
STAGES = ("relocate", "load", "run")
PASSED = ("passed",) * 3


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs())


@pytest.fixture(scope="module")
def committed(columns: dict[str, Kernel]) -> Path:
    """The BTF that is committed for the release that 6.1/i386 is today."""
    path = place(columns["6.1/i386"])
    assert path.exists(), f"there is no {path}: {SESSION}"
    return path


def pytest_run(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Run ``pytest --kernels 6.1/i386 cases/``, as a user does; return the results by case."""
    command = [sys.executable, "-m", "pytest", "--kernels", "6.1/i386", "--kernel-report", str(folder), *arguments]
    ran = subprocess.run([*command, str(CASES)], capture_output=True, text=True, check=False, cwd=CASES.parent)
    assert ran.returncode == 0, ran.stdout
    results = json.loads((folder / "results.json").read_text())["results"]
    return {r["case"]: r for r in results}


def marks(result: dict[str, Any]) -> tuple[str, ...]:
    return tuple(result["stages"][name]["status"] for name in STAGES)


def test_the_committed_btf_is_what_the_record_says(committed: Path) -> None:
    """It is of this release, is what the record beside it describes, and is small."""
    record = json.loads(committed.with_name(f"{committed.name}.json").read_text())
    about = record[committed.name]
    assert (about["bytes"], about["sha256"]) == (
        committed.stat().st_size,
        hashlib.sha256(committed.read_bytes()).hexdigest(),
    ), f"{committed} was changed: {SESSION}"
    assert about["bytes"] < 20_000
    assert Btf.parse(committed.read_bytes()).pointer_size == 4


def test_with(tmp_path: Path, committed: Path) -> None:
    """With it, all of them relocate, and pass but for what needs the kernel's own; the record names the file."""
    found = pytest_run(tmp_path, "--btf", str(BTF))
    assert {r["btf"] for r in found.values()} == {f"supplied:{committed}"}
    assert {r["stages"]["relocate"]["status"] for r in found.values()} == {"passed"}
    passed = {name for name in relocated() if marks(found[name]) == PASSED}
    said = {
        name for name in found if any("supplied" in e.btf for e in case.read(CASES / name / "case.toml").expect)
    }  # by their own expectations
    assert passed | said >= relocated(), f"where a case was changed: {SESSION}"
    assert len(passed) >= 14
    assert marks(found["fentry"]) == ("passed", "passed", "not-reached")
    assert marks(found["type_id"]) == ("passed", "passed", "failed")
    assert "the kernel knows no type by them" in str(found["type_id"]["stages"]["relocate"]["notes"])
    programs = {p["name"]: p for p in found["field_resized"]["stages"]["load"]["programs"]}
    assert (programs["on_getpgid"]["code"], programs["on_release"]["code"]) == ("", "btf-missing")
    assert "needs the kernel's own BTF, and there is none" in programs["on_release"]["message"]


def cell(machines: Machines, kernel: Kernel, text: str, *supplies: Supply, tmp_path: Path) -> Any:
    """Run a case of ../anonymous_member's object with this case.toml, and return its result."""
    objects = CASES / "anonymous_member" / "build" / "{arch}" / "prog.bpf.o"
    (tmp_path / "case.toml").write_text(f'object = "{objects}"\n{text}\n')
    what = case.read(tmp_path / "case.toml")
    return run_cell(lambda: machines.start(kernel, what.machine), kernel, what, btf=supplies)["result"]


def test_btf_of_another_kind_of_machine(machines: Machines, columns: dict[str, Kernel], tmp_path: Path) -> None:
    """BTF of a 64-bit or of a big-endian kernel is rejected, and so is one cut short; the record names it."""
    kernel = columns["6.1/i386"]
    whole = kernels.btf(columns["6.1"])
    assert whole is not None
    wide, big, cut = tmp_path / "wide.btf", tmp_path / "big.btf", tmp_path / "cut.btf"
    wide.write_bytes(whole)
    big.write_bytes(_big_endian())
    cut.write_bytes(whole[:1000])
    for path, message in (
        (wide, "is of a 64-bit little-endian kernel, this one is 32-bit little-endian"),
        (big, "is of a 32-bit big-endian kernel, this one is 32-bit little-endian"),
        (cut, "BTF header: strings at"),
    ):
        expect = '[[expect]]\nbtf = "supplied"\nstage = "relocate"\nstatus = "failed"\ncode = "btf-rejected"'
        result = cell(machines, kernel, f'btf = "{path.name}"\n{expect}', tmp_path=tmp_path)
        assert (result["outcome"], result["btf"]) == ("passed", f"supplied:{path}")
        stage = result["stages"]["relocate"]
        assert stage["code"] == "btf-rejected"
        assert message in stage["message"]
        assert result["stages"]["load"]["status"] == "not-reached"


def _big_endian() -> bytes:
    writer = Writer(big=True)
    writer.integer("long", 4, signed=True)
    return writer.image()


def test_always(machines: Machines, columns: dict[str, Kernel], tmp_path: Path) -> None:
    """A case that says always is relocated against what it brings, though the kernel has BTF of its own."""
    kernel = columns["6.1"]
    whole = kernels.btf(kernel)
    assert whole is not None
    (tmp_path / "own.btf").write_bytes(whole)
    result = cell(machines, kernel, 'btf = {path = "own.btf", always = true}', tmp_path=tmp_path)
    assert (result["outcome"], result["btf"]) == ("passed", f"supplied:{tmp_path}/own.btf")
    assert cell(machines, kernel, 'btf = "own.btf"', tmp_path=tmp_path)["btf"] == "kernel"


def test_a_release_that_the_folder_lacks(machines: Machines, columns: dict[str, Kernel], tmp_path: Path) -> None:
    """Without a BTF for this release, nothing else serves: the case ends in btf-missing, and the record says why."""
    (tmp_path / "many").mkdir()
    (tmp_path / "many/6.1.0-1-686-pae.btf").write_bytes(_big_endian())
    result = cell(machines, columns["6.1/i386"], "", Supply.at(str(tmp_path / "many")), tmp_path=tmp_path)
    assert (result["code"], result["btf"]) == ("btf-missing", "none")
    assert any("has no BTF for 6.1.0-" in note for note in result["notes"])


def test_what_needs_the_kernels_own_btf(machines: Machines, columns: dict[str, Kernel], tmp_path: Path) -> None:
    """Each program that asks more of a BTF than relocation ends in btf-missing and says so; the others load."""
    kernel = columns["6.1/i386"]
    target = tmp_path / "own_btf.bpf.o"
    compile_one(Job(OBJECTS / "own_btf.bpf.c", kernel.arch, target))
    writer = Writer()
    integer = writer.integer("int", 4, signed=True)
    writer.integer("long", 4, signed=True)
    writer.struct("task_struct", 5000, [("pid", integer, 8 * 1000)])
    writer.struct("file", 100, [("f_flags", integer, 8 * 40)])
    with machines.start(kernel) as guest:
        reply = guest.request(wire.Load(target.name, target.read_bytes(), btf=writer.image(), btf_name="x.btf"))
    assert isinstance(reply, wire.Loaded)
    assert (reply.relocate["status"], reply.relocate["btf"]) == ("passed", "supplied:x.btf")
    programs = {p["name"]: (p["status"], p["code"]) for p in reply.load["programs"]}
    needs = ("by_fentry", "by_tp_btf", "by_lsm", "by_iter", "by_symbol", "by_function")
    assert programs == {
        **dict.fromkeys(("relocated", "sized"), ("passed", "")),
        **dict.fromkeys(needs, ("failed", "btf-missing")),
    }
    for program in reply.load["programs"]:
        assert program["name"] not in needs or "needs the kernel's own BTF, and there is none" in program["message"]


def test_an_object_whose_btf_the_kernel_refuses(
    machines: Machines, columns: dict[str, Kernel], committed: Path
) -> None:
    """It is loaded without BTF of its own, relocated all the same, runs, and the record says what was refused."""
    data = (CASES / "helpers_agree/build/i386/prog.bpf.o").read_bytes()
    section = image.extract(data, name="prog.bpf.o")
    assert section is not None
    types = Btf.parse(section)
    number = types.find("task_struct", "struct")
    assert number is not None
    words, offsets = types.words()
    at = data.index(section) + 24 + 4 * offsets[number - 1] + 8  # struct btf_type.size, behind the header
    assert data[at : at + 4] == words[offsets[number - 1] + 2].to_bytes(4, "little")
    broken = data[:at] + bytes(4) + data[at + 4 :]  # members of a struct of no size
    with machines.start(columns["6.1/i386"]) as guest:
        reply = guest.request(wire.Load("prog.bpf.o", broken, btf=committed.read_bytes(), btf_name="x.btf"))
        assert isinstance(reply, wire.Loaded)
        assert (reply.relocate["status"], reply.load["status"]) == ("passed", "passed")
        (note,) = (note for note in reply.load["notes"] if "refuses the object's BTF" in note)
        assert note.endswith(": loaded without")
        guest.request(wire.Attach(reply.handle))
        guest.run(["/bin/true"])
        values = guest.request(wire.Globals(reply.handle))
        assert isinstance(values, wire.Value)
        assert values.value["ek_hits"] >= 1
        assert values.value["ek_failed_line"] == 0


def test_from_a_debug_package(
    committed: Path, columns: dict[str, Kernel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BTF that pahole makes of a package's vmlinux relocates an object, which reads the kernel's own fields."""
    release = columns["6.1/i386"].release
    package = debug_package(tmp_path, Btf.parse(committed.read_bytes()), release)
    folder = CASES / "anonymous_member"
    arguments = ["run", str(folder), "--kernels", "6.1/i386", "--json", str(tmp_path / "out.json")]
    assert cli.main([*arguments, "--btf", f"6.1/i386={package}"]) == 0, capsys.readouterr()
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert (marks(result), result["btf"]) == (PASSED, f"supplied:{package}")
    assert any(note.startswith("BTF by pahole-v") for note in result["notes"])
    other = debug_package(tmp_path, Btf.parse(committed.read_bytes()), "6.1.0-1-686-pae")
    assert cli.main([*arguments, "--btf", str(other)]) == 0, capsys.readouterr()  # as the case expects without BTF
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert (result["btf"], result["stages"]["relocate"]["code"]) == ("none", "btf-missing")
    assert any(f"has no BTF for {release} (i386)" in note for note in result["notes"])


def test_from_a_tree_behind_a_url(tmp_path: Path, committed: Path) -> None:
    """pytest fetches the one file that the guest's release names, and cases run with it as from a folder."""
    files = {f"/tree/{committed.relative_to(BTF)}": committed.read_bytes()}
    with Server(files) as server:
        found = pytest_run(tmp_path, "--btf", f"{server.url}/tree", "-k", "anonymous_member or enum_value")
        asked = server.paths()
    assert [path for path in asked if path in files] == list(files)
    assert {marks(r) for r in found.values()} == {PASSED}
    assert {r["btf"] for r in found.values()} == {f"supplied:{server.url}/tree/{committed.relative_to(BTF)}"}
