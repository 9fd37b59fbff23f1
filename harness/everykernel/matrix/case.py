"""Cases: one object with what is done with it and what is expected of it, read from a case.toml.

The form is documented in docs/cases.md. Reading is strict: an unknown key or a value of the wrong type is a UsageError
that names the nearest key, so that a misspelt expectation can never pass for none.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everykernel.architectures import ARCHITECTURES, Architecture
from everykernel.errors import UsageError
from everykernel.kernels.supplied import Supply
from everykernel.loaders import names
from everykernel.machine.spec import MachineSpec
from everykernel.matrix import command as parsing
from everykernel.matrix import inside
from everykernel.matrix.command import Command
from everykernel.matrix.expect import STAGES, STATUSES, Expectation
from everykernel.matrix.ranges import KernelRange
from everykernel.object import contract
from everykernel.reasons import REASONS

if TYPE_CHECKING:
    from everykernel.loaders.adapter import Adapter

FILENAME = "case.toml"

_CASE_KEYS = (
    "object", "objects", "description", "trigger", "check", "attach", "timeout", "btf", "machine", "expect", "contract",
    "strict-reads", "rules", "loaders", "command", "push", "sysroot", "headers", "exit", "stdout",
    "stderr", "env",
)  # fmt: skip
_OF_OBJECTS = {  # which no command has
    "object", "objects", "trigger", "check", "attach", "btf", "contract", "rules", "loaders",
}  # fmt: skip
_BTF_KEYS = ("path", "always")
_MACHINE_KEYS = ("cpus", "memory", "cmdline", "modules", "sysctls")
_EXPECT_KEYS = ("kernels", "arch", "btf", "loader", "program", "stage", "status", "code", "reason")
_BTF = ("kernel", "none", "supplied", "module")


@dataclass(frozen=True)
class Case:
    """What one cell of the matrix runs.

    Attributes:
        name: the row's name: the case's folder (and file, if that is no case.toml), or an object's file name.
        path: the case.toml, None for a bare object.
        object: the object's path, with ``:NAME`` behind it if it is inside that file (`inside`); ``{arch}`` stands for
            the architecture's name. Relative to the case's folder.
        beside: more objects, loaded after it, with which it shares maps of the same name; paths likewise.
        shown: the object's path as the user gave it.
        description: one line.
        trigger: a program that is run in the guest after attaching, with its arguments.
        check: a Python file whose ``check(obj)`` is run in the guest.
        attach: whether programs are attached before the trigger and the check.
        until: the last stage to be done, ``load`` or ``run``.
        timeout: seconds that trigger and check may take, each.
        btf: BTF to relocate against where the kernel has none and the command line supplies none.
        btf_always: whether a supplied BTF is used even where the kernel has its own.
        machine: the machine that it needs.
        sized: whether the machine's memory was asked for, by the case or the user: it is never changed then.
        expect: expectations, the first that matches wins.
        contract: the loader contract, checked, and passed to the loader as it is.
        strict_reads: whether a misread fails the run stage.
        rules: the loader whose rules decide; "" where nobody asked for any.
        loaders: who loads it where the user does not say; empty: our own loader.
        adapter: the real loader that loads it in this cell; None: our own.
        command: what is run instead of loading an object, with its deadline in ``timeout``.
    """

    name: str
    path: Path | None
    object: str
    beside: tuple[str, ...] = ()
    shown: str = ""
    description: str = ""
    trigger: tuple[str, ...] = ()
    check: Path | None = None
    attach: bool = True
    until: str = "run"
    timeout: float = 10.0
    btf: Supply | None = None
    btf_always: bool = False
    machine: MachineSpec = field(default_factory=MachineSpec)
    sized: bool = False
    expect: tuple[Expectation, ...] = ()
    contract: tuple[tuple[str, Any], ...] = ()
    strict_reads: bool = False
    command: Command | None = None
    rules: str = ""
    loaders: tuple[str, ...] = ()
    adapter: Adapter | None = None

    @property
    def loader(self) -> str:
        """Who loads it, by name."""
        if self.command is not None:
            return "command"
        return self.adapter.name if self.adapter is not None else names.OWN

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self.path.parent if self.path is not None else Path()

    def with_memory(self, memory: int | None) -> Case:
        """Return the case with the memory that the user gives its guests, unless it asks for some itself."""
        if memory is None or self.sized:
            return self
        return replace(self, machine=replace(self.machine, memory=memory), sized=True)

    def with_rules(self, rules: str) -> Case:
        """Return the case with the loader's rules that the user asks for, unless it asks for some itself."""
        return replace(self, rules=self.rules or rules)

    @property
    def machine_asked(self) -> dict[str, Any]:
        """The machine as results name it: its memory is None where nobody asked for any."""
        return {**self.machine.describe(), "memory": self.machine.memory if self.sized else None}

    @property
    def machine_words(self) -> str:
        """What was asked of the machine beside the usual, in words: ``cpus 4, memory 512``; "" for nothing."""
        usual = {**MachineSpec().describe(), "memory": None}
        return ", ".join(f"{name} {value}" for name, value in self.machine_asked.items() if value != usual.get(name))

    def object_path(self, arch: Architecture) -> Path:
        """Return the object, or the file that holds it, for an architecture; raise UsageError if it is not there."""
        return self._place(self.object, arch)[0]

    def object_data(self, arch: Architecture) -> tuple[str, bytes]:
        """Return the object's name, as the loader knows it, and its bytes for an architecture.

        Raises UsageError if it is not there, ObjectUnsupported for a file that has several inside, or none.
        """
        return self._data(self.object, arch)

    def beside_data(self, arch: Architecture) -> dict[str, bytes]:
        """Return the objects that are loaded after it, by name; raise what `object_data` does, and for a name twice."""
        found: dict[str, bytes] = {}
        first = self._data(self.object, arch)[0] if self.beside else ""
        for name, data in (self._data(text, arch) for text in self.beside):
            if name in (first, *found):
                raise UsageError(f"two objects are called {name!r}", where=str(self.path), remedy="rename one")
            found[name] = data
        return found

    def _data(self, text: str, arch: Architecture) -> tuple[str, bytes]:
        path, part = self._place(text, arch)
        if not part and inside.holds(path):
            part = inside.only(path, arch.byteorder)
        if not part:
            return path.name, path.read_bytes()
        return f"{path.name}:{part}", inside.content(path, part)

    def _place(self, text: str, arch: Architecture) -> tuple[Path, str]:
        """Return the file for an architecture, and which object in it."""
        path, part = inside.split(str(self.folder / text.replace("{arch}", arch.name)))
        path = _of_pair(path, arch.byteorder)
        if not path.is_file():
            raise UsageError(
                "there is no such object", where=str(path), remedy="compile it; for this project's own: nox -s cases"
            )
        return path, part

    def content(self, arch: Architecture) -> bytes | None:
        """Return what stands for the case by its digest: the object, or the command's program if it is not the guest's.

        Raises what `object_data` does.
        """
        if self.command is None:
            return self.object_data(arch)[1]
        program = self.command.program(arch)
        return program.read_bytes() if program is not None else None

    def object_shown(self, arch: Architecture) -> str:
        """Return the object's path as results and reports name it."""
        text = self.shown or (str(self.folder / self.object) if self.command is None else self.command.shown)
        return text.replace("{arch}", arch.name)

    def check_source(self) -> str:
        """Return the source of its check; raise OSError where it cannot be read."""
        return self.check.read_text() if self.check is not None else ""

    def source_line(self, arch: Architecture, line: int) -> str:
        """Return ``cases/x/prog.bpf.c:41``: where in the object's C source an assertion stands."""
        source = Path(self.object.replace("{arch}", arch.name)).with_suffix(".c").name
        if self.path is None:
            return f"{source}:{line}"
        return f"{Path(self.folder.parent.name) / self.folder.name / source}:{line}"


