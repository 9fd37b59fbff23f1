"""The loader: objects into the running kernel. The only place that makes bpf(2) and perf_event_open(2) calls.

kernel = kernel_btf()
with load(object.read(data, "prog.bpf.o"), kernel) as loaded:
    loaded.attach()
    print(loaded.globals["hits"], loaded.maps["counts"].items())
"""

from everykernel.load.kernel import KernelTypes, kernel_btf
from everykernel.load.loaded import LoadedObject, Program
from everykernel.load.loader import load
from everykernel.load.maps import Map

__all__ = ["KernelTypes", "LoadedObject", "Map", "Program", "kernel_btf", "load"]
