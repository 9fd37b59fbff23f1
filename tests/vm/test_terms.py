"""What a contract decides beyond an object's declarations, as its effect in real kernels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.asking import result_of

from everykernel import wire
from everykernel.compile import Job, compile_one
from everykernel.errors import RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines

pytestmark = pytest.mark.vm

HERE = Path(__file__).parent
PINNED = "/sys/fs/bpf/tool/counts"
INNER = {"type": "array", "key_size": 4, "value_size": 8, "max_entries": 1}
NEITHER = {"outer": {"create": False}, "other": {"pin": False}}  # what is of no concern to a test


@pytest.fixture(scope="module")
def data(columns: dict[str, Kernel], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("terms") / "terms.bpf.o"
    compile_one(Job(HERE / "objects" / "terms.bpf.c", columns["6.12"].arch, target))
    return target.read_bytes()


@pytest.fixture(params=["5.10", "6.12"])
def fresh(request: pytest.FixtureRequest, machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    with machines.start(columns[request.param]) as guest:
        yield guest


def _load(guest: Guest, data: bytes, *programs: str, **contract: Any) -> wire.Loaded:
    reply = guest.request(wire.Load("terms.bpf.o", data, programs=list(programs), contract=contract))
    assert isinstance(reply, wire.Loaded)
    return reply


def _check(guest: Guest, loaded: wire.Loaded, source: str) -> Any:
    reply = guest.request(wire.Check(loaded.handle, source, "check.py"))
    assert isinstance(reply, wire.Checked)
    assert reply.passed, reply.message
    return reply.evidence


def _maps(guest: Guest) -> dict[str, list[Any]]:
    """Return type, key size, value size, entries and flags of the maps in the kernel, by name, as the kernel tells."""
    guest.push("/observe.py", (HERE / "tools" / "observe.py").read_bytes())
    ran = guest.run(["python3", "/observe.py"])
    assert ran.code == 0, ran.stderr
    return {name: rest[:5] for name, *rest in json.loads(ran.stdout)["maps"]}


def test_an_inner_map_is_given(fresh: Guest, data: bytes) -> None:
    """A map of maps that declares none is made with the contract's prototype, and takes maps of that shape alone."""
    refused = _load(fresh, data, "looks", maps={"other": {"pin": False}})
    assert (refused.load["code"], refused.load["maps"][0]["errno"]) == ("map-create-failed", "EINVAL")
    loaded = _load(fresh, data, "looks", maps={"outer": {"inner": INNER, "max_entries": 2}, "other": {"pin": False}})
    assert loaded.load["status"] == "passed", loaded.load["message"]
    assert _maps(fresh)["outer"] == [13, 4, 4, 2, 0]
    assert result_of(fresh, loaded.handle, "looks") == 77
    put = (
        "def check(obj):\n"
        "    import struct\n"
        "    obj.maps['counts'].update(0, 42)\n"
        "    put = lambda name: obj.maps['outer'].update(bytes(4), struct.pack('=i', obj.maps[name].fd))\n"
        "    put('counts')\n"
        "    try: put('other')\n"
        "    except OSError as e: return e.errno\n"
    )
    assert _check(fresh, loaded, put) == 22
    assert result_of(fresh, loaded.handle, "looks") == 42


def test_flags_and_sizes_arrive_in_the_kernel(fresh: Guest, data: bytes) -> None:
    """A map's flags, type and sizes are what the contract says; a per-CPU hash without preallocation."""
    other = {"flags": 1, "max_entries": 3, "type": "percpu_hash", "value_size": 16, "pin": False}
    loaded = _load(fresh, data, "looks", maps={"outer": {"inner": {**INNER, "flags": 0}}, "other": other})
    assert loaded.load["status"] == "passed", loaded.load["message"]
    assert _maps(fresh)["other"] == [5, 4, 16, 3, 1]
    assert "map 'other': flags 0 -> 1, as the contract says" in loaded.load["notes"]


def test_maps_are_pinned_and_reused(fresh: Guest, data: bytes) -> None:
    """A pin path is made and found again with its values; a pinned map of any shape stands for a declared one."""
    first = _load(fresh, data, "entered", maps={**NEITHER, "counts": {"pin": PINNED}})
    second = _load(fresh, data, "entered", maps={**NEITHER, "counts": {"pin": PINNED}})
    notes = [{m["name"]: m.get("note") for m in one.load["maps"]}["counts"] for one in (first, second)]
    assert notes == [f"pinned at {PINNED}", f"reused from {PINNED}"]
    assert fresh.run(["ls", "/sys/fs/bpf", "/sys/fs/bpf/tool"]).stdout.split() == [
        b"/sys/fs/bpf:", b"tool", b"/sys/fs/bpf/tool:", b"counts",
    ]  # fmt: skip
    fresh.request(wire.MapOp(first.handle, "counts", "update", 0, 40))
    other = _load(fresh, data, "adds", maps={"outer": {"create": False}, "other": {"reuse": PINNED}})
    record = {m["name"]: m for m in other.load["maps"]}["other"]
    assert (record["type"], record["max_entries"]) == ("array", 1)
    assert record["note"] == f"reused from {PINNED}, as the contract says"
    assert result_of(fresh, other.handle, "adds") == 41
    rows = fresh.request(wire.MapOp(second.handle, "counts", "items"))
    assert isinstance(rows, wire.Value)
    assert rows.value == [[0, 41]]


