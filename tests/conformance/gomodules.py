"""Compiled BPF objects that public Go modules carry beside their sources, from the module proxy, pinned by version."""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from tests.conformance.foreign import Foreign, is_of

from everykernel.architectures import DEFAULT, Architecture
from everykernel.object import embedded

# Modules whose objects are committed (bpf2go) and that the proxy serves.
MODULES = (
    "github.com/cilium/ebpf@v0.22.0",
    "github.com/elastic/ebpfevents@v0.6.0",
    "github.com/inspektor-gadget/inspektor-gadget@v0.40.0",
)

# How files are named that are for one architecture: bpf2go's names, and Inspektor Gadget's.
_NAMED = {"x86_64": ("x86", "amd64"), "arm64": ("arm64",), "s390x": ("s390", "s390x")}
_ENDS = {
    arch: tuple(f"_{name}{end}" for name in names for end in ("_bpfel.o", "_bpfeb.o", ".o"))
    for arch, names in _NAMED.items()
}


def collect(arch: Architecture = DEFAULT) -> list[Foreign]:
    """Return their objects for an architecture, each content once.

    Raises CalledProcessError where a module cannot be had.
    """
    others = tuple(end for name, ends in _ENDS.items() if name != arch.name for end in ends)
    objects: dict[bytes, Foreign] = {}
    for module in MODULES:
        folder = _download(module)
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".o", ".elf") and p.is_file()):
            if not path.name.endswith(others):
                for data in filter(partial(is_of, arch), embedded.carve(path.read_bytes())):
                    name = f"{module.rpartition('/')[2]} {path.relative_to(folder)}"
                    objects.setdefault(data, Foreign(name, data))
    return list(objects.values())


def _download(module: str) -> Path:
    """Return the folder of a module, which Go checks against its checksum database."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["go", "mod", "download", "-json", module]
        done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE)
    return Path(json.loads(done.stdout)["Dir"])
