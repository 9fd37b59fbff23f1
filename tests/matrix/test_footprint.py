"""What maps take is worked out as the kernel allocates; guests come in a few sizes."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from tests import elfwriter as e

from everykernel.matrix import footprint
from everykernel.object.maps import MAP_TYPES

MIB = 1 << 20


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("hash", {}, (1000 + 2) * (48 + 8 + 64) + 1024 * 16),
        ("hash", {"flags": 1}, 1024 * 16),  # BPF_F_NO_PREALLOC
        ("lru_hash", {"flags": 1}, (1000 + 2) * (48 + 8 + 64) + 1024 * 16),  # preallocated in any case
        ("percpu_hash", {}, (1000 + 2) * (48 + 8 + 8 + 4 * 64) + 1024 * 16),
        ("array", {}, 65536),  # 64000, in pages
        ("array", {"value": 1}, 8192),  # 8 bytes a value
        ("percpu_array", {}, 1000 * (8 + 4 * 64)),
        ("percpu_array", {"cpus": 64}, 1000 * (8 + 66 * 64)),
        ("ringbuf", {"entries": 1 << 20}, (1 << 20) + 3 * 4096),
        ("stack_trace", {"value": 127 * 8}, 1024 * 8 + 1000 * (16 + 127 * 8)),
        ("queue", {}, 1001 * 64),
        ("bloom_filter", {"extra": 3}, 8192 // 8),  # 1000 * 3 * 7 / 5 bits, to a power of two
        ("perf_event_array", {}, 8000),
        ("lpm_trie", {"flags": 1}, 0),
        ("task_storage", {}, 0),
        ("arena", {}, 0),
        ("", {}, 64000),  # a type that nobody knows yet
    ],
)
def test_size(kind: str, more: dict[str, int], expected: int) -> None:
    """Preallocated elements, per-CPU values times CPUs, rings and stacks count; what grows with use does not."""
    given: dict[str, Any] = {"key": 4, "value": 64, "entries": 1000, "flags": 0, "extra": 0, "cpus": 2, **more}
    assert footprint.size(kind, **given) == expected


@pytest.mark.parametrize("kind", MAP_TYPES)
def test_no_map_is_beyond_reckoning(kind: str) -> None:
    """Any type, of any size, comes to a number."""
    for number in (0, 1, 0xFFFFFFFF):
        assert footprint.size(kind, number, number, number, 0, 0, 2) >= 0


def an_object(entries: int) -> bytes:
    writer = e.ObjectWriter()
    writer.section("maps", struct.pack("<5I", MAP_TYPES.index("array"), 4, 8, entries, 0))
    writer.symbol("big", "maps", 0, 20, kind=e.OBJECT)
    return writer.build()


def test_need_of_an_object() -> None:
    """Declared sizes count, those of the contract before them; a map that is left out takes nothing."""
    data = an_object(1 << 20)
    assert footprint.need(data, "a.o", {}, 2) == 8 * MIB
    assert footprint.need(data, "a.o", {"maps": {"big": {"max_entries": 1 << 21}}}, 2) == 16 * MIB
    assert footprint.need(data, "a.o", {"maps": {"big": {"max_entries": "cpus"}}}, 2) == 4096
    assert footprint.need(data, "a.o", {"maps": {"big": {"max_entries": "64 pages"}}}, 2) == 2 * MIB
    assert footprint.need(data, "a.o", {"maps": {"big": {"create": False}}}, 2) == 0
    assert footprint.need(data, "a.o", {"maps": {"big": {"type": "percpu_array"}}}, 4) == (1 << 20) * (8 + 6 * 8)


def test_an_object_that_cannot_be_read() -> None:
    """What is wrong with an object is for the guest to say: here it takes nothing."""
    for data in (b"", b"\x7fELF", an_object(1)[:-200]):
        assert footprint.need(data, "a.o", {}, 2) == 0


def test_sizes() -> None:
    """Guests double from 256 MiB up to the ceiling; maps get the first that has room beside kernel and agent."""
    assert list(footprint.sizes(4096)) == [256, 512, 1024, 2048, 4096]
    assert list(footprint.sizes(1000)) == [256, 512]
    assert list(footprint.sizes(100)) == [256]
    assert footprint.fitting(0, 4096) == 256
    assert footprint.fitting(59 * MIB, 4096) == 256
    assert footprint.fitting(61 * MIB, 4096) == 512
    assert footprint.fitting(400 * MIB, 4096) == 1024
    assert footprint.fitting(400 * MIB, 512) == 512
    assert footprint.fitting(1 << 50, 4096) == 4096
    assert (footprint.larger(256, 4096), footprint.larger(300, 4096), footprint.larger(4096, 4096)) == (512, 512, None)


def test_what_the_host_has() -> None:
    """The host's own words on its memory are taken; without them the usual ceiling holds."""
    assert footprint.available("MemTotal: 4000000 kB\nMemAvailable:    2097152 kB\n") == 2048
    assert footprint.available("") == 4096
