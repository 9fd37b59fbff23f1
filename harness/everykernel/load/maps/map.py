"""Maps in the kernel, read and written as plain data.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Optional, Union

from everykernel import wire
from everykernel.dataclass import replace
from everykernel.errors import UsageError
from everykernel.load.maps import batch
from everykernel.load.maps.values import decode_value, encode_value
from everykernel.load.system import abi
from everykernel.object.maps import MAP_TYPE, MAP_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from everykernel.btf import Btf
    from everykernel.load.system.block import Memory
    from everykernel.load.system.door import System
    from everykernel.object.spec import MapSpec

PER_CPU = frozenset(MAP_TYPE[n] for n in ("percpu_hash", "percpu_array", "lru_percpu_hash", "percpu_cgroup_storage"))
PERF_EVENT_ARRAY = MAP_TYPE["perf_event_array"]
PROG_ARRAY = MAP_TYPE["prog_array"]
STRUCT_OPS = MAP_TYPE["struct_ops"]
ARRAY = MAP_TYPE["array"]

_ANY = 0


class Map:
    """One map in the kernel, or the attempt at one.

    Attributes:
        name: its name in the object.
        system: the machine that it is in.
        spec: as declared (for a section of global variables: the array that stands for it).
        record: what the kernel made of it.
        fd: its descriptor, -1 if it could not be created.
        lost: events lost so far, of a perf event array.
        cpus: how many values a key has, 0 where it has one for all CPUs.
        memory: an arena's, from its first page on; programs' pointers into it are addresses in this process.
    """

    def __init__(self, name: str, spec: MapSpec, btf: Optional[Btf], system: System) -> None:
        self.name = name
        self.system = system
        self._order = system.byteorder
        self.spec = spec
        self.fd = -1
        self.lost = 0
        self._btf = btf
        self.cpus = len(system.cpus()) if spec.type in PER_CPU else 0
        self.programs: dict[str, int] = {}  # name → descriptor, for prog_array
        self.reader: Any = None
        self._writer: Any = None
        self.memory: Optional[Memory] = None
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

    def become(self, fd: int, type_: int, key_size: int, value_size: int, entries: int, flags: int) -> None:
        """Be a map that is in the kernel already, of whatever shape; the object's types stay only if they fit."""
        same = (key_size, value_size) == (self.spec.key_size, self.spec.value_size)
        self.spec = replace(
            self.spec, type=type_, key_size=key_size, value_size=value_size, max_entries=entries, flags=flags,
            key_type=self.spec.key_type if same else 0, value_type=self.spec.value_type if same else 0,
        )  # fmt: skip
        self.fd = fd
        self.cpus = len(self.system.cpus()) if type_ in PER_CPU else 0
        record = self.record
        record["type"], record["max_entries"] = type_name(type_), entries
        record["key_size"], record["value_size"] = key_size, value_size

    def lookup(self, key: Any) -> Any:
        """Return the value at a key, None where there is none; of a per-CPU map the list of values, one a CPU."""
        packed = self._key(key)
        value = bytearray(self.room())
        try:
            self.system.bpf(abi.MAP_LOOKUP_ELEM, abi.element(self._open(), packed, value))
        except OSError as e:
            if e.errno == errno.ENOENT:
                return None
            raise
        return self._value(value)

    def update(self, key: Any, value: Any, flags: int = _ANY) -> None:
        """Set the value at a key; of a per-CPU map a list with one value a CPU. Raises OSError."""
        packed, data = self._key(key), self._packed(value)
        self.system.bpf(abi.MAP_UPDATE_ELEM, abi.element(self._open(), packed, data, flags))

    def delete(self, key: Any) -> None:
        """Delete a key; raise OSError (ENOENT) if it is not there."""
        packed = self._key(key)
        self.system.bpf(abi.MAP_DELETE_ELEM, abi.element(self._open(), packed))

    def items(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values, in the kernel's order; keys that vanish meanwhile are left out."""
        found = []
        for packed in self._keys():
            key = decode_value(self._btf, self.spec.key_type, bytes(packed))
            value = bytearray(self.room())
            try:
                self.system.bpf(abi.MAP_LOOKUP_ELEM, abi.element(self.fd, packed, value))
            except OSError as e:
                if e.errno == errno.ENOENT:
                    continue
                raise
            found.append((key, self._value(value)))
        return found

    def lookup_batch(self) -> list[tuple[Any, Any]]:
        """Return what `items` does, by as few system calls as the kernel has for this type of map."""
        return self._read_batch(delete=False)

    def lookup_and_delete_batch(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values, and take them out of the map. Raises OSError where they cannot be."""
        return self._read_batch(delete=True)

    def update_batch(self, items: Iterable[tuple[Any, Any]], flags: int = _ANY) -> None:
        """Set many values; those before one that is refused (OSError) stay set."""
        pairs = [(self._key(key), self._packed(value)) for key, value in items]
        try:
            batch.update(self.system, self._open(), [key for key, _ in pairs], [value for _, value in pairs], flags)
        except batch.NoBatch:
            for key, value in pairs:
                self.system.bpf(abi.MAP_UPDATE_ELEM, abi.element(self.fd, key, value, flags))

    def delete_batch(self, keys: Iterable[Any]) -> None:
        """Delete many keys; those before one that is not there (OSError, ENOENT) are gone."""
        packed = [self._key(key) for key in keys]
        try:
            batch.delete(self.system, self._open(), packed)
        except batch.NoBatch:
            for key in packed:
                self.system.bpf(abi.MAP_DELETE_ELEM, abi.element(self.fd, key))

    def _read_batch(self, *, delete: bool) -> list[tuple[Any, Any]]:
        try:
            packed = batch.read(self.system, self._open(), self.spec.key_size, self.room(), delete=delete)
        except batch.NoBatch:
            found = self.items()
            for key, _ in found if delete else ():
                self.delete(key)
            return found
        key_type = self.spec.key_type
        return [(decode_value(self._btf, key_type, key), self._value(value)) for key, value in packed]

    def send(self, samples: Sequence[bytes]) -> int:
        """Put samples into a user ring buffer, for programs to drain; return how many had room, the first ones."""
        if self.spec.type != MAP_TYPE["user_ringbuf"]:
            raise UsageError(f"a map of type {self.record['type']} takes no samples", where=f"map {self.name!r}")
        if not all(isinstance(sample, (bytes, bytearray)) for sample in samples):
            raise UsageError("a sample is bytes", where=f"map {self.name!r}")
        if self._writer is None:
            from everykernel.load.maps.userring import UserRingBuffer

            self._writer = UserRingBuffer(self.system, self._open(), int(self.record["max_entries"]))
        return int(self._writer.write(samples))

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
                from everykernel.load.maps.ringbuf import RingBuffer

                kept = bool(self.spec.flags & abi.F_RB_OVERWRITE)
                self.reader = RingBuffer(self.system, self._open(), int(self.record["max_entries"]), overwrites=kept)
            elif self.spec.type == PERF_EVENT_ARRAY:
                from everykernel.load.maps.perfbuf import PerfBuffer

                self.reader = PerfBuffer(self.system, self._open(), int(self.record["max_entries"]))
            else:
                raise UsageError(f"a map of type {self.record['type']} has no events", where=f"map {self.name!r}")
        return self.reader

    def close(self) -> None:
        """Close its reader, its writer and its descriptor, and unmap its memory."""
        for held in (self.reader, self._writer, self.memory):
            if held is not None:
                held.close()
        self.reader = self._writer = self.memory = None
        if self.fd >= 0:
            self.system.close(self.fd)
            self.fd = -1

    def _open(self) -> int:
        if self.fd < 0:
            raise UsageError(f"was not created: {self.record['message'] or 'it is closed'}", where=f"map {self.name!r}")
        return self.fd

    def room(self) -> int:
        """Return how many bytes a lookup fills: per-CPU values are rounded up to 8 and follow one another."""
        size = self.spec.value_size
        return (size + 7 & ~7) * self.cpus if self.cpus else size

    def copies(self) -> range:
        """Return where the values of the CPUs start in what a lookup fills; of another map the one 0."""
        return range(0, self.room(), self.spec.value_size + 7 & ~7) if self.cpus else range(1)

    def _key(self, key: Any) -> bytearray:
        spec, where = self.spec, f"map {self.name!r}: key"
        return bytearray(encode_value(self._btf, spec.key_type, spec.key_size, key, where, self._order))

    def _packed(self, value: Any) -> bytearray:
        spec, order = self.spec, self._order
        where = f"map {self.name!r}: value"
        if spec.type == PROG_ARRAY and isinstance(value, str):
            if value not in self.programs:
                raise UsageError(f"there is no loaded program {value!r}", where=where)
            value = self.programs[value]
        type_id, size = spec.value_type, spec.value_size
        if not self.cpus:
            return bytearray(encode_value(self._btf, type_id, size, value, where, order))
        if not isinstance(value, (list, tuple)) or len(value) != self.cpus:
            raise UsageError(f"a per-CPU value is a list with one item for each of {self.cpus} CPUs", where=where)
        step = size + 7 & ~7
        parts = (encode_value(self._btf, type_id, size, v, where, order).ljust(step, b"\0") for v in value)
        return bytearray(b"".join(parts))

    def _value(self, data: Union[bytes, bytearray]) -> Any:
        spec = self.spec
        if not self.cpus:
            return decode_value(self._btf, spec.value_type, bytes(data))
        parts = (bytes(data[at : at + spec.value_size]) for at in self.copies())
        return [decode_value(self._btf, spec.value_type, part) for part in parts]

    def _keys(self) -> Iterator[bytearray]:
        """Yield the packed keys; a key deleted meanwhile would start the kernel's walk over, so each is given once."""
        previous: Optional[bytearray] = None
        seen = set()
        while True:
            following = bytearray(self.spec.key_size)
            start = previous if previous is not None else 0
            try:
                self.system.bpf(abi.MAP_GET_NEXT_KEY, abi.element(self._open(), start, following))
            except OSError as e:
                if e.errno == errno.ENOENT:
                    return
                raise
            previous = following
            if bytes(following) not in seen:
                seen.add(bytes(following))
                yield following


def type_name(number: int) -> str:
    """Return the name of a map type; the number of one that is not known."""
    return MAP_TYPES[number] if 0 <= number < len(MAP_TYPES) else str(number)
