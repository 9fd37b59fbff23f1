"""What travels to a target runs on Python 3.9: a guest image of Debian bullseye's packages proves it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from everykernel import folders, wire
from everykernel.images import recipe
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

pytestmark = pytest.mark.vm

RENAMED = {"bookworm": "bullseye", "3.11": "3.9", "libffi8": "libffi7"}


def older(value: Any) -> Any:
    """Return the recipe's value as bullseye has it."""
    if isinstance(value, tuple):
        return tuple(older(item) for item in value)
    for new, old in RENAMED.items():
        value = value.replace(new, old)
    return value


def test_the_agent_on_bullseyes_python(columns: dict[str, Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent warms up and serves on Python 3.9; the loader with it."""
    ours = recipe.read("x86_64")
    bullseye = recipe.Recipe(**{f.name: older(getattr(ours, f.name)) for f in dataclasses.fields(ours)})
    bullseye = dataclasses.replace(
        bullseye,
        packages=(*bullseye.packages, "libgcc-s1"),  # with which its Python 3.9.2 ends threads (bpo-44434)
        keep=(*bullseye.keep, "lib/*-2.31.so", "*/libgcc_s.so.1"),  # what its libc.so.6 … link to
    )
    monkeypatch.setattr(recipe, "read", lambda arch: bullseye)
    with Machines("tcg", timeout=60) as machines, machines.start(columns["5.10"]) as guest:
        assert guest.facts.python.startswith("3.9.")
        assert guest.run(["python3", "--version"]).stdout.startswith(b"Python 3.9.")
        prog = folders.data("cases") / "exec_event/build/x86_64/prog.bpf.o"
        loaded = guest.request(wire.Load("prog.bpf.o", prog.read_bytes()))
        assert isinstance(loaded, wire.Loaded)
        assert (loaded.relocate["status"], loaded.load["status"]) == ("passed", "passed")
        attached = guest.request(wire.Attach(loaded.handle))
        assert isinstance(attached, wire.Attached)
        assert {program["status"] for program in attached.programs} == {"passed"}
