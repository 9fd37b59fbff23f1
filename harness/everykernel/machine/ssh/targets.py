"""The targets of a run, as a source of machines."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import SILENT, Progress
from everykernel.machine.guest import Guest, Prepared
from everykernel.machine.spec import MachineSpec
from everykernel.machine.ssh.host import Host
from everykernel.machine.ssh.target import Target, Terms


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
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()

    def resolve(self, spec: str) -> ResolvedKernel:
        """Connect to a target that is to run our agent, and return its kernel.

        What was raised the first time is raised again.

        Raises:
            UsageError: it is no target, or ~/.ssh/config cannot be followed.
            TargetError: it cannot be used.
            GuestLost: it went away meanwhile.
        """
        host = self._host(spec)
        resolved = host.resolve()
        host.fit()
        return resolved

    def btf(self, spec: str) -> tuple[Kernel, bytes | None]:
        """Return a target's kernel, and its BTF, None where it has none; it needs no Python for that.

        Raises as `resolve` does.
        """
        host = self._host(spec)
        return host.resolve().fetch(self._progress), host.btf()

    def _host(self, spec: str) -> Host:
        with self._lock:
            if spec not in self._hosts:
                self._hosts[spec] = Host(Target.parse(spec, self._named), self.terms, self._progress)
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
