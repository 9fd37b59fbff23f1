"""Attaching to the kernel's functions: what is said of those that it has, and that take no program."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel import wire
from everykernel.compile import Job, compile_one
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

pytestmark = pytest.mark.vm

SOURCE = Path(__file__).parent / "objects" / "entries.bpf.c"


def test_functions_that_take_no_program(machines: Machines, linux: Kernel, tmp_path: Path) -> None:
    """Said of a function: that ftrace does not list it; that it has more arguments than 6.1 passes to trampolines."""
    target = tmp_path / "entries.bpf.o"
    compile_one(Job(SOURCE, linux.arch, target))
    with machines.start(linux) as guest:
        loaded = guest.request(wire.Load(target.name, target.read_bytes()))
        assert isinstance(loaded, wire.Loaded)
        assert loaded.load["status"] == "passed", loaded.load["message"]
        attached = guest.request(wire.Attach(loaded.handle))
        assert isinstance(attached, wire.Attached)
    assert {p["name"]: (p["code"], p["errno"], p["message"]) for p in attached.programs} == {
        "untraceable": (
            "attach-failed",
            "EINVAL",
            "kprobe exc_int3: EINVAL: exc_int3 cannot be traced in this kernel: "
            "it is not in available_filter_functions",
        ),
        "crowded": (
            "limit-exceeded",
            "ENOTSUPP",
            "attaching to __vmalloc_node_range: ENOTSUPP: it has 9 arguments, "
            "more than this kernel's trampolines take (12 upstream since v6.6)",
        ),
    }
