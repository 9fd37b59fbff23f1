"""What the fixtures give a test: a kernel to try things on, and what loads objects there."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from everykernel import wire
from everykernel.errors import CaseTimeout, RequestFailed, UsageError
from everykernel.files import tree
from everykernel.loaders.names import USUAL_RULES
from everykernel.machine.guest import Guest
from everykernel.matrix import case, commanding, inside, records
from everykernel.matrix import command as parsing
from everykernel.matrix.records import CommandRecord
from everykernel.plugin import lend
from everykernel.plugin.commands import CommandFailed, CommandRun, failure
from everykernel.plugin.loaded import LoadedObject, LoadFailed, MisreadFound
from everykernel.plugin.options import NO_KERNELS
from everykernel.plugin.session import no_kernels, session_of
from everykernel.plugin.verdict import UNDER_TEST

if TYPE_CHECKING:
    from everykernel.kernels.supplied import Supplied, Supply


class KernelUnderTest:
    """A running kernel, as a test sees it.

    Attributes:
        guest: the guest that runs it.
        spec: the kernel as the user named it: ``6.1/i386``.
        loaded: the objects that the test loaded here.
        sha256: of the last of them.
        notes: what a reader of the record should know, one line each.
        folder: where relative paths of programs to run are looked up first.
        command: what the last program did that the test ran here.
        rules: the loader whose rules decided about it, "" before.
    """

    def __init__(self, guest: Guest, folder: Path | None = None, timeout: float = 60.0) -> None:
        self.guest = guest
        self.folder = folder or Path()
        self.command: CommandRecord | None = None
        self._timeout = timeout
        self.spec = guest.kernel.spec
        self.loaded: list[LoadedObject] = []
        self.notes: list[str] = []
        self.rules = ""
        self.sha256: str | None = None

    @property
    def facts(self) -> wire.Facts:
        """All that probes found out about it."""
        return self.guest.facts

    @property
    def release(self) -> str:
        """What ``uname -r`` prints."""
        return self.facts.release

    @property
    def arch(self) -> str:
        """Our name of its architecture: ``x86_64``, ``i386``."""
        return self.guest.kernel.arch.name

    @property
    def has_btf(self) -> bool:
        """Whether the kernel has BTF of its own."""
        return self.facts.btf

    def run(
        self,
        argv: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        push: Sequence[str | Path] = (),
        sysroot: str | Path = "",
        headers: bool = False,
        check: bool = False,
        exit: int = 0,
        stdout: str = "",
        stderr: str = "",
    ) -> CommandRun:
        """Run a program in the guest, in /root, to its end, and return what it did: ``code``, ``stdout``, ``stderr`` …

        Args:
            argv: the program and its arguments; a text is parted as a shell does it. A path that is a file here, beside
                the test or in the current folder, travels with its libraries; any other is the guest's.
            stdin: what it is given to read.
            env: more of its environment.
            timeout: seconds after which it is ended (default: --kernel-timeout).
            push: what it needs besides, each ``FILE[:GUEST_PATH]``.
            sysroot: the root in which interpreters and libraries are looked for, the host's own by default.
            headers: whether the kernel's own headers travel too, as BCC needs them.
            check: raise if it does not end as the following say.
            exit: the exit code that is wanted.
            stdout, stderr: regular expressions that are to be found in what it writes.

        Raises:
            CaseTimeout: it was ended after ``timeout``; the guest stays usable.
            CommandFailed: it did not end as wanted, and ``check`` was set.
            RequestFailed: it could not be started, or the guest has no room for its files.
        """
        words = shlex.split(argv) if isinstance(argv, str) else list(argv)
        command = parsing.parse(
            words,
            push=[self._found(str(text)) for text in push],
            sysroot=str((self.folder / sysroot).absolute()) if sysroot else "",
            headers=headers,
            exit_code=exit,
            stdout=stdout,
            stderr=stderr,
            env=tuple((env or {}).items()),
            folder=self.folder if words and (self.folder / words[0]).is_file() else None,
            where="kernel.run",
        )
        told = commanding.run(self.guest, command, self._timeout if timeout is None else timeout, stdin)
        record = commanding.record(command, told)
        self.command = record
        code, message = commanding.verdict(command, told)
        if told.end == wire.DEADLINE:
            raise CaseTimeout(message, where=self.spec, remedy="make it end, or the timeout longer")
        if told.end in (wire.NOT_STARTED, wire.PROCESSES):
            raise RequestFailed(message, code=code, where=self.spec)
        ran = CommandRun(told, record)
        if check and code:
            code, message = failure(told, code, message)
            raise CommandFailed(message, code=code, where=self.spec, ran=ran)
        return ran

    def _found(self, text: str) -> str:
        """Return ``FILE[:GUEST_PATH]`` with the file beside the test, where there is one."""
        source, target = tree.parse(text, self.folder)
        return f"{source}:{target}" if source.exists() else text

    def push(self, path: str, data: bytes | str | Path, *, mode: int = 0o644) -> None:
        """Write a file in the guest: bytes, text, or the content of a file of the host."""
        if isinstance(data, Path):
            data = data.read_bytes()
        self.guest.push(path, data.encode() if isinstance(data, str) else data, mode=mode)

    def pull(self, path: str) -> bytes:
        """Return a file's bytes from the guest; raise RequestFailed if it cannot be read."""
        return self.guest.pull(path)

    def console(self) -> str:
        """Return what the kernel printed since the guest was restored."""
        return self.guest.console()

    def __repr__(self) -> str:
        return f"<kernel {self.spec}: {self.release}>"


