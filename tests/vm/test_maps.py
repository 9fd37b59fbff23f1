"""Maps as a test has them: many elements at a time, samples sent, arenas, and what iterators print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everykernel import folders, wire
from everykernel.compile import Job, compile_all, compile_one, jobs
from everykernel.errors import RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines, MachineSpec
from everykernel.plugin.loaded import LoadedObject, Map
from everykernel.settings import BARE, QEMU

pytestmark = pytest.mark.vm

SOURCE = Path(__file__).parent / "objects" / "maps.bpf.c"
PLACED = SOURCE.with_name("placed.bpf.c")
TEXT = "0x400000"  # where programs without PIE are on x86_64: Debian's Python, and ours for guests without it
WHERE = """
import ctypes

def check(obj):
    return ctypes.addressof(ctypes.c_char.from_buffer(obj.maps["arena"].memory))
"""
COUNT = 1200
HASHES = ("hash", "percpu_hash")
ARRAYS = ("array", "percpu_array")
# In the guest: how many system calls it takes to read each map, and whether little room for a call loses anything.
COUNTING = """
from everykernel.load.maps import batch

def check(obj):
    system, calls, room = obj.system, [], batch._ROOM
    bpf, fields = system.bpf, system.bpf_fields
    system.bpf = lambda command, attributes: calls.append(command) or bpf(command, attributes)
    system.bpf_fields = lambda command, attributes: calls.append(command) or fields(command, attributes)
    try:
        found = {}
        for name in ("hash", "percpu_hash", "array", "percpu_array"):
            calls.clear()
            whole = sorted(obj.maps[name].lookup_batch())
            found[name] = len(calls)
            for batch._ROOM in (1, 4096):
                assert sorted(obj.maps[name].lookup_batch()) == whole, (name, batch._ROOM)
            batch._ROOM = room
        return found
    finally:
        system.bpf, system.bpf_fields, batch._ROOM = bpf, fields, room
"""


def load(guest: Guest, name: str, data: bytes, **options: Any) -> LoadedObject:
    reply = guest.request(wire.Load(name, data, **options))
    assert isinstance(reply, wire.Loaded)
    assert reply.load["status"] == "passed", reply.load["message"]
    return LoadedObject(guest, name, data, reply)


def of_case(guest: Guest, name: str, **options: Any) -> LoadedObject:
    compile_all(jobs([name]))
    path = folders.data("cases") / name / "build" / guest.kernel.arch.name / "prog.bpf.o"
    return load(guest, path.name, path.read_bytes(), **options)


@pytest.fixture(scope="module", params=("5.10", "6.12", "6.1/i386"))
def filled(
    request: pytest.FixtureRequest,
    machines: Machines,
    columns: dict[str, Kernel],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LoadedObject]:
    """The object with every map full, on a kernel."""
    kernel = columns[request.param]
    target = tmp_path_factory.mktemp("maps") / "maps.bpf.o"
    compile_one(Job(SOURCE, kernel.arch, target))
    with machines.start(kernel) as guest:
        loaded = load(guest, "maps.bpf.o", target.read_bytes())
        for name in HASHES + ARRAYS:
            loaded.maps[name].update_batch((key, value(name, key, guest)) for key in range(COUNT))
        yield loaded


def guest_of(loaded: LoadedObject) -> Guest:
    return loaded._guest


def value(name: str, key: int, guest: Guest) -> Any:
    """Return what is put in: of a per-CPU map another value for each CPU."""
    return [key * 10 + cpu for cpu in range(guest.facts.cpus)] if name.startswith("percpu") else key * 10


def whole(made: Map, guest: Guest, first: int = 0) -> list[tuple[int, Any]]:
    return [(key, value(made.name, key, guest)) for key in range(first, COUNT)]


def test_many_elements_are_set_and_read(filled: LoadedObject) -> None:
    """All elements are there, with each CPU's value, read one by one and by batches."""
    guest = guest_of(filled)
    for name in HASHES + ARRAYS:
        made = filled.maps[name]
        assert sorted(made.lookup_batch()) == whole(made, guest), name
        assert sorted(made.items()) == whole(made, guest), name


def test_few_system_calls_where_the_kernel_has_batches(filled: LoadedObject) -> None:
    """A thousand elements take a call or two, and two each where the map's type has no batches (v5.13 for one)."""
    guest = guest_of(filled)
    checked = guest.request(wire.Check(filled._handle, COUNTING, "counting.py"))
    assert isinstance(checked, wire.Checked)
    assert checked.passed, checked.message
    one_by_one = {name for name, calls in checked.evidence.items() if calls >= 2 * COUNT}
    assert one_by_one == ({"percpu_array"} if guest.kernel.spec == "5.10" else set())
    assert all(calls <= 2 for name, calls in checked.evidence.items() if name not in one_by_one)


def test_many_elements_are_deleted(filled: LoadedObject) -> None:
    """Some are deleted by key, the rest taken out as they are read; a key that is not there is an error."""
    guest = guest_of(filled)
    for name in HASHES:
        made = filled.maps[name]
        made.delete_batch(range(400))
        assert sorted(made.lookup_and_delete_batch()) == whole(made, guest, 400), name
        assert made.items() == made.lookup_batch() == made.lookup_and_delete_batch() == []
        with pytest.raises(RequestFailed, match="ENOENT"):
            made.delete_batch([1, 2])
    for name in ARRAYS:
        with pytest.raises(RequestFailed, match="EINVAL"):
            filled.maps[name].lookup_and_delete_batch()
        assert sorted(filled.maps[name].items()) == whole(filled.maps[name], guest), (
            "an array's elements are not deleted"
        )


