"""A guest's size never decides: maps take what is worked out for them, and guests are as large as objects need."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from tests import elfwriter as e

from everykernel import wire
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines, MachineSpec
from everykernel.matrix import case, footprint
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.plan import columns
from everykernel.matrix.records import CaseResult
from everykernel.matrix.sizing import Sizing
from everykernel.object.maps import MAP_TYPES

pytestmark = pytest.mark.vm

MIB = 1 << 20
HASH_400 = ("hash", 8, 8, 5 << 20, 0)  # 64 bytes an element: 320 MiB; 16 for each of 2**23 buckets: 128


def an_object(kind: str, key: int, value: int, entries: int, flags: int) -> bytes:
    """Return an object with one legacy map."""
    writer = e.ObjectWriter()
    writer.section("maps", struct.pack("<5I", MAP_TYPES.index(kind), key, value, entries, flags))
    writer.symbol("big", "maps", 0, 20, kind=e.OBJECT)
    return writer.build()


def run(machines: Machines, path: Path, spec: str, memory: int | None = None, ceiling: int = 1024) -> CaseResult:
    running = Campaign(columns([spec]), machines, sizing=Sizing(ceiling))
    return running.run(spec, case.bare(path).with_memory(memory)).result()["result"]


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """An object with a preallocated hash of 400 MB."""
    path = tmp_path / "big.bpf.o"
    path.write_bytes(an_object(*HASH_400))
    return path


@pytest.mark.parametrize(
    "declared",
    [
        ("hash", 8, 8, 400_000, 0),
        ("hash", 4, 1000, 30_000, 0),
        ("hash", 8, 8, 400_000, 1),
        ("lru_hash", 16, 100, 200_000, 0),
        ("percpu_hash", 8, 64, 100_000, 0),
        ("lru_percpu_hash", 8, 64, 100_000, 0),
        ("array", 4, 100, 300_000, 0),
        ("percpu_array", 4, 8, 1_000_000, 0),
        ("stack_trace", 4, 127 * 8, 30_000, 0),
        ("ringbuf", 0, 0, 32 << 20, 0),
        ("queue", 0, 100, 300_000, 0),
        ("prog_array", 4, 4, 4_000_000, 0),
        ("lpm_trie", 8, 8, 4_000_000, 1),
        ("sockhash", 4, 4, 1_000_000, 0),
        ("devmap_hash", 4, 4, 4_000_000, 0),
    ],
    ids=lambda declared: f"{declared[0]}-{declared[4]}",
)
def test_maps_take_what_is_worked_out(machines: Machines, linux: Kernel, declared: Any) -> None:
    """What a map takes of a guest's memory is what the host expected, to a seventh and two MiB."""
    data = an_object(*declared)
    with machines.start(linux, MachineSpec(memory=512)) as guest:
        before = _free(guest)
        loaded = guest.request(wire.Load("big.bpf.o", data))
        assert [m["status"] for m in loaded.load["maps"]] == ["passed"], loaded.load["message"]
        taken = before - _free(guest)
    expected = footprint.need(data, "big.bpf.o", {}, 2)
    assert abs(taken - expected) < expected / 7 + 2 * MIB, f"{taken / MIB:.1f} MiB, {expected / MIB:.1f} expected"


def _free(guest: Guest) -> int:
    text = guest.run(["sh", "-c", "echo 3 > /proc/sys/vm/drop_caches; cat /proc/meminfo"]).stdout.decode()
    return footprint.available(text) << 20


def test_a_large_hash_passes(machines: Machines, big: Path) -> None:
    """An object with a preallocated hash of 400 MB passes on default settings, in a guest that is large enough."""
    result = run(machines, big, "6.1")
    assert (result["outcome"], result["granted"], result["machine"]["memory"]) == ("passed", {"memory": 1024}, None)
    assert result["notes"] == ["its maps take 448 MiB: a guest of 1024 MiB"]


def test_an_order_is_an_order(machines: Machines, big: Path) -> None:
    """With 256 MiB, as the user asked, it does not: that is the verdict on this machine."""
    result = run(machines, big, "6.1", 256)
    assert result["code"] in ("limit-exceeded", "guest-lost", "kernel-panic")
    assert (result["granted"], result["machine"]["memory"]) == ({"memory": 256}, 256)


def test_again_in_a_larger_guest(machines: Machines, big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the object does not tell what it will take, the kernel does: the cell is run again, twice."""
    monkeypatch.setattr(footprint, "need", lambda *arguments: 0)
    result = run(machines, big, "6.1")
    assert (result["outcome"], result["granted"]) == ("passed", {"memory": 1024})
    assert [note.partition(" MiB were too few (")[0] for note in result["notes"]] == ["256", "512"]
    assert "ENOMEM: there is no memory for 5242880 entries of 8 bytes" in result["notes"][0]


def test_a_limit_of_the_kernel_s_own(machines: Machines, tmp_path: Path) -> None:
    """A 32-bit kernel with 896 MiB or more has 128 MiB of addresses for such maps: the message says whose limit it is.

    In a smaller guest it has more addresses, and there the same map passes as long as it fits.
    """
    path = tmp_path / "big.bpf.o"
    path.write_bytes(an_object("array", 4, 8, 40 << 20, 0))
    result = run(machines, path, "6.1/i386")
    assert (result["outcome"], result["code"], result["granted"]) == ("failed", "limit-exceeded", {"memory": 1024})
    path.write_bytes(an_object("array", 4, 8, 25 << 20, 0))
    fits = run(machines, path, "6.1/i386")
    assert (fits["outcome"], fits["granted"]) == ("passed", {"memory": 512})
    assert result["message"].endswith(
        "ENOMEM: there is no memory for 41943040 entries of 8 bytes; "
        "a guest of 1024 MiB has room: the limit is the kernel's own (on 32 bits, its address space)"
    )


def test_the_agent_is_taken_last(guest: Guest) -> None:
    """The OOM killer leaves the agent alone; what the agent starts may be killed as anything else.

    ``cat`` ends when the agent, which has set the score by then, closes the program's input.
    """
    scores = guest.run(["sh", "-c", "cat /proc/$PPID/oom_score_adj; cat; cat /proc/self/oom_score_adj"])
    assert scores.stdout == b"-1000\n0\n"
