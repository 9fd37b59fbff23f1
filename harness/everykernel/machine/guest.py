"""The machine protocol: what a running machine with our agent offers, whatever it is, and what starts one.

A guest of this host has a fresh kernel for every cell, a console, and any kernel that is asked for; a machine that runs
already (`machine.ssh`) has what it has. What a column promises is in its record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from everykernel import wire
from everykernel.kernels.model import Kernel
from everykernel.machine.spec import MachineSpec

RESTORED, COLD_BOOT, CONNECTED = "restored", "cold-boot", "connected"


class Guest(ABC):
    """A machine, its agent answering. Use it as a context manager, or `close` it.

    Attributes:
        kernel: the kernel that it runs.
        spec: its machine.
        start_kind: how it was started: ``restored`` or ``cold-boot``, or ``connected`` where it ran already.
        notes: what a reader of the results should know about this guest (a restore that did not answer).
        may_load: whether anything may be loaded into its kernel: into every guest's, and where the user allows it.
    """

    may_load: bool = True

    kernel: Kernel
    spec: MachineSpec
    start_kind: str
    notes: list[str]

    @property
    @abstractmethod
    def facts(self) -> wire.Facts:
        """What the kernel is, from probes."""

    @abstractmethod
    def request(self, message: wire.Request[wire.Reply], timeout: float | None = None) -> wire.Reply:
        """Send one request and return its reply; ``timeout`` is in seconds (None: the machines' own).

        Raises:
            RequestFailed: the agent answered with an error.
            CaseTimeout: no reply by the deadline, while the agent still answers a ping. The guest stays usable only
                for its console: the request still runs in it.
            KernelPanic, KernelOops, KernelHung, GuestLost: the guest broke, with its last console lines.
        """

    @abstractmethod
    def console(self) -> str:
        """Return what the kernel printed since this guest was started (restored: since then only)."""

    @abstractmethod
    def warnings(self) -> list[str]:
        """Return the WARN, lockdep, RCU and lockup splats in the console, each whole."""

    def finish(self) -> list[str]:
        """Unload everything, and return what stays all the same, a line each; a guest is thrown away as it is.

        Raises as `request` does.
        """
        return []

    @abstractmethod
    def close(self) -> None:
        """End the guest at once; a second call does nothing."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> wire.Ran:
        """Run a program in the guest and return how it ended; raise RequestFailed if it cannot be started."""
        return self.request(wire.Run(list(argv), stdin, dict(env or {})), timeout)

    def follow(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        binds: Sequence[tuple[str, str]] = (),
    ) -> Iterator[wire.Output]:
        """Run a program and yield what it writes as it comes; the last says how it ended.

        ``cwd`` is its folder; ``binds`` are as of `wire.Command`.

        Raises RequestFailed if it cannot be started.
        """
        started = self.request(wire.Start(list(argv), stdin, dict(env or {}), cwd, list(binds)))
        while True:
            output = self.request(wire.Follow(started.value))
            yield output
            if output.code is not None:
                return

    def push(self, path: str, data: bytes, *, mode: int = 0o644, timeout: float | None = None) -> None:
        """Write a file in the guest, making its folders."""
        self.request(wire.Push(path, data, mode), timeout)

    def pull(self, path: str, *, timeout: float | None = None) -> bytes:
        """Return a file's bytes from the guest; raise RequestFailed if it cannot be read."""
        return self.request(wire.Pull(path), timeout).value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Prepared:
    """What making a kernel ready took.

    Attributes:
        booted: whether anything was booted (False: the snapshots were there).
        attempts: boots tried, retries included (0 when nothing was booted).
        seconds: how long it took.
        notes: what a reader should know: "boot 1 of 3 failed: no answer within 60 s".
    """

    booted: bool
    attempts: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


class MachineSource(Protocol):
    """What makes kernels ready and starts guests: `machine.Machines`, or `machine.fake.FakeMachines` in tests."""

    @property
    def accelerator(self) -> str:
        """The accelerator in use (``kvm``, ``tcg``) with its reason, for a report's header."""

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        """Make or reuse the snapshots of ``kernel`` on such a machine (None: the default one)."""

    def decides(self, kernel: Kernel, spec: MachineSpec) -> str | None:
        """Return a name that is another whenever guests of ``kernel`` on such a machine may behave otherwise.

        It is fit for the name of a file. None where nobody can tell. Nothing is booted for it, but for the first probe
        of the accelerator on a host.
        """

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Guest:
        """Return a guest with a fresh kernel; ``ahead``: restore it in the background, paused until it is used."""

    def close(self) -> None:
        """End every guest that is still running."""
