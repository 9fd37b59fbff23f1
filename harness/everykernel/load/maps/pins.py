"""Pinned maps: reused where a pin of the same shape is there, pinned where it is not (libbpf's PIN_BY_NAME, pin paths).

A map that a tool puts in the place of a declared one (bpf_map__reuse_fd) may have any shape.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from everykernel import wire
from everykernel.load.system import abi
from everykernel.load.system.block import Block, text
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from everykernel.load.maps.map import Map
    from everykernel.load.system.door import System

HELD = "fd:"  # of `MapSpec.reuse`: a map that this process holds
ROOT = "/sys/fs/bpf"  # libbpf's default pin_root_path


def reuse(map_: Map) -> bool:
    """Take the pinned map of a map's name, if there is one; return whether that settles it.

    A pin of another type or size is a refusal, as in libbpf (bpf_object__reuse_map).
    """
    path = _path(map_)
    try:
        fd = map_.system.bpf(abi.OBJ_GET, abi.pin(path, 0))
    except OSError as e:
        if e.errno == errno.ENOENT:
            return False
        _refuse(map_, e.errno or 0, f"its pin {_text(path)} cannot be opened")
        return True
    found = _shape(map_.system, fd)
    wanted = _wanted(map_)
    if found != wanted:
        map_.system.close(fd)
        _refuse(map_, errno.EINVAL, f"its pin {_text(path)} is a map of another shape: {found} instead of {wanted}")
        return True
    map_.fd = fd
    map_.record["note"] = f"reused from {_text(path)}"
    return True


def replace(map_: Map) -> None:
    """Take a pinned map for a declared one, with its type and sizes, as bpf_map__reuse_fd does."""
    if map_.spec.reuse.startswith(HELD):
        _share(map_, int(map_.spec.reuse[len(HELD) :]))
        return
    path = text(map_.spec.reuse)
    try:
        fd = map_.system.bpf(abi.OBJ_GET, abi.pin(path, 0))
    except OSError as e:
        _refuse(map_, e.errno or 0, f"the map {_text(path)} that it is to be cannot be opened")
        return
    map_.become(fd, *_shape(map_.system, fd))
    map_.record["note"] = f"reused from {_text(path)}, as the contract says"


def _share(map_: Map, held: int) -> None:
    """Take the map of an object that was loaded before; one of another shape is a refusal, as a pin's is."""
    found, wanted = _shape(map_.system, held), _wanted(map_)
    if found != wanted:
        _refuse(map_, errno.EINVAL, f"an object before has it in another shape: {found} instead of {wanted}")
        return
    map_.fd = map_.system.duplicate(held)
    map_.record["note"] = "shared with an object before"


def pin(map_: Map) -> None:
    """Pin a map that was created, its folders made where they are missing, as tools that name a path do it."""
    path = _path(map_)
    try:
        folder = _text(path).rpartition("/")[0]
        if map_.spec.pin:
            map_.system.make_folders(folder)
        map_.system.bpf(abi.OBJ_PIN, abi.pin(path, map_.fd))
    except OSError as e:
        _refuse(map_, e.errno or 0, f"it cannot be pinned at {_text(path)}")
        return
    map_.record["note"] = f"pinned at {_text(path)}"


def _path(map_: Map) -> bytearray:
    name = map_.name.replace(".", "_")  # bpffs takes no dots
    return text(map_.spec.pin or f"{ROOT}/{name}")


def _text(path: bytearray) -> str:
    return path[:-1].decode("utf-8", "replace")


def _wanted(map_: Map) -> tuple[int, int, int, int, int]:
    """Return the shape that a map is to have."""
    spec, record = map_.spec, map_.record
    return spec.type, record["key_size"], record["value_size"], record["max_entries"], spec.flags


def _shape(system: System, fd: int) -> tuple[int, int, int, int, int]:
    """Return type, key size, value size, entries and flags of a map (struct bpf_map_info)."""
    info = Block("6I", *6 * [0])
    system.bpf(abi.OBJ_GET_INFO_BY_FD, abi.info(fd, info, 24))
    type_, _, key_size, value_size, entries, flags = info.fields
    return type_, key_size, value_size, entries, flags


def _refuse(map_: Map, number: int, why: str) -> None:
    record = map_.record
    record["status"], record["code"], record["errno"] = wire.FAILED, "map-create-failed", error_name(number)
    record["message"] = f"map {map_.name!r}: {error_name(number)}: {why}"