class Loader:
    """Loads objects on the kernel under test; see the fixture ``load``."""

    def __init__(
        self,
        under: KernelUnderTest,
        folder: Path,
        timeout: float,
        btf: Sequence[Supply] = (),
        *,
        strict_reads: bool = False,
        rules: str = "",
    ) -> None:
        self._under = under
        self._strict_reads = strict_reads
        self._rules = rules
        self._folder = folder
        self._timeout = timeout
        self._btf = btf

    def __call__(
        self,
        path: str | Path,
        *,
        programs: Sequence[str] | None = None,
        btf: str | Path | None = None,
        btf_always: bool = False,
        contract: Mapping[str, Any] | None = None,
        rules: str | None = None,
        check: bool = True,
    ) -> LoadedObject:
        """Relocate and load an object and return it, loaded.

        Args:
            path: the object, or one inside a program (``mytool:bpf``; ``mytool`` where it holds one); relative paths
                are looked up beside the test, then in the current folder. ``{arch}`` is the kernel's architecture.
            programs: the names of the programs to load; all of them by default.
            btf: BTF to relocate against where the kernel has none and ``--kernel-btf`` supplies none: a file or a
                folder, as there.
            btf_always: relocate against a supplied BTF even where the kernel has its own.
            contract: the loader contract, in the form of a case.toml's ``[contract]``.
            rules: the loader whose rules decide, instead of what ``--kernel-rules`` says.
            check: raise if a stage failed; with False, the test looks at ``.relocate`` and ``.load`` itself.

        Raises:
            LoadFailed: a stage failed, and ``check`` was not False.
            MisreadFound: strict reads were asked for, and a program misreads something.
            UsageError: there is no such file, or a folder of BTF has none for this kernel.
        """
        found = case.bare(self._find(path))
        name, data = found.object_data(self._under.guest.kernel.arch)
        supplied = self._supplied(btf, btf_always)
        self._under.rules = rules or self._rules or USUAL_RULES
        request = wire.Load(
            name=name,
            data=data,
            programs=list(programs) if programs is not None else None,
            btf=supplied.data if supplied is not None else None,
            btf_name=supplied.name if supplied is not None else "",
            contract=dict(contract or {}),
            rules=self._under.rules,
        )
        reply = self._under.guest.request(request, self._timeout)
        assert isinstance(reply, wire.Loaded)
        loaded = LoadedObject(self._under.guest, str(path), data, reply)
        self._under.loaded.append(loaded)
        self._under.sha256 = hashlib.sha256(data).hexdigest()
        if check:
            _raise_if_failed(loaded)
        if self._strict_reads and loaded.misreads:
            raise MisreadFound(records.in_words(loaded.misreads[0]), where=loaded.misreads[0]["program"])
        return loaded

    def _supplied(self, btf: str | Path | None, always: bool) -> Supplied | None:
        """Return the BTF to relocate against, None for the kernel's own (or none)."""
        from everykernel.kernels.supplied import Supply
        from everykernel.matrix import supply
        from everykernel.settings import is_url

        facts = self._under.facts
        own = [] if btf is None else [Supply.at(str(btf if is_url(str(btf)) else self._find(btf, folder=True)))]
        found, notes = supply.choose([*self._btf, *own], self._under.guest.kernel, facts, always=always)
        if found is None and own and (always or not facts.btf):
            raise UsageError("; ".join(notes), where="load")
        self._under.notes += [note for note in notes if note not in self._under.notes]
        return found

    def _find(self, path: str | Path, *, folder: bool = False) -> Path:
        text = str(path).replace("{arch}", self._under.arch)
        for candidate in (self._folder / text, Path(text)):
            if inside.split(str(candidate))[0].is_file() or (folder and candidate.is_dir()):
                return candidate
        raise UsageError("there is no such file", where=text, remedy=f"looked in {self._folder} and {Path.cwd()}")


def _raise_if_failed(loaded: LoadedObject) -> None:
    stages = {"relocate": loaded.relocate, "load": loaded.load}
    for name, stage in stages.items():
        if stage.get("status") == wire.FAILED:
            raise LoadFailed(
                f"{name}: {stage.get('message', '')}", code=stage.get("code", ""), where=loaded.name, stages=stages
            )


def lend_kernel(request: pytest.FixtureRequest) -> KernelUnderTest:
    """Return the kernel for a test; it ends with the test, or with the scope that shares it."""
    session = session_of(request.config)
    spec = getattr(request, "param", NO_KERNELS)
    if spec == NO_KERNELS:
        raise no_kernels()
    session.skip_if_missing(spec)
    guest = lend.take(session, request.node, spec)
    under = KernelUnderTest(guest, request.path.parent, session.settings.timeout)
    request.node.stash[UNDER_TEST] = under
    return under


def make_loader(kernel: KernelUnderTest, request: pytest.FixtureRequest) -> Loader:
    """Return what loads objects on a kernel."""
    session = session_of(request.config)
    settings = session.settings
    return Loader(
        kernel,
        request.path.parent,
        settings.timeout,
        session.btf,
        strict_reads=settings.strict_reads,
        rules=settings.rules,
    )