def _of_pair(path: Path, byteorder: str) -> Path:
    """Return the object of a pair as bpf2go makes it (``x_bpfel.o``, ``x_bpfeb.o``) that is for a byte order.

    A path that is none of a pair, or whose other half is not there, is itself.
    """
    for end in ("_bpfel.o", "_bpfeb.o"):
        if path.name.endswith(end):
            right = path.with_name(path.name.removesuffix(end) + ("_bpfel.o" if byteorder == "little" else "_bpfeb.o"))
            return right if right.is_file() else path
    return path


def bare(path: Path, shown: str = "") -> Case:
    """Return the case that a bare object is: relocate, load, attach what attaches without parameters.

    ``path`` may name an object inside a file: ``mytool:bpf``.
    """
    return Case(name=path.name, path=None, object=str(path), shown=shown or str(path))


def read(path: Path) -> Case:
    """Return the case that a case.toml describes; raise UsageError for one that cannot be read or is wrong."""
    where = str(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=where) from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"is not TOML: {e}", where=where) from e
    _keys(table, _CASE_KEYS, where)
    command = _command(table, path.parent, where)
    if command is not None and (odd := sorted(_OF_OBJECTS & set(table))):
        raise UsageError(f"has both a command and {odd[0]}", where=where, remedy="a case of each")
    name, *beside = _objects(table, where) if command is None else ("",)
    check = _value(table, "check", str, where)
    if check and not (path.parent / check).is_file():
        raise UsageError(f"check = {check!r} is not there", where=where)
    timeout = _value(table, "timeout", (int, float), where, 10)
    if not 0 < timeout <= 3600:
        raise UsageError(f"timeout = {timeout!r} is not between 0 and 3600 (seconds)", where=where)
    btf, always = _btf(table.get("btf", ""), path.parent, where)
    return Case(
        name=_name(path),
        path=path,
        object=name,
        beside=tuple(beside),
        description=_value(table, "description", str, where),
        trigger=_strings(table, "trigger", where),
        check=path.parent / check if check else None,
        attach=_value(table, "attach", bool, where, True),
        timeout=float(timeout),
        btf=btf,
        btf_always=always,
        machine=_machine(_value(table, "machine", dict, where, {}), where),
        sized="memory" in table.get("machine", {}),
        expect=tuple(
            _expectation(entry, f"{where}: expect {number}")
            for number, entry in enumerate(_value(table, "expect", list, where, []), 1)
        ),
        contract=_contract(_value(table, "contract", dict, where, {}), where),
        strict_reads=_value(table, "strict-reads", bool, where, False),
        rules=_choice(table, "rules", names.REAL, where),
        loaders=_choices(table, "loaders", names.EVERY, where),
        command=command,
    )


