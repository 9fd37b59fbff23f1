"""Targets as columns of a run: what they are, agents on them one after the other, and the first cause of a loss."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Mapping
from typing import Any

import paramiko

from everykernel import cache, wire
from everykernel.architectures import BY_UNAME
from everykernel.errors import EverykernelError, GuestError, GuestLost, KernelHung, TargetError, UsageError
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import SILENT, Progress
from everykernel.machine.guest import CONNECTED, Guest, Prepared
from everykernel.machine.running import AgentGuest, Begun
from everykernel.machine.spec import MachineSpec
from everykernel.machine.ssh import about as about_
from everykernel.machine.ssh.connection import Connection, connect
from everykernel.machine.ssh.console import Console
from everykernel.machine.ssh.session import Session
from everykernel.machine.ssh.target import PREFIX, Target, Terms

SSH = "ssh"
_VMLINUX = "/sys/kernel/btf/vmlinux"
_LARGEST_BTF = 64 << 20  # bytes; kernels have some 5 MB
_SHARED = "a machine that runs already: every cell has the same kernel, and what one leaves the next finds"
_ASKED = "nothing may be loaded into it (--target-may-load): objects are relocated against its BTF, and no more"


class Targets:
    """The targets of a run. `close` it.

    Args:
        terms: what holds for all.
        named: the targets of pyproject.toml.
        progress: where notes are shown.
    """

    def __init__(
        self,
        terms: Terms | None = None,
        named: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.terms = terms or Terms()
        self._named = named or {}
        self._progress = progress if progress is not None else SILENT
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def serves(self, spec: str) -> bool:
        """Return whether a spec names a target."""
        return spec.startswith(PREFIX)

    def resolve(self, spec: str) -> ResolvedKernel:
        """Connect to a target, and return its kernel; what was raised the first time is raised again.

        Raises:
            UsageError: it is no target, or ~/.ssh/config cannot be followed.
            TargetError: it cannot be used.
            GuestLost: it went away meanwhile.
        """
        return self._host(spec).resolve()

    def _host(self, spec: str) -> _Host:
        with self._lock:
            if spec not in self._hosts:
                self._hosts[spec] = _Host(Target.parse(spec, self._named), self.terms, self._progress)
            return self._hosts[spec]

    @property
    def accelerator(self) -> str:
        """Say that there is none."""
        return ""

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        """Boot nothing: it runs."""
        return Prepared(booted=False)

    def decides(self, kernel: Kernel, spec: MachineSpec) -> None:
        """Return nothing: what a machine of others does next, nobody can tell."""

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        """Return an agent on a target, when the one before has left; ``ahead`` changes nothing.

        Raises:
            UsageError: a machine is asked for that a running one is not.
            TargetError: the target cannot be used.
            GuestLost: it went away; also where it did in an earlier cell, with the cause of that.
        """
        return self._host(kernel.spec).start(kernel, spec or MachineSpec())

    def close(self) -> None:
        """End every connection."""
        for host in list(self._hosts.values()):
            host.close()


class _Host:
    """One target: its connection, and whose turn it is."""

    def __init__(self, target: Target, terms: Terms, progress: Progress) -> None:
        self.target = target
        self.terms = terms
        self.lost: EverykernelError | None = None
        self._progress = progress
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._about: about_.About | None = None
        self._screen: Console | None = None
        self._session: Session | None = None
        self._resolved: ResolvedKernel | EverykernelError | None = None

    # --- what it is

    def resolve(self) -> ResolvedKernel:
        """Return its kernel, found out once."""
        with self._lock:
            if self._resolved is None:
                try:
                    self._resolved = self._resolve()
                except EverykernelError as e:
                    self._resolved = e
            if isinstance(self._resolved, EverykernelError):
                raise self._resolved
            return self._resolved

    def _resolve(self) -> ResolvedKernel:
        where = self.target.spec
        self._connection = connect(self.target, self.terms)
        for note in self._connection.route.notes:
            self._progress.note(note)
        about = about_.ask(self._connection, self.target, self.terms.patience)
        row = BY_UNAME.get(about.machine)
        if row is None:
            text = f"its architecture is {about.machine!r}, for which nothing is compiled here"
            raise TargetError(text, where=where, remedy=f"known: {', '.join(BY_UNAME)}")
        about.python(self.target)
        about.by_sudo(self.target, loads=self.terms.may_load)
        self._about = about
        if self.target.console:
            self._screen = Console(self.target.console, where)
        return ResolvedKernel(
            spec=where,
            arch=row,
            series=".".join(about.release.split(".")[:2]),
            version="",
            release=about.release,
            package="",
            source=f"{SSH}:{self._connection.route.host}",
            flavour="",
            fetcher=self._fetch,
            target=SSH,
            told=_told(about, self.terms, screen=self._screen is not None),
        )

    def _fetch(self, resolved: ResolvedKernel, progress: Progress) -> Kernel:
        """Return the kernel; its files stay where they are."""
        named = re.sub(r"[^A-Za-z0-9._+-]", "-", resolved.release)
        boot = hashlib.sha256(f"{resolved.source} {resolved.told['version']}".encode()).hexdigest()
        return Kernel(
            spec=resolved.spec,
            arch=resolved.arch,
            release=resolved.release,
            image=cache.entry("kernels", f"target-{named}-{boot[:16]}") / "vmlinuz",
            modules=None,
            config=None,
            sha256="",
            source=resolved.source,
            signed="none",
            notes=tuple(resolved.told["notes"]),
            series=resolved.series,
            target=SSH,
        )

    def btf(self, kernel: Kernel) -> bytes | None:
        """Return the target's BTF; None where it has none."""
        self.resolve()
        assert self._connection is not None
        assert self._about is not None
        if not self._about.btf:
            return None
        try:
            with self._connection.sftp(self.terms.patience).open(_VMLINUX, "rb") as file:
                data: bytes = file.read(_LARGEST_BTF + 1)
        except (paramiko.SSHException, EOFError, OSError) as e:
            raise GuestLost(f"the connection was cut while its BTF was read: {e}", where=self.target.spec) from e
        if len(data) > _LARGEST_BTF:
            raise GuestLost(f"its BTF has more than {_LARGEST_BTF >> 20} MiB", where=self.target.spec)
        return data

    # --- agents on it

    def start(self, kernel: Kernel, spec: MachineSpec) -> Guest:
        """Return an agent when it is its turn; the caller closes it, and so gives the turn on."""
        self._turn.acquire()
        try:
            _check(spec, self.target.spec)
            self._lookout()
            assert self._connection is not None
            assert self._about is not None
            try:
                session = Session(self._connection, self.target, self._about, self.terms, self._screen)
            except (GuestError, TargetError) as e:
                self._lose(e)
                raise
            self._session = session
            return TargetGuest(self, kernel, spec, session)
        except BaseException:
            self._turn.release()
            raise

    def _lookout(self) -> None:
        """Raise GuestLost where the target is lost; find out again how to reach one whose connection has ended."""
        if self.lost is not None:
            text = f"not run: the target went away in an earlier cell: {self.lost.message}"
            raise GuestLost(text, where=self.target.spec)
        self.resolve()

    def ended(self, session: Session) -> None:
        """Give the turn on; tell what is left of an agent."""
        with contextlib.suppress(Exception):
            if self.lost is None and (left := session.left()):
                self._progress.note(f"{self.target.spec}: {left}")
        self._session = None
        self._turn.release()

    def heard(self, error: EverykernelError) -> None:
        """Take note of what went wrong with an agent: whether the machine is gone."""
        self._lose(error)

    def _lose(self, error: EverykernelError) -> None:
        alive = self._connection is not None and self._connection.alive
        broken = isinstance(error, KernelHung) or error.code in ("kernel-panic", "kernel-oops")
        if self.lost is None and (broken or not alive):
            self.lost = error

    def close(self) -> None:
        """End it all."""
        if self._session is not None:
            self._session.close()
        for one in (self._connection, self._screen):
            if one is not None:
                one.close()
        self.lost = self.lost or GuestLost("the connection was closed", where=self.target.spec)


