"""Nothing needs root: a process without any privilege restores guests, and the snapshot stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from everykernel.kernels.model import Kernel
from everykernel.machine import Machines, snapshots

pytestmark = pytest.mark.vm

# To a kernel, root without capabilities is an ordinary user who owns the cache.
ORDINARY = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"] if os.getuid() == 0 else []
PROGRAM = """
import re
from pathlib import Path
from everykernel import kernels
from everykernel.machine import Machines
assert re.search("CapEff:\\t0+\\n", Path("/proc/self/status").read_text())
with Machines("tcg") as machines:
    kernel = kernels.resolve(["6.1"])[0].fetch()
    assert not machines.prepare(kernel).booted
    with machines.start(kernel) as guest:
        guest.push("/tmp/much", bytes(8 << 20))
        print(guest.start_kind, guest.run(["uname", "-r"]).stdout.decode())
"""


def test_an_ordinary_user_restores_and_changes_nothing(machines: Machines, linux: Kernel) -> None:
    """The guest works, and the snapshot's files are the same bytes after it."""
    folder = machines.snapshot(linux).folder
    before = {name: snapshots.digest(folder / name) for name in ("memory", "state")}
    ran = subprocess.run([*ORDINARY, sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.split() == ["restored", linux.release]
    snapshots._digest.cache_clear()
    assert {name: snapshots.digest(folder / name) for name in ("memory", "state")} == before
