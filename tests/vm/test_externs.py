"""Kernel functions and symbols that an object names: which of them a kernel has, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everykernel import wire
from everykernel.architectures import ARCHITECTURES
from everykernel.compile import Job, compile_one
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines, MachineSpec

pytestmark = pytest.mark.vm

SOURCE = Path(__file__).parent / "objects" / "kfuncs.bpf.c"
RENAMED = b"symbol_that_a_test_renames"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """kfuncs.bpf.c, compiled."""
    target = tmp_path_factory.mktemp("objects") / "kfuncs.bpf.o"
    compile_one(Job(SOURCE, ARCHITECTURES["x86_64"], target))
    return target.read_bytes()


@pytest.fixture(scope="module")
def guest(machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    """A guest with the module nf_conntrack, for tests that leave it as it was."""
    with machines.start(columns["6.12"], MachineSpec(modules=("nf_conntrack",))) as guest:
        yield guest


def load(guest: Guest, data: bytes) -> tuple[int, dict[str, dict[str, Any]]]:
    loaded = guest.request(wire.Load("kfuncs.bpf.o", data))
    assert isinstance(loaded, wire.Loaded)
    return loaded.handle, {p["name"]: p for p in loaded.load["programs"]}


def run(guest: Guest, handle: int, program: str, packet: bytes = b"") -> int:
    ran = guest.request(wire.TestRun(handle, program, packet))
    assert isinstance(ran, wire.TestRan)
    return ran.retval


def test_flavours_and_weak_functions(guest: Guest, data: bytes) -> None:
    """A flavour is the function without it; a weak one that is missing or does not fit is 0."""
    handle, programs = load(guest, data)
    assert programs["flavours"]["status"] == "passed"
    assert run(guest, handle, "flavours") == 42


def test_functions_of_modules(guest: Guest, machines: Machines, columns: dict[str, Kernel], data: bytes) -> None:
    """A module's functions are called where it is loaded (the connection is not found), and 0 where it is not."""
    handle, _ = load(guest, data)
    assert run(guest, handle, "of_module", bytes(64)) == 2
    with machines.start(columns["6.12"]) as other:
        handle, _ = load(other, data)
        assert run(other, handle, "of_module", bytes(64)) == 1


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("other_number", "they differ in the number of parameters (2, not 1)"),
        ("other_parameter", "they differ in parameter 1 (ptr, not int)"),
        ("other_result", "they differ in the result (int, not ptr)"),
        ("only_declared", "they differ in the result (pointer to fwd, not struct)"),
    ],
)
def test_other_prototypes(guest: Guest, data: bytes, program: str, why: str) -> None:
    """A function whose prototype is not the kernel's is missing; the message shows both and says where they differ."""
    _, programs = load(guest, data)
    found = programs[program]
    assert (found["status"], found["code"]) == ("failed", "kfunc-missing")
    assert found["message"].endswith(why)
    assert "the kernel has 'struct task_struct *bpf_task_from_pid(s32 pid)'" in found["message"] or program in (
        "other_number",
        "only_declared",
    )


@pytest.mark.parametrize(
    ("program", "name", "why"),
    [
        ("unguarded", "no_such_function", "the kernel has no such function in its BTF"),
        (
            "unguarded_old",
            "bpf_task_release___old",
            "the object declares 'void bpf_task_release(struct task_struct *, int)', the kernel has "
            "'void bpf_task_release(struct task_struct *p)': they differ in the number of parameters (2, not 1)",
        ),
    ],
)
def test_weak_functions_that_are_called_all_the_same(
    guest: Guest, data: bytes, program: str, name: str, why: str
) -> None:
    """A weak function that is missing and called is named, with the reason, not with the number that stands for it."""
    _, programs = load(guest, data)
    found = programs[program]
    assert (found["status"], found["code"]) == ("failed", "kfunc-missing")
    said = f"EINVAL: a weak function that is called is not resolved: extern {name!r}: {why} at "
    assert found["message"].startswith(said)
    assert f"kfunc {name!r} is referenced but wasn't resolved" in found["log"]


def test_symbols(guest: Guest, data: bytes) -> None:
    """A symbol without a type has the address that /proc/kallsyms tells; one that is there twice is refused."""
    lines = [line.split() for line in guest.run(["cat", "/proc/kallsyms"]).stdout.decode().splitlines()]
    places: dict[str, set[str]] = {}
    for address, _, name, *_ in lines:
        places.setdefault(name, set()).add(address)
    fitting = [name for name in places if name.isidentifier() and len(name) <= len(RENAMED)]
    twice = next(name for name in fitting if len(places[name]) > 1)
    once = fitting[-1] if len(places[fitting[-1]]) == 1 else "init_task"

    def renamed(name: str) -> bytes:
        return data.replace(RENAMED, name.encode().ljust(len(RENAMED), b"\0"))

    handle, programs = load(guest, renamed(once))
    assert programs["symbol"]["status"] == "passed"
    run(guest, handle, "symbol")
    value = guest.request(wire.Globals(handle))
    assert isinstance(value, wire.Value)
    assert {f"{value.value['where']:016x}"} == places[once]
    _, programs = load(guest, renamed(twice))
    assert programs["symbol"]["code"] == "ksym-missing"
    assert f"extern {twice!r}: the kernel has several such symbols, at 0x" in programs["symbol"]["message"]
    _, programs = load(guest, data)
    assert programs["symbol"]["message"].endswith("the kernel has no such symbol")
