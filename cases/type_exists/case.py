"""Existence and sizes of types are what the kernel's slab caches for them say."""

import os
from pathlib import Path

SLABS = Path("/sys/kernel/slab")


def check(obj):
    """Compare with /sys/kernel/slab, where each of these types has a cache of its own."""
    obj.globals["ek_pid"] = os.getpid()
    os.getpgid(0)
    values = obj.globals
    assert values["ek_hits"] == 1
    # inode_cache has a constructor, so it is never merged with other caches and its size is the type's own
    inode = int((SLABS / "inode_cache" / "object_size").read_text())
    assert values["inode_size"] == inode, f"struct inode has {values['inode_size']} bytes, its slab {inode}"
    exists = {name: bool(values[f"{name}_exists"]) for name in ("maple_node", "vma_lock", "no_such_type")}
    truth = {name: (SLABS / name).exists() for name in exists}
    assert exists == truth, f"the program says {exists}, the slabs {truth}"
    for name, there in exists.items():
        assert bool(values[f"{name}_size"]) == there, f"{name} has {values[f'{name}_size']} bytes"
    return {**exists, "inode_size": inode}
