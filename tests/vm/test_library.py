"""The loader as a library: docs/library.md on targets, and what stays behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from everykernel import folders
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

pytestmark = pytest.mark.vm

PAGE = (Path(__file__).parents[2] / "docs/library.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
SHOWN = re.search(r"^    (PYTHONPATH=\S+ python3 mytool.py)$", PAGE, re.MULTILINE)
OBJECTS = ("ringbuf_events", "unresolved", "xdp_test_run", "cgroup_sock")
FOLDER = "/tmp/library"

BEHIND = """
import os, socket
from everykernel.load import kernel_btf, load
from everykernel.object import read

def state():
    with open("/proc/self/maps") as maps:
        return len(os.listdir("/proc/self/fd")), maps.read().count("anon_inode")

def use():
    with open("ringbuf_events.bpf.o", "rb") as file:
        spec = read(file.read(), "ringbuf_events.bpf.o")
    with kernel_btf() as kernel:
        kernel.target.modules
        with load(spec, kernel) as loaded:
            loaded.attach()
            loaded.globals["ek_pid"] = os.getpid()
            os.getpgid(0)
            assert len(loaded.maps["events"].events()) == 1

use()
before = state()
for _ in range(3):
    use()
print(before == state() or (before, state()))
"""

BESIDE = """
import os, socket
from everykernel.load import kernel_btf, load
from everykernel.object import read

def object(name):
    with open(name, "rb") as file:
        return read(file.read(), name)

with kernel_btf() as kernel:
    first, second = (load(object("ringbuf_events.bpf.o"), kernel) for _ in range(2))
    for loaded in (first, second):
        loaded.attach()
    first.globals["ek_pid"] = os.getpid()
    os.getpgid(0)
    print([loaded.globals["ek_hits"] for loaded in (first, second)])
    second.globals["ek_pid"] = os.getpid()
    first.close()
    os.getpgid(0)
    print(second.globals["ek_hits"], len(second.maps["events"].events()))
    second.close()
    with load(object("cgroup_sock.bpf.o"), kernel) as outer, load(object("cgroup_sock.bpf.o"), kernel) as inner:
        outer.attach()
        inner.attach()
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        print([loaded.globals["made"] for loaded in (outer, inner)])
"""


# One interpreter for all: importing takes longer than all else here. Each program has a namespace of its own.
RUNNER = """
import contextlib, io, json
outputs = []
for program in json.load(open("programs.json")):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, {"__name__": "__main__"})
    outputs.append(out.getvalue())
print(json.dumps(outputs))
"""


@pytest.fixture(scope="module")
def outputs(machines: Machines, linux: Kernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the programs print, on a target with nothing but objects and the file that the page's command makes."""
    (command,) = re.findall(r"^    everykernel (library \S+)$", PAGE, re.MULTILINE)
    folder = tmp_path_factory.mktemp("library")
    subprocess.run([sys.executable, "-m", "everykernel", *command.split()], cwd=folder, check=True)
    (file,) = folder.iterdir()
    programs = [*(program for program, _ in EXAMPLES), BEHIND, BESIDE]
    assert SHOWN is not None
    with machines.start(linux) as guest:
        guest.push(f"{FOLDER}/{file.name}", file.read_bytes())
        for name in OBJECTS:
            data = (folders.data("cases") / name / "build/x86_64/prog.bpf.o").read_bytes()
            guest.push(f"{FOLDER}/{name}.bpf.o", data)
        guest.push(f"{FOLDER}/programs.json", json.dumps(programs).encode())
        guest.push(f"{FOLDER}/mytool.py", RUNNER.encode())
        ran = guest.run(["sh", "-c", f"cd {FOLDER} && {SHOWN[1]}"], timeout=120)
    assert ran.code == 0, ran.stderr.decode()
    return dict(zip(programs, json.loads(ran.stdout), strict=True))


@pytest.mark.parametrize(("program", "output"), EXAMPLES)
def test_the_pages_examples(outputs: dict[str, str], program: str, output: str) -> None:
    """Each example prints what the page says."""
    assert outputs[program] == output


def test_all_examples_are_tried() -> None:
    """Every block of Python on the page is followed by what it prints."""
    assert len(EXAMPLES) == PAGE.count("```python") > 2


def test_nothing_stays_behind(outputs: dict[str, str]) -> None:
    """After closing objects and types there are as many descriptors and mapped maps as before."""
    assert outputs[BEHIND] == "True\n"


def test_objects_side_by_side(outputs: dict[str, str]) -> None:
    """Two objects from one file have variables and maps of their own; closing one leaves the other at work."""
    assert outputs[BESIDE] == "[1, 0]\n1 1\n[1, 1]\n"
