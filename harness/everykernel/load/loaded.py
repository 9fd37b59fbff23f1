"""`LoadedObject`: an object in the kernel, its two stages, and what can be done with it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Any, Optional

from everykernel import wire
from everykernel.btf import decode
from everykernel.errors import RequestFailed, UsageError
from everykernel.load.attach import dispatch as attach_
from everykernel.load.attach import usage
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.attach.places import Places
from everykernel.load.kernel import program as program_
from everykernel.load.maps.map import PERF_EVENT_ARRAY, Map
from everykernel.load.maps.variables import Variables, places
from everykernel.load.rules.named import DEFAULT
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.rules.rules import Rules
    from everykernel.object import ObjectSpec, ProgramSpec


class Program:
    """One program of a loaded object.

    Attributes:
        name: its name.
        spec: as the object declares it.
        record: what the kernel made of it.
        fd: its descriptor, -1 if it was refused.
        refused: why it could not be attached, until it is.
    """

    def __init__(self, spec: ProgramSpec, record: wire.ProgramRecord, fd: int, owner: LoadedObject) -> None:
        self.name = spec.name
        self.spec = spec
        self.record = record
        self.fd = fd
        self._owner = owner
        self.refused: Optional[wire.ProgramRecord] = None
        self._links: list[Link] = []
        self._was_attached = False
        self._test_runs = 0

    def __repr__(self) -> str:
        return f"<Program {self.name}: {self.spec.section}, {self.record.get('status')}>"

    @property
    def log(self) -> str:
        """The verifier's log of a refused program, "" otherwise."""
        return self.record.get("log", "")

    def attach(self, target: str = "") -> wire.ProgramRecord:
        """Attach it, to ``target`` instead of what its section or contract names; return what happened, never raise it.

        Of a contract's several attach points, the first that refuses it ends it.
        """
        record: wire.ProgramRecord = {
            "name": self.name,
            "section": self.spec.section,
            "type": self.record.get("type", ""),
            "attach": target or ", ".join(f"{r.stem}:{at}" for r, at in self.spec.attach) or self.spec.target,
            "status": wire.PASSED,
            "code": "",
            "errno": None,
            "message": "",
            "decides": self.record.get("decides", True),
        }
        if self.fd < 0:
            record["status"], record["code"] = wire.NOT_REACHED, self.record.get("code", "")
            record["message"] = "it was not loaded"
            return record
        self._owner.open_readers()
        try:
            for rule, at in (() if target else self.spec.attach) or ((None, target),):
                self._links.append(attach_.attach(self.spec, self.fd, at, self._owner.places, rule))
                self._was_attached, self.refused = True, None
        except NotAttached as e:
            record["status"], record["code"], record["message"] = e.status, e.code, e.message + self._why(e)
            record["errno"] = error_name(e.errno) if e.errno else None
            if e.status == wire.FAILED and not self._was_attached:
                self.refused = record
        return record

    def _why(self, refused: NotAttached) -> str:
        """Return what the kernel does not say of a tracepoint that refuses it, as the end of a message."""
        why = ""
        if refused.errno == errno.EACCES and self.record.get("type") == "tracepoint":
            why = self._owner.past_the_end(self.spec)
        return f": {why}" if why else ""

    @property
    def attached(self) -> bool:
        """Whether it is attached to something."""
        return bool(self._links)

    @property
    def use(self) -> wire.ProgramUse:
        """What became of it so far."""
        return {
            "name": self.name,
            "attached": self._was_attached,
            "test_runs": self._test_runs,
            "runs": usage.runs(self._owner.system, self.fd) if self.fd >= 0 else None,
        }

    def detach(self) -> None:
        """Close its links, all of them, also where one cannot be detached. Raises OSError for that."""
        links, self._links = self._links, []
        with contextlib.ExitStack() as stack:
            for link in links:
                stack.callback(link.close)

    def read(self) -> str:
        """Return the text that an attached iterator prints, all of it; raise RequestFailed for any other program."""
        if not self._links:
            raise RequestFailed("it is not attached", code="attach-failed", where=self.name)
        try:
            return attach_.read_iterator(self._owner.system, self._links[-1]).decode("utf-8", "replace")
        except OSError as e:
            raise RequestFailed(
                f"the kernel lets nobody read it: {error_name(e.errno)}", code="attach-failed", where=self.name
            ) from e

    def test_run(self, data: bytes = b"", context: bytes = b"", repeat: int = 1) -> wire.TestRan:
        """Run it by BPF_PROG_TEST_RUN on a packet or context; raise RequestFailed where that is refused."""
        if self.fd < 0:
            raise RequestFailed(
                f"it was not loaded: {self.record.get('message') or 'it is closed'}",
                code=self.record.get("code") or "load-failed",
                where=self.name,
            )
        self._owner.open_readers()
        try:
            retval, data_out, context_out, duration = program_.test_run(
                self._owner.system, self.fd, data, context, repeat
            )
        except OSError as e:
            raise RequestFailed(
                f"the kernel refuses a test run: {error_name(e.errno)}", code="attach-type-unsupported", where=self.name
            ) from e
        self._test_runs += 1
        return wire.TestRan(retval=retval, data=data_out, context=context_out, duration_ns=duration)

    def close(self) -> None:
        """Detach it and close its descriptor."""
        try:
            self.detach()
        finally:
            if self.fd >= 0:
                self._owner.system.close(self.fd)
                self.fd = -1


