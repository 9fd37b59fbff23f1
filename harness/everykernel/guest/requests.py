"""What the agent does for each request that concerns BPF objects: one method a message of `wire`.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import math
import sys
import traceback
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from everykernel import load, wire
from everykernel.errors import BtfMalformed, EverykernelError, ObjectMalformed, ObjectUnsupported, UsageError
from everykernel.guest.commands.serve import command
from everykernel.guest.system import broke
from everykernel.load.advice import advise
from everykernel.load.attach import usage
from everykernel.load.maps.variables import Variables
from everykernel.load.rules.named import DEFAULT, named
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from everykernel.load import KernelTypes, LoadedObject

LOGS_LIMIT = 16 << 20  # characters of the verifier's logs in one answer, whose text may have `wire.TEXT_LIMIT`


class Requests:
    """Serves requests one at a time, and keeps the loaded objects by their handle."""

    def __init__(self, kernel: KernelTypes) -> None:
        self._kernel = kernel
        self.system = kernel.system
        self._objects: dict[int, LoadedObject] = {}
        self._last = 0
        self._served: dict[type, Callable[[Any], wire.Message]] = {
            wire.Load: self._load,
            wire.Attach: self._attach,
            wire.Detach: self._detach,
            wire.TestRun: self._test_run,
            wire.Read: self._read,
            wire.MapOp: self._map,
            wire.Globals: self._globals,
            wire.Events: self._events,
            wire.Check: self._check,
            wire.Unload: self._unload,
            wire.Command: lambda message: command(message, self._kernel),
        }

    def warm(self) -> None:
        """Do what every later request would do first: import everything, index the kernel's BTF, ask the probes."""
        from everykernel.guest import warm

        warm.warm(self._kernel)
        usage.count(self._kernel.system)  # as long as the agent lives

    def serve(self, message: wire.Request[Any]) -> wire.Message:
        """Return the reply to a request; what goes wrong is a reply too, never an exception."""
        serve = self._served.get(type(message))
        if serve is None:
            return wire.Broke(f"this agent does not serve {message.kind!r}", "")
        try:
            return serve(message)
        except EverykernelError as e:
            return wire.Failed(e.code, f"{e.message} [{e.remedy}]" if e.remedy else e.message, e.where)
        except OSError as e:
            text = f"the kernel refuses it: {error_name(e.errno)}"
            return wire.Failed("load-failed", text, message.kind, traceback.format_exc())
        except Exception as e:
            return broke(e)

    def _object(self, handle: int) -> LoadedObject:
        found = self._objects.get(handle)
        if found is None:
            raise UsageError(f"there is no loaded object {handle}")
        return found

    def _keep(self, loaded: LoadedObject) -> wire.Loaded:
        self._last += 1
        self._objects[self._last] = loaded
        misreads = [dict(misread) for misread in loaded.misreads]
        return wire.Loaded(self._last, dict(loaded.relocate), _with_logs_cut(loaded.load), misreads)

    def _load(self, message: wire.Load) -> wire.Message:
        from everykernel import object as object_

        rules = named(message.rules)
        asked: dict[str, Any] = {"btf": message.btf, "btf_name": message.btf_name, "contract": message.contract}
        whole = message.until != "relocate"
        try:
            objects = {message.name: message.data, **message.beside}
            specs = [object_.read(data, name, rules.reading) for name, data in objects.items()]
            asked_here = {"programs": message.programs, "rules": rules, "until": message.until, **asked}
            loaded = load.load_together(specs, self._kernel, **asked_here)
        except (ObjectMalformed, ObjectUnsupported, BtfMalformed) as e:
            loaded = _unreadable(e, self._kernel)
        if whole and rules is DEFAULT and not message.beside:  # who asks for another loader's knows of them
            advise(loaded, message.data, message.name, self._kernel, rules, **asked)
        return self._keep(loaded)

    def _attach(self, message: wire.Attach) -> wire.Message:
        loaded = self._object(message.handle)
        if message.program is not None:
            records = [loaded.program(message.program).attach(message.target)]
        else:
            records = loaded.attach()
        return wire.Attached([dict(record) for record in records])

    def _detach(self, message: wire.Detach) -> wire.Message:
        self._object(message.handle).detach(message.program)
        return wire.Done()

    def _test_run(self, message: wire.TestRun) -> wire.Message:
        found = self._object(message.handle).program(message.program)
        return found.test_run(message.data, message.context, message.repeat)

    def _read(self, message: wire.Read) -> wire.Message:
        return wire.Value(self._object(message.handle).program(message.program).read())

    def _map(self, message: wire.MapOp) -> wire.Message:
        found = self._object(message.handle).map(message.map)
        operations: dict[str, Callable[[], Any]] = {
            "lookup": lambda: found.lookup(message.key),
            "update": lambda: found.update(message.key, message.value),
            "delete": lambda: found.delete(message.key),
            "items": found.items,
            "lookup_batch": found.lookup_batch,
            "lookup_and_delete_batch": found.lookup_and_delete_batch,
            "update_batch": lambda: found.update_batch(message.value),
            "delete_batch": lambda: found.delete_batch(message.key),
            "send": lambda: found.send(message.value),
        }
        operation = operations.get(message.op)
        if operation is None:
            raise UsageError(f"there is no map operation {message.op!r}", remedy=", ".join(operations))
        return wire.Value(operation())

    def _globals(self, message: wire.Globals) -> wire.Message:
        variables = self._object(message.handle).globals
        for name, value in message.set.items():
            variables[name] = value
        return wire.Value(variables.snapshot() if isinstance(variables, Variables) else {})

    def _events(self, message: wire.Events) -> wire.Message:
        found = self._object(message.handle).map(message.map)
        samples = found.events(message.count, message.timeout)
        return wire.Value({"samples": samples, "lost": found.lost})

    def _check(self, message: wire.Check) -> wire.Message:
        found = self._object(message.handle)
        checked = run_check(found, message.source, message.filename)
        programs = [program for program in found.programs.values() if program.fd >= 0]
        checked.uses = [dict(program.use) for program in programs]
        checked.refused = [dict(program.refused) for program in programs if program.refused]
        return checked

    def close(self) -> None:
        """Unload every object, also where one cannot be."""
        with contextlib.ExitStack() as stack:
            while self._objects:
                stack.callback(self._objects.popitem()[1].close)

    def _unload(self, message: wire.Unload) -> wire.Message:
        self._object(message.handle).close()
        del self._objects[message.handle]
        return wire.Done()


