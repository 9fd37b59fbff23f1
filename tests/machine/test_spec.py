"""A case's [machine] table becomes a spec, or an error that says what is wrong with it."""

from __future__ import annotations

import pytest

from everykernel.errors import UsageError
from everykernel.machine import MachineSpec


def test_a_whole_table() -> None:
    """Every key lands where it belongs, and comes back for the results."""
    table = {"cpus": 1, "memory": 512, "cmdline": "lsm=bpf", "modules": ["dummy"], "sysctls": {"kernel.pid_max": 4242}}
    spec = MachineSpec.of(table)
    assert spec == MachineSpec(1, 512, "lsm=bpf", ("dummy",), (("kernel.pid_max", "4242"),))
    assert spec.describe() == {**table, "sysctls": {"kernel.pid_max": "4242"}}
    assert MachineSpec.of({}) == MachineSpec()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"cpu": 2}, "machine: unknown key 'cpu' [known: cpus, memory, cmdline, modules, sysctls]"),
        ({"cpus": "2"}, "machine: cpus = '2' is not int"),
        ({"cpus": True}, "machine: cpus = True is not int"),
        ({"cpus": 0}, "machine: cpus = 0 is not between 1 and 64"),
        ({"memory": 64}, "machine: memory = 64 is not between 128 and 65536 (MiB)"),
        ({"cmdline": "a\nb"}, "machine: cmdline must be one line of at most 1500 characters"),
        ({"modules": "dummy"}, "machine: modules = 'dummy' is not list"),
    ],
)
def test_what_makes_no_sense(table: dict[str, object], message: str) -> None:
    """Unknown keys, wrong types and impossible sizes are refused before anything boots."""
    with pytest.raises(UsageError) as caught:
        MachineSpec.of(table)
    assert str(caught.value) == message
