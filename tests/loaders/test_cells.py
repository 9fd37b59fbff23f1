"""Loaders in cells, runs and reports, on fake guests: an adapter of the user's own says what the test has it say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import faking
from tests.loaders.test_build import static_program
from tests.loaders.test_contract import END, LOADER, OBJECT, PROGRAM, WHOLE, said

from everykernel import cli, wire
from everykernel.errors import UsageError
from everykernel.loaders.adapter import Adapter, Wanted
from everykernel.machine.spec import MachineSpec
from everykernel.matrix import case, cell, crew, records
from everykernel.matrix.case import Case
from everykernel.matrix.plan import Column
from everykernel.matrix.sizing import Sizing
from everykernel.report import columns, markdown, terminal

KERNEL = faking.kernel("6.1")
TAKEN = {**PROGRAM, "section": "xdp", "status": "passed", "errno": None, "by": "", "log": "", "message": ""}
PASSED = {**WHOLE, "status": "passed", "message": ""}


class World(faking.World):
    """The fake world, with adapters: what is run says ``output``."""

    output = said(LOADER, OBJECT, TAKEN, PASSED, END)
    code = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pushed: dict[str, bytes] = {}
        self.answer(wire.Push, self._push)
        self.answer(wire.Run, lambda message: wire.Ran(self.code, self.output, b""))

    def _push(self, message: wire.Push) -> wire.Message:
        self.pushed[message.path] = message.data
        return wire.Done()

    @property
    def asked(self) -> dict[str, Any]:
        """The last request to an adapter."""
        found: dict[str, Any] = json.loads(self.pushed["/tmp/everykernel-loader/.request"])
        return found


@pytest.fixture
def mine(tmp_path: Path) -> Adapter:
    program = tmp_path / "mine"
    program.write_bytes(static_program())
    return Adapter("mine", program)


def a_case(tmp_path: Path, adapter: Adapter, *lines: str) -> Case:
    faking.objects(tmp_path, prog={})
    (tmp_path / "case.toml").write_text("\n".join(('object = "prog.bpf.o"', *lines)))
    return replace(case.read(tmp_path / "case.toml"), adapter=adapter)


def run(world: World, what: Case) -> records.CaseResult:
    return cell.run_cell(lambda: world.start(KERNEL, what.machine), KERNEL, what)["result"]


def test_a_cell_by_an_adapter_has_its_name_and_version(tmp_path: Path, mine: Adapter) -> None:
    """Its load stage is what the adapter said; relocations it tells of none, and nothing is run."""
    result = run(World(), a_case(tmp_path, mine))
    assert (result["outcome"], result["loader"], result["rules"], result["loader_version"]) == (
        "passed",
        "mine",
        "mine",
        "1.7.0",
    )
    stages = result["stages"]
    assert [stages[name]["status"] for name in ("relocate", "load", "run")] == ["skipped", "passed", "skipped"]
    assert stages["load"]["programs"][0]["name"] == "p"


def test_a_contract_s_sizes_and_programs_travel(tmp_path: Path, mine: Adapter) -> None:
    """What adapters are told is in the request; what they are not told is a note."""
    world = World()
    lines = ("[contract]", 'programs = ["p"]', "globals = {x = 1}", "[contract.maps]", 'm = {max_entries = "2 pages"}')
    result = run(world, a_case(tmp_path, mine, *lines))
    assert (world.asked["programs"], world.asked["maps"]) == (["p"], {"m": {"max_entries": 8192}})
    assert result["notes"] == ["mine is not told of the contract's globals"]


def test_a_refusal_fails_the_cell(tmp_path: Path, mine: Adapter) -> None:
    """With the code of who refused; an optional program's fails nothing."""
    world = World()
    world.output = said(LOADER, OBJECT, {**PROGRAM, "section": "xdp"}, TAKEN, WHOLE, END)
    result = run(world, a_case(tmp_path, mine))
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "load", "verifier-rejected")
    world.output = said(LOADER, OBJECT, PROGRAM, {**TAKEN, "name": "q"}, WHOLE, END)
    assert run(world, a_case(tmp_path, mine))["outcome"] == "passed"