def _with_logs_cut(stage: wire.Stage) -> dict[str, Any]:
    """Return the stage fit for one answer: where its logs are too long together, the middle of the longest is left out.

    The kernel's log of one program has up to 16 MiB.
    """
    logs = [len(program.get("log", "")) for program in stage.get("programs", [])]
    if sum(logs) <= LOGS_LIMIT:
        return dict(stage)
    half = LOGS_LIMIT // len(logs) // 2
    programs = []
    for program in stage["programs"]:
        log, left_out = program.get("log", ""), len(program.get("log", "")) - 2 * half
        if left_out > 0:
            program = {**program, "log": f"{log[:half]}\n({left_out} characters left out)\n{log[-half:]}"}
        programs.append(program)
    return {**stage, "programs": programs}


def _unreadable(error: EverykernelError, kernel: KernelTypes) -> LoadedObject:
    """Return an object that could not be read: relocate failed, load was not reached."""
    relocate = {"status": wire.FAILED, "code": error.code, "message": str(error), "seconds": 0.0, "relocations": []}
    stage = {"status": wire.NOT_REACHED, "code": error.code, "message": "", "seconds": 0.0, "maps": [], "programs": []}
    return load.LoadedObject(None, cast("wire.Stage", relocate), cast("wire.Stage", stage), kernel)


def run_check(loaded: LoadedObject, source: str, filename: str) -> wire.Checked:
    """Run a case's ``check(obj)`` in a module of its own; what it returns is the evidence.

    A failed assertion, and any other exception, fails the check: ``where`` is the last line of the case's own file.
    """
    module = types.ModuleType("everykernel_check")
    module.__file__ = filename
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, filename, "exec"), module.__dict__)
        check = module.__dict__.get("check")
        if not callable(check):
            return wire.Checked(False, "defines no check(obj)", filename, None)
        evidence = plain(check(loaded))
    except Exception as e:
        where = _where(e, filename)
        if isinstance(e, AssertionError):
            message = str(e) or _line(source, where) or "assertion failed"
        else:
            message = f"{type(e).__name__}: {e}"
        return wire.Checked(False, message, where, None)
    finally:
        del sys.modules[module.__name__]
    return wire.Checked(True, "", "", evidence)


def _where(error: BaseException, filename: str) -> str:
    """Return ``file:line`` of the innermost frame in the case's own file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    if isinstance(error, SyntaxError) and error.lineno:
        lines.append(error.lineno)
    return f"{filename}:{lines[-1]}" if lines else filename


def _line(source: str, where: str) -> str:
    """Return the text of the line that ``where`` names."""
    number = where.rpartition(":")[2]
    lines = source.splitlines()
    return lines[int(number) - 1].strip() if number.isdigit() and int(number) <= len(lines) else ""


def plain(value: Any, depth: int = wire.DEPTH_LIMIT // 2) -> Any:
    """Return evidence as data that the channel and the results file can hold: what they cannot becomes its text."""
    if value is None or isinstance(value, (bool, str, bytes)):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 127 else hex(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict) and depth:
        return {str(k): plain(v, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth:
        return [plain(v, depth - 1) for v in value]
    return repr(value)
