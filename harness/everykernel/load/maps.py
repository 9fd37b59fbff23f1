"""Maps in the kernel: creating them as an object declares them, and reading and writing them as plain data.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional

from everykernel import wire
from everykernel.btf import decode
from everykernel.errors import BtfMalformed, UsageError
from everykernel.load import abi, pins
from everykernel.load.syscalls import ENOTSUPP, address, bpf, error_name
from everykernel.object.maps import MAP_TYPE, MAP_TYPES
from everykernel.object.spec import DataSection, MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf import Btf
    from everykernel.load.probe import Probes

PER_CPU = frozenset(MAP_TYPE[n] for n in ("percpu_hash", "percpu_array", "lru_percpu_hash", "percpu_cgroup_storage"))
RING_BUFFERS = frozenset({MAP_TYPE["ringbuf"], MAP_TYPE["user_ringbuf"]})
PERF_EVENT_ARRAY = MAP_TYPE["perf_event_array"]
PROG_ARRAY = MAP_TYPE["prog_array"]
ARRAY = MAP_TYPE["array"]

# Types whose keys and values the kernel does not describe by BTF: libbpf leaves the types out (bpf_object__create_map).
_NO_BTF = frozenset(
    MAP_TYPE[n]
    for n in (
        "perf_event_array", "cgroup_array", "stack_trace", "array_of_maps", "hash_of_maps", "devmap", "devmap_hash",
        "cpumap", "xskmap", "sockmap", "sockhash", "queue", "stack", "arena", "ringbuf", "user_ringbuf", "prog_array",
    )
)  # fmt: skip
_NO_ENTRIES = frozenset(
    MAP_TYPE[n]
    for n in (
        "cgroup_storage", "percpu_cgroup_storage", "sk_storage", "inode_storage", "task_storage", "cgrp_storage",
        "struct_ops",
    )
)  # fmt: skip
_ANY = 0


def possible_cpus() -> int:
    """Return how many CPUs there can be: a per-CPU value has one part for each (/sys/devices/system/cpu/possible)."""
    return len(cpu_list("possible"))


def cpu_list(which: str) -> list[int]:
    """Return the CPUs of ``possible`` or ``online``."""
    with open(f"/sys/devices/system/cpu/{which}") as file:  # noqa: PTH123 - pathlib costs a tenth of the call here
        text = file.read().strip()
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


class Map:
    """One map in the kernel, or the attempt at one.

    Attributes:
        name: its name in the object.
        spec: as declared (for a section of global variables: the array that stands for it).
        record: what the kernel made of it.
        fd: its descriptor, -1 if it could not be created.
        lost: events lost so far, of a perf event array.
    """

    def __init__(self, name: str, spec: MapSpec, btf: Optional[Btf]) -> None:
        self.name = name
        self.spec = spec
        self.fd = -1
        self.lost = 0
        self._btf = btf
        self._cpus = possible_cpus() if spec.type in PER_CPU else 0
        self.programs: dict[str, int] = {}  # name → descriptor, for prog_array
        self.reader: Any = None
        self.record: wire.MapRecord = {
            "name": name,
            "type": type_name(spec.type),
            "key_size": spec.key_size,
            "value_size": spec.value_size,
            "max_entries": spec.max_entries,
            "status": wire.PASSED,
            "code": "",
            "errno": None,
            "message": "",
        }

    def __repr__(self) -> str:
        return f"<Map {self.name}: {self.record['type']}, {self.record['status']}>"

    def lookup(self, key: Any) -> Any:
        """Return the value at a key, None where there is none; of a per-CPU map the list of values, one a CPU."""
        packed = self._key(key)
        value = bytearray(self._room())
        try:
            bpf(abi.MAP_LOOKUP_ELEM, abi.element(self._open(), address(packed), address(value)))
        except OSError as e:
            if e.errno == errno.ENOENT:
                return None
            raise
        return self._value(value)

    def update(self, key: Any, value: Any, flags: int = _ANY) -> None:
        """Set the value at a key; of a per-CPU map a list with one value a CPU. Raises OSError."""
        packed, data = self._key(key), self._packed(value)
        bpf(abi.MAP_UPDATE_ELEM, abi.element(self._open(), address(packed), address(data), flags))

    def delete(self, key: Any) -> None:
        """Delete a key; raise OSError (ENOENT) if it is not there."""
        packed = self._key(key)
        bpf(abi.MAP_DELETE_ELEM, abi.element(self._open(), address(packed)))

    def items(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values, in the kernel's order; keys that vanish meanwhile are left out."""
        found = []
        for packed in self._keys():
            key = decode_value(self._btf, self.spec.key_type, bytes(packed))
            value = bytearray(self._room())
            try:
                bpf(abi.MAP_LOOKUP_ELEM, abi.element(self.fd, address(packed), address(value)))
            except OSError as e:
                if e.errno == errno.ENOENT:
                    continue
                raise
            found.append((key, self._value(value)))
        return found

    def events(self, count: int = 1, timeout: float = 1.0) -> list[bytes]:
        """Return the next ``count`` samples of a ring or perf buffer, or what came in ``timeout`` seconds."""
        reader = self.open_reader()
        samples: list[bytes] = reader.read(count, timeout)
        self.lost = reader.lost
        return samples

    def open_reader(self) -> Any:
        """Return the reader of its events, opened at first use; raise UsageError for a map that has none."""
        if self.reader is None:
            if self.spec.type == MAP_TYPE["ringbuf"]:
                from everykernel.load.ringbuf import RingBuffer

                self.reader = RingBuffer(self._open(), int(self.record["max_entries"]))
            elif self.spec.type == PERF_EVENT_ARRAY:
                from everykernel.load.perfbuf import PerfBuffer

                self._open()
                self.reader = PerfBuffer(self)
            else:
                raise UsageError(f"a map of type {self.record['type']} has no events", where=f"map {self.name!r}")
        return self.reader

    def close(self) -> None:
        """Close its reader and descriptor."""
        if self.reader is not None:
            self.reader.close()
            self.reader = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _open(self) -> int:
        if self.fd < 0:
            raise UsageError(f"was not created: {self.record['message'] or 'it is closed'}", where=f"map {self.name!r}")
        return self.fd

    def _room(self) -> int:
        """Bytes that a lookup fills: per-CPU values are rounded up to 8 and follow one another."""
        size = self.spec.value_size
        return (size + 7 & ~7) * self._cpus if self._cpus else size

    def _key(self, key: Any) -> bytearray:
        return bytearray(
            encode_value(self._btf, self.spec.key_type, self.spec.key_size, key, f"map {self.name!r}: key")
        )

    def _packed(self, value: Any) -> bytearray:
        spec = self.spec
        where = f"map {self.name!r}: value"
        if spec.type == PROG_ARRAY and isinstance(value, str):
            if value not in self.programs:
                raise UsageError(f"there is no loaded program {value!r}", where=where)
            value = self.programs[value]
        if not self._cpus:
            return bytearray(encode_value(self._btf, spec.value_type, spec.value_size, value, where))
        if not isinstance(value, (list, tuple)) or len(value) != self._cpus:
            raise UsageError(f"a per-CPU value is a list with one item for each of {self._cpus} CPUs", where=where)
        step = spec.value_size + 7 & ~7
        parts = (encode_value(self._btf, spec.value_type, spec.value_size, v, where).ljust(step, b"\0") for v in value)
        return bytearray(b"".join(parts))

    def _value(self, data: bytearray) -> Any:
        spec = self.spec
        if not self._cpus:
            return decode_value(self._btf, spec.value_type, bytes(data))
        step, size = spec.value_size + 7 & ~7, spec.value_size
        starts = range(0, len(data), step)
        return [decode_value(self._btf, spec.value_type, bytes(data[at : at + size])) for at in starts]

    def _keys(self) -> Iterator[bytearray]:
        """Yield the packed keys; a key deleted meanwhile would start the kernel's walk over, so each is given once."""
        previous: Optional[bytearray] = None
        seen = set()
        while True:
            following = bytearray(self.spec.key_size)
            start = address(previous) if previous is not None else 0
            try:
                bpf(abi.MAP_GET_NEXT_KEY, abi.element(self._open(), start, address(following)))
            except OSError as e:
                if e.errno == errno.ENOENT:
                    return
                raise
            previous = following
            if bytes(following) not in seen:
                seen.add(bytes(following))
                yield following


