"""A fake world for tests of the host: kernels that are nowhere on the disk, machines that answer by script.

An object is a JSON file; what it says decides how the fake guest answers: ``{"load": {...stage...}}``,
``{"raise": "KernelPanic", "breaks": 1}`` (the first time only).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import everykernel.kernels
import everykernel.machine
from everykernel import errors, wire
from everykernel.architectures import ARCHITECTURES
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.twins import parts
from everykernel.machine import fake, process, slots

RELEASES = {
    "5.10": "5.10.0-36-cloud-amd64",
    "6.1": "6.1.0-56-cloud-amd64",
    "6.12": "6.12.57+deb13-cloud-amd64",
    "6.1/i386": "6.1.0-56-686-pae",
    **dict.fromkeys(("6.1-btf", "6.1-nobtf", "6.1-supplied"), "6.1.7-twin"),
}

PROGRAM = {"name": "p", "section": "tracepoint/x", "type": "tracepoint", "status": "passed", "code": "", "message": ""}
REFUSED = {
    **PROGRAM,
    "status": "failed",
    "code": "verifier-rejected",
    "errno": "EACCES",
    "message": "R0 !read_ok",
    "log": "0: (95) exit\nR0 !read_ok\n",
    "source": "prog.bpf.c:12",
    "decides": True,
}
MISREAD = {
    "program": "p",
    "insn": 7,
    "access": "struct task_struct.on_cpu",
    "taken": "int on_cpu, 4 bytes",
    "kernel": "u8 on_cpu, 1 byte",
}
ACCEPTED: dict[str, Any] = {
    "status": "passed",
    "programs": [PROGRAM],
    "maps": [{"name": "m", "type": "hash", "status": "passed"}],
}
REJECTED: dict[str, Any] = {
    "status": "failed",
    "code": "verifier-rejected",
    "message": "program 'p': R0 !read_ok",
    "programs": [REFUSED],
}


def kernel(spec: str) -> Kernel:
    """Return the fake kernel that a spec means."""
    arch, flavour = ("i386", "686-pae") if spec.endswith("/i386") else ("x86_64", "cloud-amd64")
    made = replace(fake.kernel(spec, arch=arch, release=RELEASES[spec]), flavour=flavour)
    part = spec.partition("-")[2]
    return replace(made, source="twins:linux-source-6.1", flavour=part) if part in parts.PARTS else made


def resolve(texts: Any, progress: Any = None) -> list[ResolvedKernel]:
    """Resolve the specs of `RELEASES`, as `everykernel.kernels.resolve` does."""
    found = []
    for spec in texts:
        if spec not in RELEASES:
            raise errors.UnknownKernel(
                "no source has this kernel", where=spec, spec=spec, nearest="6.1", remedy="nearest: 6.1"
            )
        one = kernel(spec)
        found.append(
            ResolvedKernel(
                spec=spec, arch=one.arch, series="6.1", version="6.1.192-1", release=one.release, package="linux-image",
                source=one.source, flavour=one.flavour, fetcher=lambda resolved, progress: kernel(resolved.spec),
            )
        )  # fmt: skip
    return found


class World(fake.FakeMachines):
    """Fake machines whose guests do what the object says."""

    def __init__(self, accel: str = "auto", timeout: float = 60.0, progress: Any = None) -> None:
        super().__init__()
        self.answer(wire.Load, self._load)
        self.answer(wire.Attach, lambda message: wire.Attached([dict(PROGRAM)]))
        self.answer(wire.Globals, lambda message: wire.Value({"ek_failed_line": self.line}))
        self.answer(wire.Check, lambda message: wire.Checked(True, "", "", {"seen": 1}))
        self.line = 0
        self.loads: Counter[tuple[str, bytes]] = Counter()  # by the object's name and content
        self.over = threading.Event()  # ends what sleeps

    def close(self) -> None:
        """End every guest."""
        super().close()
        self.over.set()

    def _load(self, message: wire.Load) -> wire.Message:
        script = json.loads(message.data) if message.data else {}
        broken = script.get("raise")
        self.loads[message.name, message.data] += 1
        if self.loads[message.name, message.data] > script.get("breaks", 1 << 30):
            broken = None
        if broken:
            raise getattr(errors, broken)("it broke", console="Kernel panic - not syncing: test\n", where="6.1")
        if self.over.wait(script.get("sleep", 0)):
            raise errors.GuestLost("the guest was ended", where="6.1")
        self.line = script.get("ek_failed_line", 0)
        relocate = {"status": "passed", "btf": "kernel", "relocations": [], **script.get("relocate", {})}
        return wire.Loaded(1, relocate, {**ACCEPTED, **script.get("load", {})}, script.get("misreads", []))


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fake world in the place of the real one."""
    monkeypatch.setattr(everykernel.kernels, "resolve", resolve)
    monkeypatch.setattr(everykernel.machine, "Machines", World)
    monkeypatch.setattr(process, "find", lambda program: Path("/bin") / program)
    monkeypatch.setattr(slots, "slot", contextlib.nullcontext)  # real guests of this machine are none of our business
    monkeypatch.setattr(process, "version", lambda program: "7.2")
    monkeypatch.delenv("EVERYKERNEL_KERNELS", raising=False)
    assert ARCHITECTURES


CONFTEST = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
import pytest
from tests import faking
faking.install(pytest.MonkeyPatch())
"""  # for runs in processes of their own


def objects(folder: Path, **scripts: dict[str, Any]) -> None:
    """Write fake objects: ``name=script``."""
    for name, script in scripts.items():
        (folder / f"{name}.bpf.o").write_text(json.dumps(script))
