"""Fake machines for tests of host logic: no QEMU, no kernel, the answers are written by the test.

machines = FakeMachines()
machines.answer(wire.Run, lambda message: wire.Ran(0, b"hello\\n", b""))
machines.answer(wire.Load, KernelPanic("kernel panic: …", console="…"))   # an exception is raised
with machines.start(kernel()) as guest: ...
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

from everykernel import wire
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import GuestError, GuestLost, RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine.guest import RESTORED, Guest, Prepared
from everykernel.machine.spec import MachineSpec

Answer = Union[wire.Message, Exception, Callable[[Any], wire.Message]]


def kernel(spec: str = "6.1", *, arch: str = "x86_64", release: str = "6.1.0-56-cloud-amd64") -> Kernel:
    """Return a kernel that is nowhere on the disk."""
    return Kernel(
        spec=spec,
        arch=ARCHITECTURES[arch],
        release=release,
        image=Path("/nonexistent/vmlinuz"),
        modules=None,
        config=None,
        sha256="0" * 64,
        source="fake",
        signed="none",
    )


def facts(kernel: Kernel) -> wire.Facts:
    """Return facts that fit ``kernel``: BTF everywhere but on i386, as in Debian's kernels."""
    return wire.Facts(
        release=kernel.release,
        version="#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-10-01)",
        machine=kernel.arch.uname,
        cpus=2,
        btf=kernel.arch.name != "i386",
        module_btf=[],
        jit=True,
        lsm=["capability"],
        lockdown="none",
        unprivileged_bpf="2",
        config=True,
        python="3.11.2",
    )


class FakeGuest(Guest):
    """A guest whose answers were written by a test; files pushed are there to be pulled."""

    def __init__(self, machines: FakeMachines, kernel: Kernel, spec: MachineSpec) -> None:
        self.kernel = kernel
        self.spec = spec
        self.start_kind = RESTORED
        self.notes = []
        self.requests: list[Any] = []
        self.files: dict[str, bytes] = {}
        self.closed = False
        self._machines = machines

    @property
    def facts(self) -> wire.Facts:
        """The facts of `FakeMachines.facts`, else ones that fit the kernel."""
        return self._machines.facts.get(self.kernel.spec) or facts(self.kernel)

    def request(self, message: wire.Request[wire.Reply], timeout: float | None = None) -> wire.Reply:
        """Return the answer that the test gave for this kind of message; raise it if it is an exception."""
        if self.closed:
            raise GuestLost("the guest is closed", where=self.kernel.spec)
        self.requests.append(message)
        answer = self._machines.answers.get(message.kind)
        if answer is None:
            found: wire.Reply = self._ordinary(message)
            return found
        if isinstance(answer, GuestError):
            self.closed = True
        if isinstance(answer, Exception):
            raise answer
        reply: Any = answer(message) if callable(answer) else answer
        if isinstance(reply, wire.Failed):
            raise RequestFailed(reply.message, code=reply.code, where=reply.where)
        return reply  # type: ignore[no-any-return]

    def _ordinary(self, message: wire.Request[Any]) -> Any:
        if isinstance(message, wire.Push):
            self.files[message.path] = message.data
            return wire.Done()
        if isinstance(message, wire.Pull):
            if message.path not in self.files:
                raise RequestFailed("no such file or directory", code="load-failed", where=message.path)
            return wire.Value(self.files[message.path])
        if isinstance(message, wire.Hello):
            return self.facts
        if isinstance(message, (wire.Ping, wire.Unload, wire.Detach)):
            return wire.Done()
        if isinstance(message, wire.Run):
            return wire.Ran(0, b"", b"")
        if isinstance(message, wire.Command):
            empty = {"first": b"", "last": b"", "left_out": 0}
            return wire.Commanded(wire.EXIT, 0, "", 0.0, empty, dict(empty), 1, 0, [], 0, None, [], [], [])
        if isinstance(message, wire.Room):
            return wire.Value(1 << 30)
        if isinstance(message, wire.Place):
            for entry in message.entries:
                if "data" in entry:
                    before = self.files.get(entry["path"], b"") if entry.get("append") else b""
                    self.files[entry["path"]] = before + entry["data"]
            return wire.Done()
        if isinstance(message, wire.Start):
            return wire.Value(1)
        if isinstance(message, wire.Follow):
            return wire.Output(b"", b"", 0)
        raise AssertionError(f"the test gave no answer for {message.kind!r}")

    def console(self) -> str:
        """Return what the test put into `FakeMachines.consoles` for this kernel."""
        return self._machines.consoles.get(self.kernel.spec, "")

    def warnings(self) -> list[str]:
        """Return what the test put into `FakeMachines.splats` for this kernel."""
        return self._machines.splats.get(self.kernel.spec, [])

    def close(self) -> None:
        """End the guest."""
        self.closed = True


@dataclass
class FakeMachines:
    """Machines that start fake guests.

    Attributes:
        answers: by a message's ``kind``: a reply, a function from message to reply, or an exception to raise.
        facts, consoles, splats: by a kernel's spec.
        boot_errors: by a kernel's spec: what `prepare` and `start` raise.
        prepared: the specs that were made ready (each "boots" the first time).
        guests: every guest that was started.
        decided: stands for all that decides guests beside their kernel and machine; None where nobody can tell.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    facts: dict[str, wire.Facts] = field(default_factory=dict)
    consoles: dict[str, str] = field(default_factory=dict)
    splats: dict[str, list[str]] = field(default_factory=dict)
    boot_errors: dict[str, Exception] = field(default_factory=dict)
    prepared: set[tuple[str, MachineSpec]] = field(default_factory=set)
    guests: list[FakeGuest] = field(default_factory=list)
    decided: str | None = "fake"

    def answer(self, kind: type[wire.Message], reply: Answer) -> None:
        """Answer requests of this kind so."""
        self.answers[kind.kind] = reply

    @property
    def accelerator(self) -> str:
        """Says that it is none."""
        return "fake"

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        """Boot nothing, and say that the first call for a machine did."""
        key = (kernel.spec, spec or MachineSpec())
        if kernel.spec in self.boot_errors:
            raise self.boot_errors[kernel.spec]
        new = key not in self.prepared
        self.prepared.add(key)
        return Prepared(booted=new, attempts=int(new))

    def decides(self, kernel: Kernel, spec: MachineSpec) -> str | None:
        """Return a hash of the kernel, the machine and `decided`."""
        if self.decided is None:
            return None
        return hashlib.sha256(repr((kernel.release, kernel.digest, spec, self.decided)).encode()).hexdigest()[:20]

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> FakeGuest:
        """Return a fake guest."""
        self.prepare(kernel, spec)
        guest = FakeGuest(self, kernel, spec or MachineSpec())
        self.guests.append(guest)
        return guest

    def close(self) -> None:
        """End every guest."""
        for guest in self.guests:
            guest.close()