def decode_value(btf: Optional[Btf], type_id: int, data: bytes) -> Any:
    """Return plain data by a BTF type; without a type, bytes."""
    return decode.value(btf, type_id, data) if btf is not None and type_id else data


def encode_value(btf: Optional[Btf], type_id: int, size: int, value: Any, where: str) -> bytes:
    """Return ``size`` bytes of plain data; an int without a type is taken as unsigned. Raises UsageError."""
    try:
        if isinstance(value, (bytes, bytearray)):
            data = bytes(value)
        elif btf is not None and type_id:
            data = decode.encode(btf, type_id, value)
        elif isinstance(value, int):
            data = struct.pack("=Q" if value >= 0 else "=q", value)[:size] if size <= 8 else b""
        else:
            raise UsageError("has no BTF type: give bytes", where=where)
    except (BtfMalformed, struct.error) as e:
        raise UsageError(f"{value!r} does not fit: {e}", where=where) from e
    if len(data) > size:
        raise UsageError(f"{len(data)} bytes are more than its {size}", where=where)
    return data.ljust(size, b"\0")


def type_name(number: int) -> str:
    """Return the name of a map type; the number of one that is not known."""
    return MAP_TYPES[number] if 0 <= number < len(MAP_TYPES) else str(number)


def create(map_: Map, probes: Probes, btf_fd: int) -> None:
    """Create a map as declared; its record tells what came of it.

    Entries: 0 becomes the number of CPUs for a perf event array and 1 elsewhere, a ring buffer's are rounded up to a
    power of two pages (libbpf's adjust_ringbuf_sz); both are noted.
    """
    spec, record = map_.spec, map_.record
    entries, note = entries_of(spec)
    record["max_entries"] = entries
    if note:
        record["note"] = note
    key_size, value_size = spec.key_size, spec.value_size
    if spec.type == PERF_EVENT_ARRAY:
        key_size, value_size = key_size or 4, value_size or 4
        record["key_size"], record["value_size"] = key_size, value_size
    if spec.pinning and pins.reuse(map_):
        return
    inner = -1
    try:
        if spec.inner is not None:
            inner = bpf(abi.MAP_CREATE, _attributes(spec.inner, spec.inner.max_entries or 1, "inner", 0).pack())
        with_btf = btf_fd if spec.type not in _NO_BTF and (spec.key_type or spec.value_type) else 0
        attributes = _attributes(spec, entries, map_.name, with_btf)._replace(
            key_size=key_size, value_size=value_size, inner_fd=max(inner, 0)
        )
        map_.fd = _create(attributes)
    except OSError as e:
        _refused(map_, probes, e)
    finally:
        if inner >= 0:
            os.close(inner)
    if spec.pinning and map_.fd >= 0:
        pins.pin(map_)


