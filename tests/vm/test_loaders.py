"""Real loaders in guests: libbpf's adapter says of each object what libbpf does, and a broken adapter loses no more."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from everykernel import cli, folders
from everykernel.compile import Job, compile_one
from everykernel.kernels.model import Kernel
from everykernel.loaders import adapter, drive, stages
from everykernel.loaders.adapter import Adapter, Wanted
from everykernel.loaders.contract import Answer
from everykernel.loaders.names import ARCHES, REAL
from everykernel.loaders.table import LOADERS
from everykernel.machine import Guest, Machines, MachineSpec
from everykernel.matrix import case, cell, records

pytestmark = pytest.mark.vm

CASES = folders.data("cases")
WHOLES = Path(__file__).parents[1] / "conformance" / "wholes"
PATIENCE = 300.0  # seconds


@pytest.fixture(scope="module")
def libbpf() -> Adapter:
    [found] = adapter.prepare([Wanted("libbpf")])
    assert found is not None
    assert not found.skipped
    return found


@pytest.fixture(scope="module", params=["5.10", "6.12"])
def guest(request: pytest.FixtureRequest, machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    """One guest of each kernel: adapters leave nothing behind."""
    with machines.start(columns[request.param]) as guest:
        yield guest


def _case(name: str, kernel: Kernel) -> bytes:
    return (CASES / name / "build" / kernel.arch.name / "prog.bpf.o").read_bytes()


def _ask(guest: Guest, libbpf: Adapter, name: str, data: bytes, **kwargs: Any) -> Answer:
    answer = drive.ask(guest, libbpf, name, data, timeout=PATIENCE, **kwargs)
    assert not answer.broken
    assert answer.loader is not None
    assert (answer.loader["name"], answer.loader["version"]) == ("libbpf", "1.7.0")
    return answer


@pytest.mark.parametrize("name", REAL)
def test_every_real_loader_is_built_and_loads(name: str, machines: Machines, columns: dict[str, Kernel]) -> None:
    """Each in a cell of its own, with the version that is pinned; none is skipped here."""
    [loader] = adapter.prepare([Wanted(name)])
    assert loader is not None
    assert not loader.skipped
    kernel = columns["6.12"]
    bare = case.bare(CASES / "field_moved" / "build" / kernel.arch.name / "prog.bpf.o")
    machine = MachineSpec(memory=512)
    chosen = replace(bare, adapter=loader, machine=machine)
    result = cell.run_cell(lambda: machines.start(kernel, machine), kernel, chosen)["result"]
    assert (result["outcome"], result["message"]) == ("passed", "")
    assert (result["loader"], result["loader_version"]) == (name, LOADERS[name].version)
    [program] = result["stages"]["load"]["programs"]
    assert (program["name"], program["type"], program["status"]) == ("on_getpgid", "tracepoint", "passed")
    assert result["stages"]["load"]["whole"]["status"] == "passed"


def test_what_loads_is_told_with_maps_and_relocations(guest: Guest, libbpf: Adapter) -> None:
    """An object that every kernel takes: opened, its data's map made, its program verified, as a whole too."""
    answer = _ask(guest, libbpf, "field_moved.bpf.o", _case("field_moved", guest.kernel))
    assert answer.opened is not None
    assert answer.whole is not None
    assert (answer.opened["status"], answer.whole["status"]) == ("passed", "passed")
    assert [(one["name"], one["type"], one["status"]) for one in answer.maps] == [("field_mo.bss", "array", "passed")]
    [program] = answer.programs
    assert (program["name"], program["type"], program["status"], program["by"]) == (
        "on_getpgid",
        "tracepoint",
        "passed",
        "",
    )
    assert {one["outcome"] for one in answer.relocations} == {"patched"}
    assert len(answer.relocations) == 15


def test_each_program_is_judged_by_itself(guest: Guest, libbpf: Adapter) -> None:
    """Three of four ask for what no kernel has: these are refused with errno and log, the fourth loads."""
    answer = _ask(guest, libbpf, "unresolved.bpf.o", _case("unresolved", guest.kernel))
    refused = {one["name"]: one for one in answer.programs if one["status"] == "failed"}
    assert set(refused) == {"missing_field", "missing_type", "missing_enumerator"}
    assert {(one["by"], one["errno"]) for one in refused.values()} == {("kernel", "EINVAL")}
    assert (
        "invalid CO-RE relocation" in refused["missing_field"]["log"]
        or "invalid func" in refused["missing_field"]["log"]
    )
    assert [one["name"] for one in answer.programs if one["status"] == "passed"] == ["sound"]
    assert answer.whole is not None
    assert (answer.whole["status"], answer.whole["errno"]) == ("failed", "EINVAL")
    assert "'missing_field'" in answer.whole["message"]


def test_only_the_programs_that_are_named_are_tried(guest: Guest, libbpf: Adapter) -> None:
    """A contract's choice travels in the request."""
    answer = _ask(guest, libbpf, "x.bpf.o", _case("unresolved", guest.kernel), table={"programs": ["sound"]})
    assert [(one["name"], one["status"]) for one in answer.programs] == [("sound", "passed")]