def test_a_map_that_is_not_pinned_cannot_be_reused(fresh: Guest, data: bytes) -> None:
    """A missing pin is the map's failure, and of the programs that use it; so is a pin of another shape."""
    loaded = _load(
        fresh,
        data,
        "adds",
        "writes",
        maps={**NEITHER, "other": {"reuse": "/sys/fs/bpf/gone"}},
        types={"writes": "sched_cls"},
    )
    status = {p["name"]: p["status"] for p in loaded.load["programs"]}
    assert status == {"adds": "failed", "writes": "passed"}
    message = "map 'other': ENOENT: the map /sys/fs/bpf/gone that it is to be cannot be opened"
    assert loaded.load["message"] == message
    _load(fresh, data, "entered", maps={**NEITHER, "counts": {"pin": PINNED}})
    shape = _load(fresh, data, "adds", maps={**NEITHER, "other": {"pin": PINNED}})
    assert "is a map of another shape" in shape.load["message"]


def test_types_are_set(fresh: Guest, data: bytes) -> None:
    """A program is loaded as what the contract says, whatever its section: with other helpers, or at all."""
    plain = _load(fresh, data, "writes", "unnamed", maps=NEITHER)
    assert [p["status"] for p in plain.load["programs"]] == ["failed", "failed"]
    assert plain.load["programs"][1]["message"] == "section 'my own name' stands for no program type"
    set_ = _load(fresh, data, "writes", "unnamed", maps=NEITHER, types={"writes": "sched_cls", "unnamed": "xdp"})
    assert set_.load["status"] == "passed", set_.load["message"]
    assert [p["type"] for p in set_.load["programs"]] == ["sched_cls", "xdp"]
    assert (result_of(fresh, set_.handle, "writes"), result_of(fresh, set_.handle, "unnamed")) == (9, 6)


def test_an_attach_type_is_set(fresh: Guest, data: bytes) -> None:
    """A program of a hook is loaded for another one, and may read what that has."""
    refused = _load(fresh, data, "six", maps=NEITHER)
    assert refused.load["programs"][0]["errno"] == "EACCES"
    loaded = _load(fresh, data, "six", maps=NEITHER, attach_types={"six": "cgroup_inet6_connect"})
    assert loaded.load["status"] == "passed", loaded.load["message"]


def test_attach_points_are_given(fresh: Guest, data: bytes) -> None:
    """A program whose section names no function is attached to those of the contract, and runs at each."""
    places = ["kprobe:__x64_sys_getpgid", "kprobe:__x64_sys_getsid"]
    loaded = _load(fresh, data, "entered", maps=NEITHER, attach={"entered": places})
    attached = fresh.request(wire.Attach(loaded.handle))
    assert isinstance(attached, wire.Attached)
    assert [(p["status"], p["attach"]) for p in attached.programs] == [("passed", ", ".join(places))]
    calls = (
        "def check(obj):\n"
        "    import os\n"
        "    os.getpgid(0); os.getsid(0); os.getsid(0)\n"
        "    return obj.maps['counts'].lookup(0)\n"
    )
    assert _check(fresh, loaded, calls) == 3
    fresh.request(wire.Unload(loaded.handle))
    gone = _load(fresh, data, "entered", maps=NEITHER, attach={"entered": ["kprobe:no_such_function_ever"]})
    attached = fresh.request(wire.Attach(gone.handle))
    assert isinstance(attached, wire.Attached)
    assert attached.programs[0]["code"] == "attach-target-missing"


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ({"maps": {"counts": {"inner": INNER}}}, "map 'counts' is of type array, which holds no maps"),
        (
            {"attach": {"writes": "kprobe:x"}},
            "'kprobe' attaches kprobe programs, and program 'writes' is socket_filter",
        ),
        ({"attach": {"entred": "kprobe:x"}}, r"unknown program 'entred' \[did you mean 'entered'\?\]"),
        ({"types": {"writes": "sched_cl"}}, r"unknown program type 'sched_cl' \[did you mean 'sched_cls'\?\]"),
    ],
)
def test_what_makes_no_sense_is_refused(
    machines: Machines, linux: Kernel, data: bytes, contract: dict[str, Any], message: str
) -> None:
    """A contract that the object cannot follow is an error that says why; nothing is loaded."""
    with machines.start(linux) as guest, pytest.raises(RequestFailed, match=message):
        _load(guest, data, "writes", **contract)
