"""What only the newest kernels have, and what older ones are told about it; and sizes that no kernel takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everykernel import kernels, wire
from everykernel.architectures import ARCHITECTURES
from everykernel.compile import Job, compile_one
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines

pytestmark = pytest.mark.vm

NEWEST = "7.3"
OBJECTS = Path(__file__).parent / "objects"


@pytest.fixture
def newest(machines: Machines) -> Iterator[Guest]:
    """A fresh guest of the newest kernel."""
    (resolved,) = kernels.resolve([NEWEST])
    with machines.start(resolved.fetch()) as guest:
        yield guest


@pytest.fixture
def older(machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    with machines.start(columns["6.12"]) as guest:
        yield guest


class Loaded:
    """One of `OBJECTS`, compiled and loaded in a guest."""

    def __init__(self, guest: Guest, name: str, folder: Path, **options: Any) -> None:
        self.guest = guest
        target = folder / f"{name}.bpf.o"
        compile_one(Job(OBJECTS / f"{name}.bpf.c", ARCHITECTURES["x86_64"], target))
        reply = guest.request(wire.Load(target.name, target.read_bytes(), **options))
        assert isinstance(reply, wire.Loaded)
        self.handle, self.relocate, self.load = reply.handle, reply.relocate, reply.load
        self.programs = {p["name"]: p for p in self.load["programs"]}
        self.maps = {m["name"]: m for m in self.load["maps"]}

    def run(self, program: str, data: bytes = bytes(64)) -> int:
        reply = self.guest.request(wire.TestRun(self.handle, program, data))
        assert isinstance(reply, wire.TestRan)
        return reply.retval

    def globals(self, **values: Any) -> dict[str, Any]:
        reply = self.guest.request(wire.Globals(self.handle, set=values))
        assert isinstance(reply, wire.Value)
        return dict(reply.value)

    def statuses(self) -> dict[str, str]:
        return {name: p["status"] for name, p in self.programs.items()}


NAMES = ("tp", "tracepoint", "raw", "raw_tracepoint", "typed")


def test_tracepoints_that_may_sleep_and_many_functions(newest: Guest, tmp_path: Path) -> None:
    """Programs of libbpf 1.8's section names load, attach to what their patterns name, and run."""
    loaded = Loaded(newest, "many", tmp_path)
    refused = {name: p["code"] for name, p in loaded.programs.items() if p["status"] == "failed"}
    assert refused == {"of_module": "module-missing"}
    assert loaded.programs["of_module"]["message"] == (
        "fentry.multi/no_such_module:x*: no module 'no_such_module' with BTF is loaded"
    )
    reply = newest.request(wire.Attach(loaded.handle))
    assert isinstance(reply, wire.Attached)
    attached = {p["name"]: p for p in reply.programs}
    assert {n: p["status"] for n, p in attached.items() if p["status"] != "passed" and n != "of_module"} == {
        "nowhere": "skipped",
        "misnamed": "failed",
    }
    assert attached["misnamed"]["code"] == "attach-target-missing"
    message = "fentry.multi no_such_function*: no function of that name can be traced"
    assert attached["misnamed"]["message"] == message
    loaded.run("tested", b"")
    newest.run(["sh", "-c", "echo $$"])
    after = loaded.globals()
    assert (after["entries"], after["exits"], after["both"]) == (10, 9, 2)  # a ? is one character
    assert after["slept"] & 0b11100 == 0b11100


def test_what_those_are_told_on_an_older_kernel(older: Guest, tmp_path: Path) -> None:
    """An older kernel's refusal has the first release that knows it."""
    loaded = Loaded(older, "many", tmp_path)
    refused = {name: p["message"] for name, p in loaded.programs.items() if p["status"] == "failed"}
    assert set(loaded.programs) - set(refused) == {"tested"}
    multi = "this kernel does not know attach type trace_fentry_multi (upstream since v7.2)"
    assert refused["on_entry"] == f"EINVAL: {multi}"
    assert all("sleep" in refused[name] for name in NAMES)
    codes = {p["code"] for name, p in loaded.programs.items() if name in refused and name != "of_module"}
    assert codes == {"attach-type-unsupported"}


def test_a_hash_map_that_grows(newest: Guest, older: Guest, tmp_path: Path) -> None:
    """The map has its name, is filled and read; a kernel without it is told the first release that has it."""
    loaded = Loaded(newest, "rhash", tmp_path)
    assert loaded.maps["grows"]["type"] == "rhash"
    assert loaded.run("puts") == 0
    reply = newest.request(wire.MapOp(loaded.handle, "grows", "items"))
    assert isinstance(reply, wire.Value)
    assert [tuple(item) for item in reply.value] == [(1, 2)]
    record = Loaded(older, "rhash", tmp_path).maps["grows"]
    assert record["code"] == "map-type-unsupported"
    assert record["message"].endswith("this kernel does not know map type rhash (upstream since v7.2)")


