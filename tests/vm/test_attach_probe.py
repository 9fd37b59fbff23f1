"""Probes by tracefs, the way of kernels before v4.17: tried on newer ones, which have it too."""

from __future__ import annotations

import pytest

from everykernel import folders, wire
from everykernel.compile import compile_all, jobs
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines
from everykernel.matrix import case as cases

pytestmark = pytest.mark.vm

BY_TRACEFS = """
import ctypes
import os

from everykernel.load.attach import files, tracing, uprobe
from everykernel.load.attach.outcome import NotAttached
from everykernel.load.kernel import tracefs

def check(obj):
    fd, libc = obj.programs["on_entry"].fd, files.find_file(obj.system, "libc.so.6")
    obj.globals["ek_pid"] = os.getpid()
    links = [
        uprobe.uprobe_by_tracefs(obj.system, fd, libc, files.symbol_offsets(obj.system, libc, name)[0], name)
        for name in ("labs", "abs")
    ]
    links.append(tracing.kprobe_by_tracefs(obj.system, fd, "__x64_sys_getpgid"))
    hits = []
    for call in (lambda: ctypes.CDLL(None).labs(-1), lambda: ctypes.CDLL(None).abs(-1), lambda: os.getpgid(0)):
        call()
        hits.append(obj.globals["ek_hits"])
    for link in links:
        link.close()
    os.getpgid(0)
    hits.append(obj.globals["ek_hits"])
    try:
        tracing.kprobe_by_tracefs(obj.system, fd, "no_such_function")
    except NotAttached as e:
        refusal = e.message
    left = [obj.system.text(f"{tracefs.root(obj.system)}/{kind}_events") for kind in ("kprobe", "uprobe")]
    return {"hits": hits, "refusal": refusal, "left": left}
"""


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ("5.10", "ENOENT: this kernel has no function no_such_function"),
        ("6.12", "EINVAL: no_such_function cannot be traced in this kernel: it is not in available_filter_functions"),
    ],
)
def test_probes_by_tracefs(machines: Machines, columns: dict[str, Kernel], spec: str, refusal: str) -> None:
    """One program is at several places at once, each until its link is closed, and no probe stays in tracefs."""
    compile_all(jobs(["uprobe"]))
    path = cases.read(folders.data("cases") / "uprobe" / "case.toml").object_path(columns[spec].arch)
    with machines.start(columns[spec]) as guest:
        loaded = guest.request(wire.Load(name=path.name, data=path.read_bytes()))
        assert isinstance(loaded, wire.Loaded)
        checked = guest.request(wire.Check(loaded.handle, BY_TRACEFS, "check.py"))
        assert isinstance(checked, wire.Checked)
        assert checked.passed, checked.message
        assert checked.evidence == {
            "hits": [1, 2, 3, 3],
            "refusal": f"kprobe no_such_function: {refusal}",
            "left": ["", ""],
        }
