"""Objects as other compilers than the cases' write them; objects/foreign says how each was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel import wire
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines

pytestmark = pytest.mark.vm

FOREIGN = Path(__file__).parent / "objects" / "foreign"


def load(guest: Guest, name: str) -> wire.Loaded:
    """Load an object of `FOREIGN`."""
    loaded = guest.request(wire.Load(f"{name}.bpf.o", (FOREIGN / f"{name}.bpf.o").read_bytes()))
    assert isinstance(loaded, wire.Loaded)
    assert loaded.relocate["status"] == "passed"
    return loaded


def test_a_record_on_the_load_of_an_address(machines: Machines, columns: dict[str, Kernel]) -> None:
    """What CO-RE put into the load of a variable's address counts from there, as in libbpf: the kernel refuses it."""
    with machines.start(columns["6.12"]) as guest:
        loaded = load(guest, "gcc12_global")
    (record,) = loaded.load["programs"]
    assert (record["status"], record["code"]) == ("failed", "verifier-rejected")
    assert record["message"] == "EINVAL: invalid access to map value pointer, value_size=8 off=96"
    assert loaded.relocate["notes"] == [
        "reading: instruction 3 loads an address in .bss, and the CO-RE record of struct super_block.s_magic on it "
        "moves that by 96 bytes (GCC 12 puts it there: compile with a newer GCC, or with clang)"
    ]