def entries_of(spec: MapSpec) -> tuple[int, str]:
    """Return how many entries a map gets, and a note where that is not what it declares."""
    entries = spec.max_entries
    if spec.type in RING_BUFFERS:
        page = mmap.PAGESIZE
        size = page
        while size < entries < 1 << 31:
            size *= 2
        size = max(size, entries)
        return size, f"max_entries was {entries}: {size}" if size != entries else ""
    if entries or spec.type in _NO_ENTRIES:
        return entries, ""
    if spec.type == PERF_EVENT_ARRAY:
        cpus = possible_cpus()
        return cpus, f"max_entries was 0: {cpus}, one a CPU"
    return 1, "max_entries was 0: 1"


def _attributes(spec: MapSpec, entries: int, name: str, btf_fd: int) -> abi.MapAttributes:
    return abi.MapAttributes(
        spec.type,
        spec.key_size,
        spec.value_size,
        entries,
        spec.flags,
        numa_node=spec.numa_node,
        name=abi.object_name(name),
        btf_fd=btf_fd,
        key_type=spec.key_type if btf_fd else 0,
        value_type=spec.value_type if btf_fd else 0,
        extra=spec.extra,
    )


def _create(attributes: abi.MapAttributes) -> int:
    """Create a map; where the kernel refuses its types, without them (as libbpf does)."""
    try:
        return bpf(abi.MAP_CREATE, attributes.pack())
    except OSError:
        if not attributes.btf_fd:
            raise
    return bpf(abi.MAP_CREATE, attributes._replace(btf_fd=0, key_type=0, value_type=0).pack())


