"""Guests as large as their objects need, larger where that was too little; what was asked for is what they have."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import elfwriter as e
from tests import faking

from everykernel import wire
from everykernel.errors import GuestLost, KernelPanic
from everykernel.machine import MachineSpec
from everykernel.matrix import case, plan, sizing
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.expect import Expectation
from everykernel.matrix.records import CellReport
from everykernel.matrix.sizing import Sizing

NO_MEMORY = {
    "name": "big",
    "status": "failed",
    "code": "limit-exceeded",
    "errno": "ENOMEM",
    "message": "map 'big': ENOMEM: there is no memory for 9 entries of 8 bytes",
}
REFUSED = {"status": "failed", "code": "limit-exceeded", "message": NO_MEMORY["message"], "maps": [NO_MEMORY]}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> faking.World:
    faking.install(monkeypatch)
    monkeypatch.setattr(sizing, "_MEMINFO", Path("/dev/null"))
    return faking.World()


def run(world: faking.World, what: case.Case, ceiling: int | None = None, **more: Any) -> CellReport:
    running = Campaign(plan.columns(["6.1"]), world, sizing=Sizing(ceiling))
    try:
        return running.run("6.1", what, **more).result(20)
    finally:
        running.close()


def enough_at(world: faking.World, memory: int, otherwise: Any) -> None:
    """Have guests of so many MiB load objects, and smaller ones fail."""

    def load(message: wire.Load) -> wire.Message:
        if world.guests[-1].spec.memory >= memory:
            return wire.Loaded(1, {"status": "passed", "btf": "kernel"}, {**faking.ACCEPTED})
        if isinstance(otherwise, Exception):
            raise otherwise
        return wire.Loaded(1, {"status": "passed", "btf": "kernel"}, json.loads(json.dumps(otherwise)))

    world.answer(wire.Load, load)


def an_object(tmp_path: Path, entries: int = 0) -> case.Case:
    """Return an object with a legacy array map of so many entries of 8 bytes."""
    writer = e.ObjectWriter()
    writer.section("maps", struct.pack("<5I", 2, 4, 8, entries, 0))
    writer.symbol("big", "maps", 0, 20, kind=e.OBJECT)
    (tmp_path / "prog.bpf.o").write_bytes(writer.build())
    return case.bare(tmp_path / "prog.bpf.o")


def test_maps_decide_before_the_cell_starts(world: faking.World, tmp_path: Path) -> None:
    """An object whose maps take 400 MiB gets 1024 at once; what was asked for, nothing, stays the cell's key."""
    enough_at(world, 0, REFUSED)
    result = run(world, an_object(tmp_path, 50 << 20))["result"]
    assert (result["outcome"], result["granted"]) == ("passed", {"memory": 1024})
    assert result["machine"]["memory"] is None
    assert result["notes"] == ["its maps take 400 MiB: a guest of 1024 MiB"]
    assert [g.spec.memory for g in world.guests] == [1024]
    small = run(world, an_object(tmp_path, 1))["result"]
    assert (small["granted"], small["notes"]) == ({"memory": 256}, [])


def out_of_memory(error: Any) -> Any:
    error.out_of_memory = True
    return error


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (REFUSED, "map 'big': ENOMEM: there is no memory for 9 entries of 8 bytes"),
        (out_of_memory(GuestLost("the guest ran out of memory", where="6.1")), "6.1: the guest ran out of memory"),
        (out_of_memory(KernelPanic("the kernel panicked", where="6.1")), "6.1: the kernel panicked"),
    ],
    ids=["ENOMEM", "guest-lost", "kernel-panic"],
)
def test_again_in_a_larger_guest(world: faking.World, tmp_path: Path, how: Any, why: str) -> None:
    """Where the kernel runs out, the cell is run again in the next larger guest; the record says so, and only the last
    guest is kept for the user.
    """
    enough_at(world, 1024, how)
    kept: list[int] = []
    report = run(world, an_object(tmp_path), keep=lambda guest, _: kept.append(guest.spec.memory))
    result = report["result"]
    assert (result["outcome"], result["granted"]) == ("passed", {"memory": 1024})
    assert result["notes"] == [
        f"256 MiB were too few ({why}): run again with 512",
        f"512 MiB were too few ({why}): run again with 1024",
    ]
    assert ([g.spec.memory for g in world.guests], kept) == ([256, 512, 1024], [])
    assert all(g.closed for g in world.guests)