def _compiled(name: str, kernel: Kernel, folder: Path) -> bytes:
    target = folder / f"{name}.bpf.o"
    compile_one(Job(WHOLES / f"{name}.bpf.c", kernel.arch, target))
    return target.read_bytes()


def test_a_map_that_the_kernel_refuses_is_told_apart(guest: Guest, libbpf: Adapter, tmp_path: Path) -> None:
    """The program that does not use it loads; the object as a whole does not."""
    answer = _ask(guest, libbpf, "x.bpf.o", _compiled("map_refused", guest.kernel, tmp_path))
    assert {one["name"]: (one["status"], one["errno"]) for one in answer.maps} == {
        "good": ("passed", None),
        "bad": ("failed", "EINVAL"),
    }
    told = {one["name"]: (one["status"], one["by"]) for one in answer.programs}
    assert told == {"first": ("passed", ""), "second": ("failed", "loader")}
    assert answer.whole is not None
    assert answer.whole["status"] == "failed"


def test_sizes_of_a_contract_travel(guest: Guest, libbpf: Adapter, tmp_path: Path) -> None:
    """What the tool would set on a map is set: so the map that was refused is made."""
    table = {"maps": {"bad": {"key_size": 4, "max_entries": 7}}}
    answer = _ask(guest, libbpf, "x.bpf.o", _compiled("map_refused", guest.kernel, tmp_path), table=table)
    [bad] = [one for one in answer.maps if one["name"] == "bad"]
    assert (bad["status"], bad["key_size"], bad["max_entries"]) == ("passed", 4, 7)


def test_what_libbpf_does_not_open_is_told_in_its_words(guest: Guest, libbpf: Adapter) -> None:
    """Bytes that are no object: the library's own warning."""
    answer = _ask(guest, libbpf, "x.bpf.o", b"\x7fELF" + bytes(60))
    assert answer.opened is not None
    assert answer.opened["status"] == "failed"
    assert "elf" in answer.opened["message"]
    stage = stages.load(answer, "libbpf")
    assert (stage["status"], stage["code"]) == ("failed", "loader-refused")


def _cell(machines: Machines, kernel: Kernel, program: Path) -> records.CellReport:
    """Run a bare object by an adapter of the user's own."""
    [mine] = adapter.prepare([Wanted("mine", program)])
    bare = case.bare(CASES / "field_moved" / "build" / kernel.arch.name / "prog.bpf.o")
    chosen = replace(bare, adapter=mine)
    return cell.run_cell(lambda: machines.start(kernel), kernel, chosen)


def test_a_user_s_adapter_is_one_by_the_same_contract(
    machines: Machines, columns: dict[str, Kernel], libbpf: Adapter
) -> None:
    """--loader mine=PATH: its cell has its name, the version that it says, and nothing was run."""
    result = _cell(machines, columns["6.12"], libbpf.program)["result"]
    assert (result["outcome"], result["loader"], result["loader_version"]) == ("passed", "mine", "1.7.0")
    assert result["stages"]["load"]["programs"][0]["status"] == "passed"
    assert result["stages"]["run"] == {"status": "skipped", "code": "", "message": "mine only loads", "seconds": 0.0}


# A program that exits at once with code 7: mov edi, 7; mov eax, 60; syscall.
_CODE = bytes.fromhex("bf07000000b83c0000000f05")


def test_an_adapter_that_says_nothing_is_an_error_of_its_cell(
    machines: Machines, columns: dict[str, Kernel], tmp_path: Path
) -> None:
    """One that ends at once is no verdict: the cell is an error, and says how it ended."""
    at = 0x400000
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, at + 120, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, at, at, 120 + len(_CODE), 120 + len(_CODE), 4096)
    program = tmp_path / "silent"
    program.write_bytes(header + segment + _CODE)
    result = _cell(machines, columns["6.12"], program)["result"]
    assert (result["outcome"], result["code"]) == ("error", "loader-broke")
    assert result["message"] == "loader mine broke: it ended with exit code 7"
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("arch", ["arm64", "s390x"])
def test_real_loaders_on_another_architecture(name: str, arch: str, tmp_path: Path) -> None:
    """As typed: an object in columns of a loader and of ours; one that is not built for a machine is a line."""
    cases = CASES / "field_moved/build" / arch / "prog.bpf.o"
    found = tmp_path / "r.json"
    arguments = ["run", str(cases), "--kernels", f"6.12/{arch}", "--loader", f"own,{name}", "--json", str(found)]
    assert cli.main([*arguments, "--until", "load"]) == 0
    run = json.loads(found.read_text())
    [loader] = run["run"]["loaders"]
    assert (loader["name"], loader["arch"], loader["version"]) == (name, arch, LOADERS[name].version)
    results = {result["loader"]: result for result in run["results"]}
    assert results["own"]["outcome"] == "passed"
    if arch not in ARCHES[name]:
        assert set(results) == {"own"}
        assert loader["skipped"] == f"loader {name}: there is none for {arch}: {LOADERS[name].nowhere_else}"
        return
    assert (results[name]["outcome"], results[name]["loader_version"]) == ("passed", LOADERS[name].version)
    [program] = results[name]["stages"]["load"]["programs"]
    assert (program["name"], program["status"]) == ("on_getpgid", "passed")