def test_a_ring_buffer_that_overwrites(newest: Guest, older: Guest, tmp_path: Path) -> None:
    """The last records are read, whole and in order, and those that come later after them."""
    loaded = Loaded(newest, "overwrite", tmp_path)

    def numbers(count: int) -> list[int]:
        reply = newest.request(wire.Events(loaded.handle, "events", count, timeout=0.2))
        assert isinstance(reply, wire.Value)
        samples = reply.value["samples"]
        assert [len(s) for s in samples] == [8 + 16 * (int.from_bytes(s[:8], "little") % 3) for s in samples]
        return [int.from_bytes(sample[:8], "little") for sample in samples]

    for _ in range(100):
        loaded.run("three")
    found = numbers(1000)
    assert found == list(range(found[0], 300))
    assert 3 * 4096 // 96 - 3 <= len(found) <= 3 * 4096 // 96  # three records take 96 bytes
    loaded.run("three")
    assert numbers(3) == [300, 301, 302]
    record = Loaded(older, "overwrite", tmp_path).maps["events"]
    assert record["code"] == "map-create-failed"
    assert record["message"] == (
        "map 'events': EINVAL: this kernel takes the map only without flag BPF_F_RB_OVERWRITE (upstream since v6.19)"
    )


def test_settings_of_a_kernel_whose_configuration_nobody_has(machines: Machines, older: Guest, tmp_path: Path) -> None:
    """Where a kernel comes without its configuration that is said, of weak settings too, and a case may state them."""
    assert Loaded(older, "settings", tmp_path).statuses() == {"strong": "passed", "weak": "passed"}
    (resolved,) = kernels.resolve(["7.1"])
    with machines.start(resolved.fetch()) as guest:
        loaded = Loaded(guest, "settings", tmp_path)
        settings = {"CONFIG_HZ": 250, "CONFIG_EVERYKERNEL_HAS_NONE": 1}
        stated = Loaded(guest, "settings", tmp_path, contract={"kconfig": settings})
        assert (stated.run("strong"), stated.run("weak")) == (250, 1)
    release = guest.facts.release
    for program, name in (("strong", "CONFIG_HZ"), ("weak", "CONFIG_EVERYKERNEL_HAS_NONE")):
        assert loaded.programs[program]["code"] == "kconfig-missing"
        assert loaded.programs[program]["message"] == (
            f"extern {name!r}: there is no configuration of this kernel to look into, neither /boot/config-{release} "
            "nor /proc/config.gz [state the setting in the case's contract: kconfig]"
        )


def test_variables_per_cpu(newest: Guest, tmp_path: Path) -> None:
    """Each CPU has the initial value, a program changes its own CPU's, and all are read and written as a list."""
    loaded = Loaded(newest, "percpu", tmp_path)
    assert loaded.statuses() == {"counts": "passed", "adds": "passed", "beside": "passed"}
    assert loaded.maps[".percpu"]["type"] == "percpu_array"
    assert loaded.globals()["count"] == [7, 7]
    assert (loaded.run("counts"), loaded.run("adds")) == (8, 42)
    found = loaded.globals()
    assert sorted(found["count"]) == [7, 8]
    assert sorted(pair["b"] for pair in found["mine"]) == [2, 42]
    assert found["plain"] == 4
    assert loaded.globals(count=[100, 100])["count"] == [100, 100]
    assert loaded.run("counts") == 101


def test_variables_per_cpu_where_there_are_none(older: Guest, tmp_path: Path) -> None:
    """A kernel that gives programs no such variables is told the release; programs that use none load."""
    loaded = Loaded(older, "percpu", tmp_path)
    assert loaded.statuses() == {"counts": "failed", "adds": "failed", "beside": "passed"}
    record = loaded.programs["adds"]
    assert (record["code"], loaded.maps[".percpu.mine"]["status"]) == ("map-type-unsupported", "skipped")
    message = (
        "EINVAL: it needs map '.percpu.mine': left out as this kernel has no variables per CPU (upstream since v7.3)"
    )
    assert record["message"].startswith(message)


def test_sizes_that_another_loader_would_set(older: Guest, tmp_path: Path) -> None:
    """Maps that a tool declares with its events' type are refused, as by libbpf; the message knows who sets sizes."""
    maps = Loaded(older, "events", tmp_path).maps
    refused = "EINVAL: the kernel refuses a"
    who = "libbpf asks for what is declared)"
    assert maps["perf"]["message"] == (
        f"map 'perf': {refused} perf_event_array of 2 entries, key 0, value 20 bytes: it takes keys and values of 4 "
        f"bytes (cilium/ebpf sets these, {who}"
    )
    assert maps["ring"]["message"] == (
        f"map 'ring': {refused} ringbuf of 4096 entries, key 0, value 20 bytes: it takes neither keys nor values "
        f"(cilium/ebpf drops them, {who}"
    )
