"""Objects as other compilers than the cases' write them; objects/foreign says how each was made."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import elfwriter as e

from everykernel import kernels, wire
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines

pytestmark = pytest.mark.vm

NEWEST = "7.3"
FOREIGN = Path(__file__).parent / "objects" / "foreign"


@pytest.fixture(scope="module")
def newest() -> Kernel:
    """The newest kernel there is."""
    (resolved,) = kernels.resolve([NEWEST])
    return resolved.fetch()


def load(guest: Guest, name: str, data: bytes = b"") -> wire.Loaded:
    """Load an object of `FOREIGN`, or ``data``."""
    loaded = guest.request(wire.Load(f"{name}.bpf.o", data or (FOREIGN / f"{name}.bpf.o").read_bytes()))
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


def test_a_jump_table(machines: Machines, columns: dict[str, Kernel], newest: Kernel) -> None:
    """A switch that clang 22 jumps by loads where the kernel has maps of instructions, and runs what it names."""
    with machines.start(columns["6.12"]) as guest:
        records = {p["name"]: p for p in load(guest, "jump_table").load["programs"]}
    assert records["plain"]["status"] == "passed"
    assert records["sw"]["code"] == "map-type-unsupported"
    assert records["sw"]["message"] == (
        "it jumps by a table, and this kernel does not know map type insn_array (upstream since v6.19) "
        "[compile with -fno-jump-tables]"
    )
    with machines.start(newest) as guest:
        loaded = load(guest, "jump_table")
        assert [p["status"] for p in loaded.load["programs"]] == ["passed", "passed"]
        found = {}
        for case in (0, 3, 12, 13):
            guest.request(wire.Globals(loaded.handle, set={"x": case}))
            guest.request(wire.TestRun(loaded.handle, "sw"))
            values = guest.request(wire.Globals(loaded.handle))
            assert isinstance(values, wire.Value)
            found[case] = values.value["ret"]
    assert found == {0: 11, 3: 91, 12: 1, 13: 0}


def _jumping_subprogram() -> bytes:
    """Two programs that call the second function of .text, which returns 11 or 22 by a jump table."""
    writer = e.ObjectWriter()
    jump = e.insn(0x25, 1, 0, 6, 1)  # if r1 > 1 goto the second return
    jump += e.insn(0x67, 1, imm=3) + e.load64(2) + e.insn(0x0F, 1, 2) + e.insn(0x79, 1, 1) + e.insn(0x0D, 1)
    returns = e.insn(0xB7, 0, imm=11) + e.EXIT + e.insn(0xB7, 0, imm=22) + e.EXIT
    for name in ("zero", "one"):
        code = e.insn(0xB7, 1, imm=int(name == "one")) + e.call() + e.EXIT
        writer.section("?syscall" if name == "one" else "syscall", code, flags=e.ALLOC | e.EXECUTE)
        writer.symbol(name, writer.sections[-1][0], 0, len(code))
        writer.relocate(writer.sections[-1][0], 8, "jumps", e.R_BPF_64_32)
    writer.code(".text", filler=e.MOV0 + e.EXIT, jumps=jump + returns)
    table = [16 + len(jump), 16 + len(jump) + 16]
    writer.section(".jumptables", b"".join(place.to_bytes(8, "little") for place in table), flags=0)
    writer.symbol("table", ".jumptables", 0, 16, kind=e.OBJECT, bind=e.LOCAL)
    writer.relocate(".text", 16 + 16, "table")
    writer.section("license", b"GPL\0")
    return writer.build()


def test_a_jump_table_of_a_subprogram(machines: Machines, newest: Kernel) -> None:
    """A table counts from the section's start, its map from where the function landed in each program."""
    with machines.start(newest) as guest:
        loaded = load(guest, "tables", _jumping_subprogram())
        assert [p["status"] for p in loaded.load["programs"]] == ["passed", "passed"], loaded.load["programs"]
        ran = [guest.request(wire.TestRun(loaded.handle, name)) for name in ("zero", "one")]
    assert [one.retval for one in ran if isinstance(one, wire.TestRan)] == [11, 22]


def test_arguments_on_the_stack(machines: Machines, columns: dict[str, Kernel], newest: Kernel) -> None:
    """More than five arguments are said to be that where the kernel takes none, and what says the one that does."""
    said = {
        columns[
            "6.12"
        ]: "this kernel's functions take five arguments, not more on the stack (static ones do upstream since "
        "v7.2): 5: (7b) *(u64 *)(r11 -8) = r2: R11 is invalid",
        newest: "13: (85) call pc+1: global function many has 7 > 5 args, stack args not supported",
    }
    for kernel, words in said.items():
        with machines.start(kernel) as guest:
            records = {p["name"]: p for p in load(guest, "stack_arguments").load["programs"]}
        assert records["mb"]["status"] == "passed"  # its constant arguments were taken out
        assert records["ma"]["code"] == "verifier-rejected"
        assert records["ma"]["message"].startswith(f"EINVAL: {words} at ")
