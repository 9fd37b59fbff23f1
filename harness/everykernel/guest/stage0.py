"""Stage 0 of the agent, all of our code that is in the guest image: open the port, take the agent over it, run it.

So the image, and the boot snapshot made from it, stay the same when the agent changes. A virtio-serial port can be
opened once only, by one read-write descriptor; read(2) on it returns 0 while the host is not connected.

Standard library only, Python 3.9.
"""

from __future__ import annotations

import glob
import importlib
import json
import marshal
import os
import struct
import sys
import time
import zipimport
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from types import ModuleType

# Imported before the boot snapshot: what the agent, pyelftools and the checks of cases commonly import. A slow guest
# takes seconds to compile these, and would again with each change of the agent.
PRELOADED = (
    *("ctypes", "dataclasses", "datetime", "fcntl", "ipaddress", "mmap", "pathlib", "pdb", "pprint", "queue", "random"),
    *("resource", "select", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "traceback", "typing"),
)
PORT = "everykernel.agent"
HERE = "/everykernel"
ZIP = HERE + "/everykernel-agent.pyz"
HEADER = struct.Struct("<II")  # as everykernel.wire: lengths of text and blob


class Sent:
    """Imports modules from bytecode that was sent, in half the time that a zip takes; their sources are the zip's.

    Args:
        files: by their names in the zip, the bytecode of modules (without a head), and other files whole.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def find_spec(self, name: str, path: object = None, target: object = None) -> Optional[ModuleSpec]:
        """Return the spec of a module that was sent, None for any other."""
        stem = name.replace(".", "/")
        for file in (stem + ".py", stem + "/__init__.py"):
            if file in self._files:
                spec = ModuleSpec(name, self, origin=ZIP + "/" + file)  # type: ignore[arg-type]
                spec.has_location = True
                if file.endswith("/__init__.py"):
                    spec.submodule_search_locations = [ZIP + "/" + stem]
                return spec
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave that to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code, of which nothing is kept."""
        assert module.__file__ is not None
        exec(marshal.loads(self._files.pop(module.__file__[len(ZIP) + 1 :])), module.__dict__)

    def get_data(self, path: str) -> bytes:
        """Return a file beside the modules: one that was sent once only, one of the zip's."""
        found = self._files.pop(path[len(ZIP) + 1 :], None)
        return found if found is not None else zipimport.zipimporter(ZIP).get_data(path)

    def get_source(self, name: str) -> Optional[str]:
        """Return the source of a module that is imported, for tracebacks."""
        file = sys.modules[name].__file__
        return zipimport.zipimporter(ZIP).get_data(file).decode() if file else None


def open_port(name: str = PORT, patience: float = 20.0) -> int:
    """Return a read-write descriptor of the virtio port ``name``; the driver may still be looking for it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for path in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(path) as file:
                if file.read().strip() == name:
                    return os.open("/dev/" + path.split("/")[-2], os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.01)
    raise SystemExit("everykernel: there is no virtio port " + name)


def read_exactly(port: int, size: int) -> bytes:
    """Return ``size`` bytes from the port, however long the host takes."""
    out = bytearray()
    while len(out) < size:
        data = os.read(port, min(size - len(out), 1 << 16))
        if not data:
            time.sleep(0.005)  # the host is not connected
        out += data
    return bytes(out)


def write_all(port: int, data: bytes) -> None:
    """Write all of ``data`` to the port."""
    view = memoryview(data)
    while view:
        view = view[os.write(port, view) :]


def try_timers() -> None:
    """Sleep a moment on each CPU: a kernel whose timers did not survive its boot hangs here, and is booted again."""
    cpus = os.sched_getaffinity(0)
    for cpu in cpus:
        os.sched_setaffinity(0, {cpu})
        time.sleep(0.01)
    os.sched_setaffinity(0, cpus)


def set_sysctls() -> list[str]:
    """Set the sysctls that the host asked for; return what could not be set."""
    problems = []
    for line in lines("sysctls"):
        name, _, value = line.partition("=")
        try:
            with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
                file.write(value)
        except OSError as e:
            problems.append(f"sysctl {name} = {value}: {e.strerror}")
    return problems


def lines(name: str) -> list[str]:
    """Return the lines of a file in our folder; none if it is not there."""
    try:
        with open(HERE + "/" + name) as file:
            return file.read().splitlines()
    except OSError:
        return []


def receive(told: dict[str, Any], blob: bytes) -> None:
    """Have the agent be imported from what was sent: files with bytecode for a Python, as ``told`` says, then a zip."""
    size = told["files"]
    with open(ZIP, "wb") as file:
        file.write(memoryview(blob)[size:])
    if bytes.fromhex(told["magic"]) == MAGIC_NUMBER:
        sys.meta_path.insert(0, Sent(marshal.loads(memoryview(blob)[:size])))
        sys.path.append(ZIP)
    else:
        sys.path.insert(0, ZIP)


def main() -> None:
    """Tell the host that the kernel is up, receive the agent's zip, and become the agent."""
    for name in PRELOADED:
        importlib.import_module(name)
    try_timers()
    port = open_port()
    problems = [f"module {path} cannot be loaded" for path in lines("failed-modules")] + set_sysctls()
    about: dict[str, Any] = {"kind": "stage0", "python": sys.version.split()[0], "problems": problems}
    text = json.dumps(about).encode()
    write_all(port, HEADER.pack(len(text), 0) + text)
    text_size, blob_size = HEADER.unpack(read_exactly(port, HEADER.size))
    receive(json.loads(read_exactly(port, text_size)), read_exactly(port, blob_size))
    from everykernel.guest import agent

    agent.serve(port)