def test_nothing_is_changed_by_empty_batches(filled: LoadedObject) -> None:
    """Empty lists are fine."""
    filled.maps["hash"].update_batch([])
    filled.maps["hash"].delete_batch([])


@pytest.fixture
def newest(machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    with machines.start(columns["6.12"]) as guest:
        yield guest


def test_what_an_iterator_prints(newest: Guest) -> None:
    """The text comes whole; a program that is not attached, or prints nothing, has none."""
    loaded = of_case(newest, "iter_task")
    program = loaded.programs["print"]
    with pytest.raises(RequestFailed, match="it is not attached"):
        program.read()
    program.attach()
    processes = {int(line.split()[0]) for line in program.read().splitlines()}
    told = newest.run(["sh", "-c", "ls -d /proc/[0-9]*"]).stdout.decode().split()
    assert {1, 2} <= processes & {int(path.removeprefix("/proc/")) for path in told}


def test_samples_are_sent_to_programs(newest: Guest) -> None:
    """What a test puts into a user ring buffer is drained by the program; other maps take none."""
    loaded = of_case(newest, "user_ringbuf")
    samples = [number.to_bytes(8, "little") + bytes([3, 0, 0, 0]) + bytes(4) for number in (1, 2, 3)]
    assert loaded.maps["commands"].send(samples) == 3
    assert loaded.programs["drain"].test_run(bytes(64)).retval == 3
    assert (loaded.globals["sum"], loaded.globals["last"]) == (18, 3)
    with pytest.raises(RequestFailed, match="a sample is bytes"):
        loaded.maps["commands"].send(["text"])  # type: ignore[list-item]
    with pytest.raises(RequestFailed, match="a map of type array takes no samples"):
        loaded.maps[".data"].send(samples)


def test_variables_in_an_arena(newest: Guest) -> None:
    """They are read and written like others, and a contract gives them their first values."""
    loaded = of_case(newest, "arena", contract={"globals": {"total": 5}})
    assert (loaded.globals["total"], loaded.globals["theirs"], loaded.globals["asked"]) == (5, 0, 0)
    assert "variable 'total' = 5, as the contract says" in loaded.load["notes"]
    loaded.globals["total"] = 7
    with pytest.raises(RequestFailed, match="the kernel refuses it"):
        loaded.maps["arena"].lookup_batch()  # it has no elements
    assert loaded.programs["walk"].test_run().retval == 0
    assert loaded.globals["total"] == 7


@pytest.mark.parametrize("kind", [QEMU, BARE])
def test_an_arena_that_has_its_place(machines: Machines, columns: dict[str, Kernel], tmp_path: Path, kind: str) -> None:
    """It is mapped at its map_extra, where its pointers then lead; a place that is taken stays what it is."""
    kernel, target = columns["6.12"], tmp_path / "placed.bpf.o"
    compile_one(Job(PLACED, kernel.arch, target))
    with machines.start(kernel, MachineSpec(kind=kind)) as guest:
        loaded = load(guest, target.name, target.read_bytes())
        assert loaded.globals["counter"] == 5
        assert loaded.programs["counts"].test_run().retval == 0
        assert loaded.globals["counter"] == 6
        if kind == QEMU:
            checked = guest.request(wire.Check(loaded._handle, WHERE, "where.py"))
            assert isinstance(checked, wire.Checked)
            assert checked.evidence == 1 << 44, checked.message
        text = tmp_path / "taken.bpf.c"
        text.write_text(PLACED.read_text().replace("0x100000000000", TEXT))
        compile_one(Job(text, kernel.arch, target))
        reply = guest.request(wire.Load(target.name, target.read_bytes()))
        assert isinstance(reply, wire.Loaded)
        assert reply.load["message"] == f"map 'arena': it cannot be mapped at {TEXT}: EEXIST"


def test_more_than_there_is_memory_for(newest: Guest) -> None:
    """The message says that memory was short, and not the kernel's limits."""
    compile_all(jobs(["map_types"]))
    data = (folders.data("cases") / "map_types/build/x86_64/prog.bpf.o").read_bytes()
    reply = newest.request(wire.Load("maps.o", data, contract={"maps": {"hash": {"max_entries": 50_000_000}}}))
    assert isinstance(reply, wire.Loaded)
    assert (reply.load["status"], reply.load["code"]) == ("failed", "limit-exceeded")
    assert reply.load["message"] == "map 'hash': ENOMEM: there is no memory for 50000000 entries of 8 bytes"


def test_stacks_without_a_size(newest: Guest) -> None:
    """They have room for the deepest stack that the kernel takes, and the record says so."""
    [record] = [m for m in of_case(newest, "stack_trace").load["maps"] if m["name"] == "stacks"]
    deepest = int(newest.run(["cat", "/proc/sys/kernel/perf_event_max_stack"]).stdout)
    assert record["value_size"] == 8 * deepest
    assert record["note"] == f"value_size was 0: {8 * deepest}, the deepest stack of this kernel"