def test_an_expectation_is_of_the_loader_that_it_names(tmp_path: Path, mine: Adapter) -> None:
    """Without a name it is our own loader's alone."""
    world = World()
    world.output = said(LOADER, OBJECT, {**PROGRAM, "section": "xdp"}, WHOLE, END)
    expected = ("[[expect]]", 'stage = "load"', 'status = "failed"')
    assert run(world, a_case(tmp_path, mine, *expected))["outcome"] == "failed"
    libbpf = replace(mine, name="libbpf")
    assert run(world, a_case(tmp_path, libbpf, *expected, 'loader = ["libbpf", "aya"]'))["outcome"] == "passed"
    assert run(world, a_case(tmp_path, libbpf, *expected, 'loader = "aya"'))["outcome"] == "failed"


def test_a_broken_adapter_is_an_error_of_its_cell(tmp_path: Path, mine: Adapter) -> None:
    """What it said before is kept, and no verdict is made of it."""
    world = World()
    world.output, world.code = said(LOADER, OBJECT, TAKEN), -9
    result = run(world, a_case(tmp_path, mine))
    assert (result["outcome"], result["stage"], result["code"]) == ("error", "load", "loader-broke")
    assert result["message"] == "loader mine broke: it was ended by signal 9"
    assert result["stages"]["load"]["programs"][0]["status"] == "passed"


def test_an_adapter_of_ours_has_to_be_the_version_that_is_pinned(tmp_path: Path, mine: Adapter) -> None:
    """Never another version in silence."""
    result = run(World(), a_case(tmp_path, replace(mine, version="1.8.0")))
    assert (result["outcome"], result["code"]) == ("error", "loader-broke")
    assert result["message"] == "loader mine broke: it says it is libbpf 1.7.0, and 1.8.0 is pinned"


def test_guests_of_real_loaders_have_room_for_a_library(tmp_path: Path, mine: Adapter) -> None:
    """512 MiB where our own loader has 256; a memory that was asked for is left alone."""
    column, sizing = Column("6.1", faking.resolve(["6.1"])[0]), Sizing(4096)
    mine_ = a_case(tmp_path, mine)
    assert sizing.grant(replace(mine_, adapter=None), column).machine.memory == MachineSpec.memory
    granted = sizing.grant(mine_, column)
    assert (granted.machine.memory, granted.notes) == (512, [])
    assert sizing.grant(mine_.with_memory(300), column).machine.memory == 300


def test_who_loads_is_the_users_choice_then_the_cases(tmp_path: Path, mine: Adapter) -> None:
    """The command line is for all cases; without it, each case has its own choice, or our loader."""
    plain, own = a_case(tmp_path, mine), replace(a_case(tmp_path, mine, 'loaders = ["own", "libbpf"]'), adapter=None)
    plain = replace(plain, adapter=None)
    assert crew.wanted([plain], None) == [Wanted("own")]
    assert crew.wanted([plain, own], None) == [Wanted("own"), Wanted("libbpf")]
    assert crew.wanted([plain, own], "aya") == [Wanted("aya")]
    libbpf, lacking = Adapter("libbpf", mine.program, "1.7.0", "clang", "0" * 64), Adapter("aya", skipped="no cargo")
    here = crew.Crew((None, libbpf, lacking))
    assert [c.loader for c in here.spread([plain, own], None)] == ["own", "own", "libbpf"]
    assert [c.loader for c in here.spread([plain], "own,libbpf,aya")] == ["own", "libbpf"]
    assert [record.get("skipped") for record in here.records] == [None, "no cargo"]
    assert crew.again(replace(plain, adapter=mine)) == f" --loader mine={mine.program}"
    assert (crew.again(own), crew.again(plain)) == (" --loader own", "")


def test_a_case_cannot_name_what_is_no_loader(tmp_path: Path, mine: Adapter) -> None:
    """A misspelt loader is an error, not a filter that never matches."""
    with pytest.raises(UsageError, match=r"unknown loaders 'libpf' \[did you mean 'libbpf'\?\]"):
        a_case(tmp_path, mine, 'loaders = ["libpf"]')


def _results() -> list[records.CaseResult]:
    found = []
    for spec in ("5.10", "6.1"):
        for name in ("own", "libbpf"):
            made = records.empty(None, "tool.o", spec, {}, loader=name)
            made["outcome"] = records.PASSED
            found.append(made)
    return found