def _nothing(_: ProgramSpec) -> str:
    return ""


class LoadedObject:
    """An object in the kernel, as far as the kernel let it.

    Attributes:
        system: the machine that it is in.
        spec: what the object says; None if its bytes could not be read.
        relocate, load: the records of the two stages.
        programs: by name: those that were tried.
        maps: by name; a section of global variables has its own name (``.bss``).
        globals: the global variables by name.
        places: where programs attach that name no place.
        misreads: what programs that were loaded read, and take for something else.
        past_the_end: says of a tracepoint's program that its context is shorter than what it reads, "" if not so.
    """

    def __init__(
        self,
        spec: Optional[ObjectSpec],
        relocate: wire.Stage,
        load: wire.Stage,
        kernel: KernelTypes,
        rules: Rules = DEFAULT,
    ) -> None:
        self.system = kernel.system
        self.spec = spec
        self.relocate = relocate
        self.load = load
        self.programs: dict[str, Program] = {}
        self.maps: dict[str, Map] = {}
        self.globals: Any = {}
        self.descriptors: list[int] = []  # of the object's BTF
        self._readers_open = False
        self.misreads: list[wire.Misread] = []
        self.past_the_end: Callable[[ProgramSpec], str] = _nothing
        self.places = Places(self.maps, self.programs, kernel, rules)

    def __enter__(self) -> LoadedObject:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def require(self) -> None:
        """Raise RequestFailed, with the reason code, if a stage failed: a map or a program that counts was refused."""
        for stage in (self.relocate, self.load):
            if stage["status"] != wire.PASSED:
                where = self.spec.name if self.spec is not None else ""
                raise RequestFailed(stage["message"], code=stage["code"], where=where)

    @property
    def relocations(self) -> list[wire.Relocation]:
        """Every CO-RE relocation and what came of it."""
        return self.relocate.get("relocations", [])

    def attach(self, program: Optional[str] = None) -> list[wire.ProgramRecord]:
        """Attach one program, or all that attach without parameters; return what happened to each."""
        if program is not None:
            return [self.program(program).attach()]
        return [p.attach() for p in self.programs.values() if p.fd >= 0]

    def detach(self, program: Optional[str] = None) -> None:
        """Detach one program, or all."""
        for found in [self.program(program)] if program is not None else list(self.programs.values()):
            found.detach()

    def program(self, name: str) -> Program:
        """Return a program by name; raise UsageError for one that the object does not have."""
        found = self.programs.get(name)
        if found is None:
            raise UsageError(f"there is no program {name!r}", remedy=f"it has {', '.join(self.programs) or 'none'}")
        return found

    def map(self, name: str) -> Map:
        """Return a map by name; raise UsageError for one that the object does not have."""
        found = self.maps.get(name)
        if found is None:
            raise UsageError(f"there is no map {name!r}", remedy=f"it has {', '.join(self.maps) or 'none'}")
        return found

    def decode(self, type_name: str, data: bytes) -> Any:
        """Return bytes (a sample) as plain data by a type of the object's BTF: a struct, union or typedef."""
        btf = self.spec.btf if self.spec is not None else None
        found = btf.find_all(type_name, ("struct", "union", "typedef", "enum", "int")) if btf is not None else []
        if btf is None or not found:
            raise UsageError(f"the object's BTF has no type {type_name!r}")
        return decode.value(btf, found[0], data)

    def open_readers(self) -> None:
        """Open the perf buffers: an event that comes before its buffer is open is lost without being counted."""
        if self._readers_open:
            return
        self._readers_open = True
        for found in self.maps.values():
            if found.spec.type == PERF_EVENT_ARRAY and found.fd >= 0:
                found.open_reader()

    def keep_variables(self) -> None:
        """Make `globals` of the maps that were created."""
        if self.spec is not None and self.spec.btf is not None:
            self.globals = Variables(places(self.spec), self.maps, self.spec.btf)

    def close(self) -> None:
        """Detach everything, and give back every descriptor, also where something cannot be detached (OSError)."""
        with contextlib.ExitStack() as stack:  # what is put on it last is done first
            while self.descriptors:
                stack.callback(self.system.close, self.descriptors.pop())
            for found in self.maps.values():
                stack.callback(found.close)
            if isinstance(self.globals, Variables):
                stack.callback(self.globals.close)
            stack.callback(self.places.close)
            self.past_the_end = _nothing  # what looks for it holds the kernel's types
            for program in self.programs.values():
                stack.callback(program.close)