def _refused(map_: Map, probes: Probes, error: OSError) -> None:
    """Write down why a map was refused."""
    record, kind = map_.record, map_.record["type"]
    record["status"] = wire.FAILED
    record["errno"] = name = error_name(error.errno)
    if error.errno == errno.EPERM:
        record["code"], why = "permission-denied", "the kernel denies it to this caller"
    elif error.errno in (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP) and not probes.map_type(map_.spec.type):
        record["code"], why = "map-type-unsupported", f"this kernel does not know map type {kind}"
    elif error.errno in (errno.E2BIG, errno.ENOMEM):
        record["code"], why = (
            "limit-exceeded",
            f"{record['max_entries']} entries of {map_.spec.value_size} bytes are too many",
        )
    else:
        spec = map_.spec
        record["code"] = "map-create-failed"
        sizes = f"key {spec.key_size}, value {spec.value_size} bytes"
        why = f"the kernel refuses a {kind} of {record['max_entries']} entries, {sizes}"
    record["message"] = f"map {map_.name!r}: {name}: {why}"


def data_map(section: DataSection, btf: Optional[Btf]) -> Map:
    """Return the map (not created yet) that stands for a section of global variables: an array of one entry."""
    flags = abi.F_RDONLY_PROG if section.read_only else 0
    if section.shared:
        flags |= abi.F_MMAPABLE
    return Map(section.name, MapSpec(section.name, ARRAY, 4, section.size, 1, flags, value_type=section.type_id), btf)


def create_data(map_: Map, probes: Probes, btf_fd: int, title: str, data: bytes) -> None:
    """Create and fill the map of a section of global variables; freeze a read-only one.

    ``data`` may be empty: zeros. Where the kernel cannot map arrays into memory (before Linux commit fc9702273e2e, in
    v5.5) it is created without.
    """
    spec = map_.spec
    attributes = _attributes(spec, 1, title, btf_fd if spec.value_type else 0)
    try:
        try:
            map_.fd = _create(attributes)
        except OSError:
            if not spec.flags & abi.F_MMAPABLE:
                raise
            map_.spec = replace(spec, flags=spec.flags & ~abi.F_MMAPABLE)
            map_.fd = _create(attributes._replace(flags=spec.flags & ~abi.F_MMAPABLE))
        key, value = bytearray(4), bytearray(data)
        if any(data):
            bpf(abi.MAP_UPDATE_ELEM, abi.element(map_.fd, address(key), address(value)))
        if spec.flags & abi.F_RDONLY_PROG:
            try:
                bpf(abi.MAP_FREEZE, abi.words(map_.fd))
            except OSError as e:
                if (
                    e.errno != errno.EINVAL
                ):  # before Linux commit 87df15de441b ("bpf: add syscall side map freeze", v5.2)
                    raise
    except OSError as e:
        _refused(map_, probes, e)
