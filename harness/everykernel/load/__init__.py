"""The loader: objects into the running kernel. The only place that makes bpf(2) and perf_event_open(2) calls.

with kernel_btf() as kernel, load(object.read(data, "prog.bpf.o"), kernel) as loaded:
    loaded.require()
    loaded.attach()
    print(loaded.globals["hits"], loaded.maps["counts"].items())

docs/library.md has more. What is here is imported when it is first asked for (PEP 562): the host's commands look up
tables of the rooms below, and load nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everykernel.load.collection import Collection, load_together
    from everykernel.load.kernel.types import KernelTypes, kernel_btf
    from everykernel.load.loaded import LoadedObject, Program
    from everykernel.load.loader import load
    from everykernel.load.maps.map import Map

__all__ = ["Collection", "KernelTypes", "LoadedObject", "Map", "Program", "kernel_btf", "load", "load_together"]

_HOMES = {
    "Collection": "collection", "load_together": "collection", "KernelTypes": "kernel.types",
    "kernel_btf": "kernel.types", "LoadedObject": "loaded", "Program": "loaded", "load": "loader", "Map": "maps.map",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
