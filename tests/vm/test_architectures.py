"""Kernels of other byte orders and widths: what a program reads there is what the system says.

Two columns here, one big-endian and one of another instruction set; all nine, with every case: nox -s architectures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from everykernel import folders, wire
from everykernel.compile import compile_all, jobs
from everykernel.machine import RESTORED, Machines, MachineSpec, slots
from everykernel.matrix import plan
from everykernel.matrix.campaign import Campaign

pytestmark = pytest.mark.vm

# Each reads fields, registers, arguments or maps in a way of its own.
CASES = (
    "anonymous_member",
    "array_access",
    "bitfield",
    "exec_event",
    "helpers_agree",
    "kprobe_registers",
    "ksyscall",
    "percpu_maps",
    "ringbuf_events",
    "sk_lookup",
    "tracepoint_context",
    "unresolved",
    "uprobe",
    "usdt_sites",
)
BIG, ARM = "6.12/s390x", "6.12/arm64"


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    compile_all(jobs(CASES))
    columns = plan.columns([BIG, ARM])
    with closing(Campaign(columns, Machines("tcg"), width=slots.cores(), slot=slots.slot)) as campaign:
        yield campaign


@pytest.mark.parametrize("spec", [BIG, ARM])
def test_cases_on_another_architecture(campaign: Campaign, spec: str) -> None:
    """Every case passes all its stages, but for relocations that no kernel has."""
    cases = plan.cases([str(folders.data("cases") / name) for name in CASES])
    cells = {case.name: campaign.run(spec, case) for case in cases}
    found = {name: cell.result()["result"] for name, cell in cells.items()}
    assert {name: result["message"] for name, result in found.items() if result["outcome"] != "passed"} == {}
    reached = {name: result["stages"]["run"]["status"] for name, result in found.items()}
    assert set(reached.values()) == {"passed"}
    assert {result["btf"] for result in found.values()} == {"kernel"}


def test_an_object_of_the_other_byte_order(campaign: Campaign) -> None:
    """An object that was compiled for a little-endian machine is refused by a big-endian one, in one line."""
    (case,) = plan.cases([str(folders.data("cases") / "ringbuf_events/build/x86_64/prog.bpf.o")])
    result = campaign.run(BIG, case).result()["result"]
    assert (result["stage"], result["code"]) == ("relocate", "object-unsupported") or result[
        "code"
    ] == "object-unsupported"
    assert "little-endian, this machine big-endian" in result["message"]


def test_a_machine_that_forgets() -> None:
    """Its one snapshot, saved after our code was pushed, comes back each time: CPUs sleep and wake up again."""
    machine = MachineSpec(sysctls=(("kernel.panic_print", "0"),))  # of this test's own, made here
    (column,) = plan.columns([BIG])
    kernel = column.kernel()
    with Machines("tcg") as machines:
        where = machines.plan(kernel, machine)
        assert machines.prepare(kernel, machine).notes == []
        assert not where.boot_folder.exists()
        for _ in range(5):
            with machines.start(kernel, machine) as guest:
                assert guest.start_kind == RESTORED, guest.notes
                for cpu in ("1", "2"):
                    assert (
                        guest.run(["/bin/busybox", "taskset", cpu, "/bin/busybox", "sleep", "0.1"], timeout=30).code
                        == 0
                    )
                guest.request(wire.Ping())
