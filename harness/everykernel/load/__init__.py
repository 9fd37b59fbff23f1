"""The loader: objects into the running kernel. The only place that makes bpf(2) and perf_event_open(2) calls.

with kernel_btf() as kernel, load(object.read(data, "prog.bpf.o"), kernel) as loaded:
    loaded.require()
    loaded.attach()
    print(loaded.globals["hits"], loaded.maps["counts"].items())

docs/library.md has more.
"""

from everykernel.load.collection import Collection, load_together
from everykernel.load.kernel.types import KernelTypes, kernel_btf
from everykernel.load.loaded import LoadedObject, Program
from everykernel.load.loader import load
from everykernel.load.maps.map import Map

__all__ = ["Collection", "KernelTypes", "LoadedObject", "Map", "Program", "kernel_btf", "load", "load_together"]
