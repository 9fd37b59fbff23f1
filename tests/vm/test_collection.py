"""Several objects that share maps by name, in real kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.asking import result_of

from everykernel import wire
from everykernel.compile import Job, compile_one
from everykernel.errors import RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines
from everykernel.matrix import case
from everykernel.matrix.cell import run_cell

pytestmark = pytest.mark.vm

SOURCES = Path(__file__).parent / "objects"


@pytest.fixture(scope="module")
def folder(columns: dict[str, Kernel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shared")
    for name in ("shared_a", "shared_b"):
        compile_one(Job(SOURCES / f"{name}.bpf.c", columns["6.12"].arch, made / f"{name}.bpf.o"))
    return made


@pytest.fixture(params=["5.10", "6.12"])
def column(request: pytest.FixtureRequest, columns: dict[str, Kernel]) -> Kernel:
    return columns[request.param]


@pytest.fixture
def fresh(machines: Machines, column: Kernel) -> Iterator[Guest]:
    with machines.start(column) as guest:
        yield guest


def _load(guest: Guest, folder: Path, **contract: Any) -> wire.Loaded:
    first, second = ((folder / f"shared_{letter}.bpf.o").read_bytes() for letter in "ab")
    request = wire.Load("shared_a.bpf.o", first, beside={"shared_b.bpf.o": second}, contract=contract)
    reply = guest.request(request)
    assert isinstance(reply, wire.Loaded)
    return reply


def test_what_one_object_writes_another_reads(fresh: Guest, folder: Path) -> None:
    """Maps of one name are one map in the kernel; variables are each object's own; a contract is for all."""
    loaded = _load(fresh, folder, globals={"step": 21})
    assert loaded.load["status"] == "passed", loaded.load["message"]
    assert [m.get("note") for m in loaded.load["maps"] if m["name"] == "shared"] == [
        None,
        "shared with an object before",
    ]
    assert [p["name"] for p in loaded.load["programs"]] == ["writes", "reads"]
    assert [result_of(fresh, loaded.handle, p) for p in ("writes", "writes", "reads")] == [21, 42, 42]
    values = fresh.request(wire.Globals(loaded.handle))
    assert isinstance(values, wire.Value)
    own = {name: value for name, value in values.value.items() if "ek_" not in name}  # of everykernel.h
    assert own == {"calls": 2, "step": 21, "shared_b.bpf.o:calls": 10}
    fresh.request(wire.Unload(loaded.handle))


def test_shapes_have_to_be_the_same(fresh: Guest, folder: Path) -> None:
    """A contract's sizes are for the map of both; what no object has is an error that names the nearest."""
    loaded = _load(fresh, folder, maps={"shared": {"max_entries": 3}})
    assert [m["max_entries"] for m in loaded.load["maps"] if m["name"] == "shared"] == [3, 3]
    assert loaded.load["status"] == "passed", loaded.load["message"]
    with pytest.raises(RequestFailed, match=r"unknown program 'wites' \[did you mean 'writes'\?\]"):
        _load(fresh, folder, skip=["wites"])


def test_a_case_has_several_objects(machines: Machines, column: Kernel, folder: Path) -> None:
    """`objects =` of a case loads them together; its check sees the programs and maps of all."""
    (folder / "case.toml").write_text(
        'objects = ["shared_a.bpf.o", "shared_b.bpf.o"]\nattach = false\ncheck = "case.py"\n'
    )
    (folder / "case.py").write_text(
        "def check(obj):\n"
        "    obj.maps['shared'].update(0, 5)\n"
        "    assert obj.programs['reads'].test_run(bytes(64)).retval == 5\n"
        "    obj.globals['shared_b.bpf.o:calls'] = 7\n"
        "    return obj.globals['shared_b.bpf.o:calls'], obj.globals['calls']\n"
    )
    found = replace(case.read(folder / "case.toml"), timeout=60.0)
    report = run_cell(lambda: machines.start(column), column, found)
    assert report["result"]["outcome"] == "passed", report["result"]
    assert report["result"]["stages"]["run"]["evidence"]["check"] == [7, 0]