def test_the_matrix_has_a_column_for_each_kernel_and_loader() -> None:
    """Also for a loader that was skipped, with the reason once."""
    skipped: list[records.LoaderRecord] = [{"name": "aya", "skipped": "loader aya: cargo is not installed"}]
    kernels: list[records.KernelRecord] = [{"spec": "5.10", "notes": ["old"]}, {"spec": "6.1"}]
    drawn = columns.grid(_results(), kernels, skipped)
    heads = ["5.10", "5.10 libbpf", "5.10 aya", "6.1", "6.1 libbpf", "6.1 aya"]
    assert [column["spec"] for column in drawn.kernels] == heads
    assert drawn.rows == ("tool.o",)
    assert terminal.notes(drawn) == ["5.10: old", "aya is skipped: loader aya: cargo is not installed"]
    page = markdown.render(_results(), kernels, {"loaders": skipped})
    assert "| case | 5.10<br>-<br>BTF ? | 5.10 libbpf<br>" in page
    assert page.count("| skipped |") == 2
    assert "the loaders agree" in page


def test_real_loaders_are_skipped_where_no_adapter_is_for_the_kernel() -> None:
    """An adapter is a program for one architecture: the column is there, and says so."""
    kernels: list[records.KernelRecord] = [{"spec": "6.1", "arch": "x86_64"}, {"spec": "6.1/i386", "arch": "i386"}]
    drawn = columns.grid(_results()[2:], kernels)
    assert [columns.empty(column) for column in drawn.kernels] == ["", "", "", "skipped"]
    assert terminal.notes(drawn) == ["libbpf is skipped: its adapter is for x86_64 alone"]
    there = [Column(one.spec, one) for one in faking.resolve(["6.1", "6.1/i386"])]
    mine = replace(case.bare(Path("tool.o")), adapter=Adapter("mine"))
    assert [crew.fits(mine, column) for column in there] == [True, False]
    of_i386 = replace(mine, adapter=Adapter("mine", arch="i386"))
    assert [crew.fits(of_i386, column) for column in there] == [False, True]
    assert crew.fits(replace(mine, adapter=None), there[1])


def test_a_loader_is_skipped_for_one_architecture_alone() -> None:
    """With why it is not built for that; the column of the other has results."""
    kernels: list[records.KernelRecord] = [{"spec": "6.1", "arch": "x86_64"}, {"spec": "6.1/arm64", "arch": "arm64"}]
    loaders: list[records.LoaderRecord] = [
        {"name": "libbpf", "arch": "x86_64"},
        {"name": "libbpf", "arch": "arm64", "skipped": "loader libbpf: cannot be built: no lld"},
    ]
    drawn = columns.grid(_results()[2:], kernels, loaders)
    assert [column["spec"] for column in drawn.kernels] == ["6.1", "6.1 libbpf", "6.1/arm64", "6.1/arm64 libbpf"]
    assert [columns.empty(column) for column in drawn.kernels] == ["", "", "", "skipped"]
    assert terminal.notes(drawn) == ["libbpf is skipped: loader libbpf: cannot be built: no lld"]


def test_a_run_has_each_loader_load_each_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mine: Adapter
) -> None:
    """Two columns, two records of their own, and where they disagree."""
    faking.install(monkeypatch)
    monkeypatch.setattr("everykernel.machine.Machines", World)
    monkeypatch.setattr(World, "output", said(LOADER, OBJECT, {**PROGRAM, "section": "xdp", "log": ""}, WHOLE, END))
    faking.objects(tmp_path, tool={})
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "tool.bpf.o", "--kernels", "6.1", "--loader", f"own,mine={mine.program}"]
    assert cli.main([*arguments, "--json", str(tmp_path / "r.json")]) == 1
    out = capsys.readouterr().out
    assert "6.1 mine" in out
    assert f"--loader mine={mine.program}" in out
    assert "not explained: mine refuses program p of tool.bpf.o on 6.1, own take it" in out
    written = json.loads((tmp_path / "r.json").read_text())
    assert {r["loader"]: r["outcome"] for r in written["results"]} == {"own": "passed", "mine": "failed"}
    assert [one["name"] for one in written["run"]["loaders"]] == ["mine"]
    assert cli.main(["report", "--disagreements", str(tmp_path / "r.json")]) == 0
    assert "1 refusal of a program and 0 of objects" in capsys.readouterr().out
    assert cli.main([*arguments[:-1], "libpf"]) == 2
    assert "unknown loader 'libpf' [did you mean 'libbpf'?]" in capsys.readouterr().err
