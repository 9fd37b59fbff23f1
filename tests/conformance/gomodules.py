"""Compiled BPF objects that public Go modules carry beside their sources, from the module proxy, pinned by version."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from tests.conformance.foreign import Foreign

from everykernel.object import embedded

# Modules whose objects are committed (bpf2go) and that the proxy serves.
MODULES = (
    "github.com/cilium/ebpf@v0.22.0",
    "github.com/elastic/ebpfevents@v0.6.0",
    "github.com/inspektor-gadget/inspektor-gadget@v0.40.0",
)

_OTHERS = ("-eb.elf", "_bpfeb.o", "_arm64_bpfel.o", "_arm64.o")  # of another byte order or architecture


def collect() -> list[Foreign]:
    """Return their objects for x86_64, each content once; raise CalledProcessError where a module cannot be had."""
    objects: dict[bytes, Foreign] = {}
    for module in MODULES:
        folder = _download(module)
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".o", ".elf") and p.is_file()):
            if not path.name.endswith(_OTHERS):
                for data in embedded.carve(path.read_bytes()):
                    name = f"{module.rpartition('/')[2]} {path.relative_to(folder)}"
                    objects.setdefault(data, Foreign(name, data))
    return list(objects.values())


def _download(module: str) -> Path:
    """Return the folder of a module, which Go checks against its checksum database."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["go", "mod", "download", "-json", module]
        done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE)
    return Path(json.loads(done.stdout)["Dir"])