def test_up_to_the_ceiling(world: faking.World, tmp_path: Path) -> None:
    """What a kernel refuses at any size stays limit-exceeded, and says whose limit it met."""
    enough_at(world, 9999, REFUSED)
    kept: list[int] = []
    result = run(world, an_object(tmp_path), 1024, keep=lambda guest, _: kept.append(guest.spec.memory))["result"]
    assert (result["code"], result["granted"]) == ("limit-exceeded", {"memory": 1024})
    assert result["message"].endswith(
        "; a guest of 1024 MiB has room: the limit is the kernel's own (on 32 bits, its address space)"
    )
    assert ([g.spec.memory for g in world.guests], kept) == ([256, 512, 1024], [1024])
    result = run(world, an_object(tmp_path, 500 << 20), 1024)["result"]
    assert result["message"].endswith("; its maps take 4000 MiB, and 1024 MiB is the largest guest (memory-ceiling)")


def test_what_the_host_has_is_a_ceiling(world: faking.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with less than the usual ceiling gives what it has."""
    (tmp_path / "meminfo").write_text("MemAvailable: 700000 kB\n")
    monkeypatch.setattr(sizing, "_MEMINFO", tmp_path / "meminfo")
    enough_at(world, 9999, REFUSED)
    result = run(world, an_object(tmp_path, 50 << 20))["result"]
    assert [g.spec.memory for g in world.guests] == [512]
    assert result["message"].endswith("and 512 MiB is the largest guest (this host has no more)")


def test_an_order_is_never_changed(world: faking.World, tmp_path: Path) -> None:
    """A memory that a user or a case gives is what the guest has, whatever comes of it."""
    enough_at(world, 512, REFUSED)
    result = run(world, an_object(tmp_path, 50 << 20).with_memory(256))["result"]
    assert (result["code"], result["granted"]) == ("limit-exceeded", {"memory": 256})
    assert (result["machine"]["memory"], result["notes"]) == (256, [])
    (tmp_path / "case.toml").write_text('object = "prog.bpf.o"\n[machine]\nmemory = 300\n')
    asked = case.read(tmp_path / "case.toml")
    assert asked.with_memory(2048) == asked
    result = run(world, asked)["result"]
    assert (result["granted"], result["machine"]["memory"]) == ({"memory": 300}, 300)


def test_no_memory_as_the_case_expects(world: faking.World, tmp_path: Path) -> None:
    """A program that is expected to be refused for want of memory needs no larger guest."""
    program = {**NO_MEMORY, "name": "p"}
    load = {"status": "failed", "code": "limit-exceeded", "message": "x", "programs": [program]}
    enough_at(world, 512, load)
    what = an_object(tmp_path)
    expected = Expectation("load", "failed", "limit-exceeded", program="p")
    result = run(world, replace(what, expect=(expected,)))["result"]
    assert (result["outcome"], result["granted"]) == ("passed", {"memory": 256})


def test_guests_of_a_size_share_a_snapshot(world: faking.World, tmp_path: Path) -> None:
    """Machines that differ in nothing but their memory come in the fixed sizes, each made ready once."""
    enough_at(world, 0, REFUSED)
    for entries in (1, 2, 50 << 20, 51 << 20):
        run(world, an_object(tmp_path, entries))
    assert world.prepared == {("6.1", MachineSpec(memory=256)), ("6.1", MachineSpec(memory=1024))}