class TargetGuest(AgentGuest):
    """An agent on a target, in use."""

    def __init__(self, host: _Host, kernel: Kernel, spec: MachineSpec, session: Session) -> None:
        begun = Begun(session, session.facts, CONNECTED, [])
        super().__init__(kernel, spec, begin=lambda: begun, abandon=session.close, timeout=host.terms.timeout)
        self.may_load = host.terms.may_load
        self.wake()
        self._host = host
        self._at = session
        self._returned = False

    def request(self, message: wire.Request[wire.Reply], timeout: float | None = None) -> wire.Reply:
        """Send one request and return its reply; see `Guest.request`."""
        try:
            return super().request(message, timeout)
        except EverykernelError as e:
            self._host.heard(e)
            raise

    def finish(self) -> list[str]:
        """Have everything unloaded; return what stays all the same."""
        return [f"left behind on the target: {line}" for line in self.request(wire.Finish()).value]

    def close(self) -> None:
        """Have the agent leave; the next one's turn comes when it has."""
        super().close()
        if not self._returned:
            self._returned = True
            self._host.ended(self._at)


def _check(spec: MachineSpec, where: str) -> None:
    """Raise UsageError for a machine that has to be booted so."""
    for name in ("cmdline", "modules", "sysctls"):
        if getattr(spec, name):
            text = f"the case asks for a machine with {name}, and this one runs already"
            raise UsageError(text, where=where, remedy="run it on a kernel of --kernels")


def _told(about: about_.About, terms: Terms, *, screen: bool) -> dict[str, Any]:
    """Return what a column's record says of a target before any cell."""
    return {
        "version": about.version,
        "btf": "kernel" if about.btf else "none",
        "lsm": [one for one in about.lsm.split(",") if one],
        "lockdown": about.lockdown,
        "unprivileged_bpf": about.unprivileged_bpf,
        "config": bool(about.config),
        "target": SSH,
        "promises": {"fresh_kernel": False, "console": screen, "loads": terms.may_load},
        "notes": [_SHARED] if terms.may_load else [_SHARED, _ASKED],
    }
