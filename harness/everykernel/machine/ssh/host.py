"""One target: what it is, agents on it one after the other, and the first cause of its loss."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from dataclasses import replace
from typing import Any

from everykernel import cache, wire
from everykernel.architectures import BY_UNAME
from everykernel.errors import EverykernelError, GuestError, GuestLost, KernelHung, TargetError, UsageError
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import Progress
from everykernel.machine.bare import FarGuest
from everykernel.machine.guest import CONNECTED, Guest
from everykernel.machine.running import AgentGuest, Begun
from everykernel.machine.spec import MachineSpec
from everykernel.machine.ssh import about as about_
from everykernel.machine.ssh import bare, luggage, vmlinux
from everykernel.machine.ssh.connection import Connection, connect
from everykernel.machine.ssh.console import Console
from everykernel.machine.ssh.session import Session
from everykernel.machine.ssh.target import Target, Terms
from everykernel.settings import BARE

SSH = "ssh"
_SHARED = "a machine that runs already: every cell has the same kernel, and what one leaves the next finds"
_ASKED = "nothing may be loaded into it (--target-may-load): objects are relocated against its BTF, and no more"


class Host:
    """One target: its connection, and whose turn it is."""

    def __init__(self, target: Target, terms: Terms, progress: Progress) -> None:
        self.target = target
        self.terms = terms
        self.lost: EverykernelError | None = None
        self._progress = progress
        self._turn = threading.Lock()
        where = hashlib.sha256(target.spec.encode()).hexdigest()
        self._others = cache.lock(f"target-{where[:16]}", of_thread=False)  # of other processes of this machine
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
        about = about_.ask(self._connection, self.target, self.terms.timeout)
        row = BY_UNAME.get(about.machine)
        if row is None:
            text = f"its architecture is {about.machine!r}, for which nothing is compiled here"
            raise TargetError(text, where=where, remedy=f"known: {', '.join(BY_UNAME)}")
        self._about = about
        self._progress.note(f"{where}: {about}")
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

    def fit(self) -> None:
        """Raise TargetError for a target on which our agent cannot do what it is to do."""
        assert self._about is not None
        if not self.target.bare:
            self._about.python(self.target)
        self._about.by_sudo(self.target, loads=self.terms.may_load)

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

    def btf(self) -> bytes | None:
        """Return its BTF; None where it has none."""
        assert self._connection is not None
        assert self._about is not None
        if not self._about.btf:
            return None
        return vmlinux.read(self._connection, self.terms.patience, self.target.spec)

    # --- agents on it

    def start(self, kernel: Kernel, spec: MachineSpec) -> Guest:
        """Return an agent when it is its turn; the caller closes it, and so gives the turn on."""
        self._turn.acquire()
        try:
            self._others.acquire()
            _check(spec, self.target.spec)
            self._lookout()
            assert self._connection is not None
            assert self._about is not None
            try:
                return self._begin(self._connection, self._about, kernel, spec)
            except GuestError as e:
                self.heard(e, gone=isinstance(e, GuestLost))
                raise
        except BaseException:
            self._give_on()
            raise

    def _begin(self, connection: Connection, about: about_.About, kernel: Kernel, spec: MachineSpec) -> Guest:
        """Return an agent that is ready: in the target's Python, or on this side of a static program."""
        target, terms = self.target, self.terms
        if not target.bare:
            brought = luggage.of_python(target, about, terms)
            self._session = session = Session(connection, target, terms, brought, self._screen)
            return TargetGuest(self, kernel, spec, session, Begun(session, session.greet(), CONNECTED, []))
        brought = luggage.of_program(target, about, terms, kernel.arch)
        self._session = session = Session(connection, target, terms, brought, self._screen)
        try:
            agent = bare.begin(session, kernel.arch, terms)
        except BaseException:
            session.close()
            raise
        begun = Begun(session, agent.facts, CONNECTED, [], agent)
        return BareTargetGuest(self, kernel, replace(spec, kind=BARE), session, begun)

    def _give_on(self) -> None:
        self._others.release()
        self._turn.release()

    def _lookout(self) -> None:
        """Raise GuestLost where the target is lost, with the first cause."""
        if self.lost is not None:
            text = f"not run: the target went away in an earlier cell: {self.lost.message}"
            raise GuestLost(text, where=self.target.spec)
        self.resolve()

    def ended(self, session: Session, stayed: list[str]) -> None:
        """Give the turn on; tell what is left of an agent, and what stayed in the kernel."""
        with contextlib.suppress(Exception):
            left = session.left() if self.lost is None else ""
            for line in filter(None, [*stayed, left]):
                self._progress.note(f"{self.target.spec}: {line}")
        self._session = None
        self._give_on()

    def heard(self, error: EverykernelError, *, gone: bool = False) -> None:
        """Take note of what went wrong with an agent: whether the machine is gone."""
        alive = self._connection is not None and self._connection.alive
        broken = isinstance(error, KernelHung) or error.code in ("kernel-panic", "kernel-oops")
        if self.lost is None and (gone or broken or not alive):
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

    def __init__(self, host: Host, kernel: Kernel, spec: MachineSpec, session: Session, begun: Begun) -> None:
        super().__init__(kernel, spec, begin=lambda: begun, abandon=session.close, timeout=host.terms.timeout)
        self.may_load = host.terms.may_load
        self.wake()
        self._host = host
        self._at = session
        self._finished = False
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
        self._finished = True
        return [f"left behind on the target: {line}" for line in self.request(wire.Finish()).value]

    def close(self) -> None:
        """Have the agent leave; the next one's turn comes when it has. What stays is told, if nobody asked before."""
        left: list[str] = []
        if not self._finished and not self._returned and self._end is None and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(EverykernelError):
                    left = self.finish()
            finally:
                self._lock.release()
        super().close()
        if not self._returned:
            self._returned = True
            self._host.ended(self._at, left)


class BareTargetGuest(FarGuest, TargetGuest):
    """An agent on this side of a target, in use."""


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
