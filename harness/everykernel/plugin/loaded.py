"""The loaded object as a test sees it: a proxy with the surface that `load.LoadedObject` has in the guest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from types import TracebackType
from typing import Any, Self

from everykernel import wire
from everykernel.errors import CaseError, ObjectUnsupported
from everykernel.machine import Guest


class LoadFailed(CaseError):
    """An object did not relocate or load; ``code`` is its reason code, ``stages`` the two stages."""

    def __init__(self, message: str, *, code: str, where: str, stages: dict[str, wire.Stage]) -> None:
        super().__init__(message, where=where)
        self.code = code
        self.stages = stages


class MisreadFound(CaseError):
    """A program that was loaded reads other bytes than its author meant, and strict reads were asked for."""

    code = "misread"


class AttachFailed(CaseError):
    """A program was not attached; ``code`` is its reason code, ``record`` what the kernel said."""

    def __init__(self, record: wire.ProgramRecord, *, where: str) -> None:
        super().__init__(f"program {record.get('name')!r}: {record.get('message')}", where=where)
        self.code = record.get("code") or "attach-failed"
        self.record = record


class LoadedObject:
    """An object that is loaded in a guest.

    Attributes:
        name: its path as the test gave it.
        relocate: the record of the relocate stage.
        load: the record of the load stage.
        misreads: what programs that were loaded read, and take for something else.
        programs: by name.
        maps: by name.
        globals: the global variables of .data, .bss and .rodata, by name; assignments are written.
    """

    def __init__(self, guest: Guest, name: str, data: bytes, loaded: wire.Loaded) -> None:
        self.name = name
        self.relocate: wire.Stage = loaded.relocate  # type: ignore[assignment]
        self.load: wire.Stage = loaded.load  # type: ignore[assignment]
        self.misreads: list[wire.Misread] = loaded.misreads  # type: ignore[assignment]
        self._guest = guest
        self._handle = loaded.handle
        self._data = data
        self._btf: Any = None
        self.programs = {
            p["name"]: Program(guest, loaded.handle, p) for p in self.load.get("programs", []) if "name" in p
        }
        self.maps = {m["name"]: Map(guest, loaded.handle, m["name"]) for m in self.load.get("maps", []) if "name" in m}
        self.globals = Globals(guest, loaded.handle)

    @property
    def relocations(self) -> list[wire.Relocation]:
        """Every CO-RE record that was applied, with its outcome."""
        return self.relocate.get("relocations", [])

    def attach(self, program: str | None = None, target: str = "") -> list[wire.ProgramRecord]:
        """Attach one program, or all that attach without parameters; return what happened to each.

        Raises AttachFailed for one that was refused (in the guest, a case's check gets the record instead).
        """
        return _attach(self._guest, wire.Attach(self._handle, program, target), self.name)

    def detach(self, program: str | None = None) -> None:
        """Detach one program, or all."""
        self._guest.request(wire.Detach(self._handle, program))

    def decode(self, type_name: str, data: bytes) -> Any:
        """Return a sample's bytes as plain data, by a type of the object's own BTF.

        Raises ObjectUnsupported where the object has no such type.
        """
        from everykernel.btf import decode

        btf = self._own_btf()
        for kind in ("struct", "union", "typedef", "enum", "int"):
            found = btf.find(type_name, kind)
            if found is not None:
                return decode.value(btf, found, data)
        raise ObjectUnsupported(f"has no type {type_name!r}", where=self.name)

    def close(self) -> None:
        """Close everything that it holds in the guest."""
        self._guest.request(wire.Unload(self._handle))

    def _own_btf(self) -> Any:
        if self._btf is None:
            from everykernel import object as objects

            self._btf = objects.read(self._data, self.name).btf
            if self._btf is None:
                raise ObjectUnsupported("has no BTF", where=self.name)
        return self._btf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()


class Program:
    """One program of a loaded object.

    Attributes:
        record: what the kernel made of it.
    """

    def __init__(self, guest: Guest, handle: int, record: wire.ProgramRecord) -> None:
        self.record = record
        self._guest = guest
        self._handle = handle

    @property
    def name(self) -> str:
        """Its name in the object."""
        return self.record["name"]

    @property
    def log(self) -> str:
        """The verifier's log, whole; empty where the kernel gave none."""
        return self.record.get("log", "")

    def attach(self, target: str = "") -> wire.ProgramRecord:
        """Attach it, to ``target`` instead of what its section names; raise AttachFailed if it is refused."""
        return _attach(self._guest, wire.Attach(self._handle, self.name, target), self.name)[0]

    def detach(self) -> None:
        """Detach it."""
        self._guest.request(wire.Detach(self._handle, self.name))

    def test_run(self, data: bytes = b"", context: bytes = b"", repeat: int = 1) -> wire.TestRan:
        """Run it once, or ``repeat`` times, on this input (BPF_PROG_TEST_RUN)."""
        reply = self._guest.request(wire.TestRun(self._handle, self.name, data, context, repeat))
        assert isinstance(reply, wire.TestRan)
        return reply

    def read(self) -> str:
        """Return the text that it prints, an iterator that is attached; raise RequestFailed for any other program."""
        reply = self._guest.request(wire.Read(self._handle, self.name))
        assert isinstance(reply, wire.Value)
        return str(reply.value)


def _attach(guest: Guest, request: wire.Attach, where: str) -> list[wire.ProgramRecord]:
    """Attach, and return the records; raise AttachFailed for a program that had to attach and did not."""
    reply = guest.request(request)
    assert isinstance(reply, wire.Attached)
    found: list[wire.ProgramRecord] = reply.programs  # type: ignore[assignment]
    for record in found:
        named = request.program is not None
        if record.get("status") == wire.FAILED and (named or record.get("decides", True)):
            raise AttachFailed(record, where=where)
    return found


class Map:
    """One map of a loaded object; keys and values are plain data, a per-CPU value is a list with one item a CPU.

    Attributes:
        lost: samples lost by the kernel, as far as `events` was told.
    """

    def __init__(self, guest: Guest, handle: int, name: str) -> None:
        self.name = name
        self.lost = 0
        self._guest = guest
        self._handle = handle

    def lookup(self, key: Any) -> Any:
        """Return a key's value, None where it has none."""
        return self._ask("lookup", key)

    def update(self, key: Any, value: Any) -> None:
        """Set a key's value."""
        self._ask("update", key, value)

    def delete(self, key: Any) -> None:
        """Delete a key."""
        self._ask("delete", key)

    def items(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values."""
        return [(key, value) for key, value in self._ask("items")]

    def lookup_batch(self) -> list[tuple[Any, Any]]:
        """Return what `items` does, by as few system calls as the kernel has for this type of map."""
        return [(key, value) for key, value in self._ask("lookup_batch")]

    def lookup_and_delete_batch(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values, and take them out of the map."""
        return [(key, value) for key, value in self._ask("lookup_and_delete_batch")]

    def update_batch(self, items: Iterable[tuple[Any, Any]]) -> None:
        """Set many values."""
        self._ask("update_batch", value=[list(item) for item in items])

    def delete_batch(self, keys: Iterable[Any]) -> None:
        """Delete many keys."""
        self._ask("delete_batch", list(keys))

    def send(self, samples: Iterable[bytes]) -> int:
        """Put samples into a user ring buffer, for programs to drain; return how many had room, the first ones."""
        return int(self._ask("send", value=list(samples)))

    def events(self, count: int = 1, timeout: float = 1.0) -> list[bytes]:
        """Read samples of a ring buffer or perf event array until there are ``count``, or ``timeout`` seconds over."""
        reply = self._guest.request(wire.Events(self._handle, self.name, count, timeout))
        assert isinstance(reply, wire.Value)
        self.lost += reply.value["lost"]
        return list(reply.value["samples"])

    def _ask(self, op: str, key: Any = None, value: Any = None) -> Any:
        reply = self._guest.request(wire.MapOp(self._handle, self.name, op, key, value))
        assert isinstance(reply, wire.Value)
        return reply.value


class Globals(MutableMapping[str, Any]):
    """The global variables of a loaded object, read and written in the guest at each access."""

    def __init__(self, guest: Guest, handle: int) -> None:
        self._guest = guest
        self._handle = handle

    def __getitem__(self, name: str) -> Any:
        return self._all()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._all({name: value})

    def __delitem__(self, name: str) -> None:
        raise TypeError("a global variable cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self, change: dict[str, Any] | None = None) -> dict[str, Any]:
        reply = self._guest.request(wire.Globals(self._handle, change or {}))
        assert isinstance(reply, wire.Value)
        values: dict[str, Any] = reply.value
        return values