def of_command(command: Command, timeout: float) -> Case:
    """Return the case that a command line's command is."""
    return Case(name=command.shown, path=None, object="", shown=command.shown, timeout=timeout, command=command)


def _command(table: Mapping[str, Any], folder: Path, where: str) -> Command | None:
    """Return the command of a case, None where it has an object."""
    if "command" not in table:
        if odd := sorted({"push", "sysroot", "headers", "exit", "stdout", "stderr", "env"} & set(table)):
            raise UsageError(f"has {odd[0]}, and no command", where=where, remedy='command = "./mytool --self-test"')
        return None
    given = table["command"]
    words = parsing.words(given, where) if isinstance(given, str) else _strings(table, "command", where)
    env = _value(table, "env", dict, where, {})
    for key, value in env.items():
        if not isinstance(value, str):
            raise UsageError(f"env.{key} = {value!r} is not a string", where=where)
    return parsing.parse(
        words,
        push=_strings(table, "push", where),
        sysroot=_value(table, "sysroot", str, where),
        headers=_value(table, "headers", bool, where, False),
        exit_code=_value(table, "exit", int, where, 0),
        stdout=_value(table, "stdout", str, where),
        stderr=_value(table, "stderr", str, where),
        env=tuple(env.items()),
        folder=folder,
        where=where,
    )


def _objects(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the path of ``object``, or those of ``objects``."""
    name, names = _value(table, "object", str, where), _strings(table, "objects", where)
    if bool(name) == bool(names):
        what = "has object and objects" if name else "has no object"
        raise UsageError(what, where=where, remedy='object = "build/{arch}/prog.bpf.o", or objects = ["a.o", "b.o"]')
    return names or (name,)


def _name(path: Path) -> str:
    """Return a case's name: its folder's, and its own where several stand in one folder."""
    folder = path.resolve().parent.name
    return folder if path.name == FILENAME else f"{folder}/{path.stem}"


def _btf(value: Any, folder: Path, where: str) -> tuple[Supply | None, bool]:
    """Return what ``btf = "PATH"`` or ``btf = {path = "PATH", always = true}`` says."""
    table = value if isinstance(value, dict) else {"path": value}
    _keys(table, _BTF_KEYS, f"{where}: btf")
    name = _value(table, "path", str, f"{where}: btf")
    always = _value(table, "always", bool, f"{where}: btf", False)
    if not name:
        return None, always
    try:
        found = Supply.at(name, folder)
    except UsageError as e:
        raise UsageError(e.message, where=f"{where}: {e.where}", remedy=e.remedy) from e
    return replace(found, name=str(found.path) if found.path else found.name), always


def _contract(table: Mapping[str, Any], where: str) -> tuple[tuple[str, Any], ...]:
    contract.parse(table, f"{where}: contract")
    return tuple(table.items())


def _machine(table: Mapping[str, Any], where: str) -> MachineSpec:
    _keys(table, _MACHINE_KEYS, f"{where}: machine")
    try:
        return MachineSpec.of(table)
    except UsageError as e:
        raise UsageError(e.message, where=f"{where}: {e.where}", remedy=e.remedy) from e


def _expectation(table: Any, where: str) -> Expectation:
    if not isinstance(table, dict):
        raise UsageError("is not a table", where=where, remedy="write [[expect]]")
    _keys(table, _EXPECT_KEYS, where)
    kernels = _value(table, "kernels", str, where)
    code = _value(table, "code", str, where)
    status = _choice(table, "status", STATUSES, where, required=True)
    if code:
        _known(code, tuple(REASONS), where, "reason code")
    if code and status == "passed":
        raise UsageError(f"expects a stage to pass, with reason code {code!r}", where=where, remedy="drop one of them")
    return Expectation(
        stage=_choice(table, "stage", STAGES, where, required=True),
        status=status,
        code=code,
        kernels=KernelRange.parse(kernels, where) if kernels else KernelRange(),
        arch=_choice(table, "arch", tuple(ARCHITECTURES), where),
        btf=_choices(table, "btf", _BTF, where),
        program=_value(table, "program", str, where),
        reason=_value(table, "reason", str, where),
        loaders=_choices(table, "loader", names.EVERY, where),
    )


# ----------------------------------------------------------------------------------------------------- strict reading


def _keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    known = tuple(known)
    for key in table:
        _known(key, known, where, "key")


def _known(text: str, known: tuple[str, ...], where: str, what: str) -> None:
    if text in known:
        return
    nearest = difflib.get_close_matches(text, known, 1)
    remedy = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(known)}"
    raise UsageError(f"unknown {what} {text!r}", where=where, remedy=remedy)


def _value(table: Mapping[str, Any], key: str, kind: type | tuple[type, ...], where: str, default: Any = "") -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        kinds = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise UsageError(f"{key} = {value!r} is not {kinds}", where=where)
    return value


def _choice(table: Mapping[str, Any], key: str, known: tuple[str, ...], where: str, *, required: bool = False) -> str:
    value: str = _value(table, key, str, where)
    if not value and required:
        raise UsageError(f"has no {key}", where=where, remedy=f"one of {', '.join(known)}")
    if value:
        _known(value, known, where, f"{key}")
    return value


def _choices(table: Mapping[str, Any], key: str, known: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Return the values of a key that may be one or a list."""
    if isinstance(table.get(key, ""), str):
        value = _choice(table, key, known, where)
        return (value,) if value else ()
    values = _strings(table, key, where)
    for value in values:
        _known(value, known, where, key)
    return values


def _strings(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = _value(table, key, list, where, [])
    if not all(isinstance(v, str) for v in value):
        raise UsageError(f"{key} = {value!r} is not a list of strings", where=where)
    return tuple(value)
