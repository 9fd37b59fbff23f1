"""The bpf(2) calls of a command: read from its memory when they begin, completed when they end.

Layouts: union bpf_attr of include/uapi/linux/bpf.h.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from everykernel import wire
from everykernel.load.system import abi
from everykernel.load.system.errnos import error_name
from everykernel.namedtuple import NamedTuple
from everykernel.object.maps import MAP_TYPES
from everykernel.object.sections import ATTACH_TYPES, PROGRAM_TYPES

Read = Callable[[int, int], bytes]  # bytes of the command's memory, by address and size
Names = Callable[[int], tuple[str, str]]  # name and type of the program of a descriptor, empty where it is none

COMMANDS = (
    "MAP_CREATE", "MAP_LOOKUP_ELEM", "MAP_UPDATE_ELEM", "MAP_DELETE_ELEM", "MAP_GET_NEXT_KEY", "PROG_LOAD", "OBJ_PIN",
    "OBJ_GET", "PROG_ATTACH", "PROG_DETACH", "PROG_TEST_RUN", "PROG_GET_NEXT_ID", "MAP_GET_NEXT_ID",
    "PROG_GET_FD_BY_ID", "MAP_GET_FD_BY_ID", "OBJ_GET_INFO_BY_FD", "PROG_QUERY", "RAW_TRACEPOINT_OPEN", "BTF_LOAD",
    "BTF_GET_FD_BY_ID", "TASK_FD_QUERY", "MAP_LOOKUP_AND_DELETE_ELEM", "MAP_FREEZE", "BTF_GET_NEXT_ID",
    "MAP_LOOKUP_BATCH", "MAP_LOOKUP_AND_DELETE_BATCH", "MAP_UPDATE_BATCH", "MAP_DELETE_BATCH", "LINK_CREATE",
    "LINK_UPDATE", "LINK_GET_FD_BY_ID", "LINK_GET_NEXT_ID", "ENABLE_STATS", "ITER_CREATE", "LINK_DETACH",
    "PROG_BIND_MAP", "TOKEN_CREATE", "PROG_STREAM_READ_BY_FD", "PROG_ASSOC_STRUCT_OPS",
)  # fmt: skip
"""The kernel's enum bpf_cmd, in order."""

_SIZE = 160  # bytes of an attribute that are read
_PATH = 256
_LOG_END = 64 << 10  # bytes of a log's beginning and of its end that are kept
_LOG_PART = 1 << 20  # bytes of a log that are read at once
_LOG_LIMIT = 32 << 20
_SMALL = 6  # instructions of a program that may be a probe
_PROBES = ("libbpf_", "feature_test", "probe_")  # what libbpf, cilium/ebpf and bpftool call theirs


class Begun(NamedTuple):
    """A call that was begun: what is known of it, and where its log will be."""

    call: wire.BpfCall
    log: tuple[int, int]  # address and size


def begin(command: int, address: int, size: int, read: Read, names: Names) -> Begun:
    """Return a call that is about to be made: its command, the address and size of its attribute."""
    name = COMMANDS[command] if command < len(COMMANDS) else str(command)
    call: wire.BpfCall = {"command": name}
    try:
        attribute = read(address, min(size, _SIZE))
    except (OSError, OverflowError):
        attribute = b""
    attribute = attribute.ljust(_SIZE, b"\0")
    log = (0, 0)
    if command == abi.MAP_CREATE:
        _map(call, attribute)
    elif command == abi.PROG_LOAD:
        log = _program(call, attribute)
    elif command == abi.BTF_LOAD:
        log = _at("Q", attribute, 8), _at("I", attribute, 20)
        call["probe"] = _at("I", attribute, 16) < 256
    elif command in (abi.OBJ_PIN, abi.OBJ_GET):
        call["name"] = _text(read, _at("Q", attribute, 0))
    elif command == abi.RAW_TRACEPOINT_OPEN:
        _of_program(call, names, _at("I", attribute, 8))
        call["attach"] = _text(read, _at("Q", attribute, 0))
    elif command in (abi.LINK_CREATE, abi.PROG_ATTACH, abi.PROG_DETACH):
        _of_program(call, names, _at("I", attribute, 0 if command == abi.LINK_CREATE else 4))
        call["attach"] = _named(ATTACH_TYPES, _at("I", attribute, 8))
    elif command == abi.PROG_TEST_RUN:
        _of_program(call, names, _at("I", attribute, 0))
    return Begun(call, log)


def end(begun: Begun, result: int, read: Read) -> wire.BpfCall:
    """Return a call that was made, with the errno that it gave and the log that the kernel wrote."""
    call = begun.call
    call["errno"] = error_name(-result) if result < 0 else None
    if call["errno"] == "EBADF":  # of a descriptor that never was one: libbpf asks so what the kernel knows
        call["probe"] = True
    if result < 0 and begun.log[1] and (log := _log(read, *begun.log)):
        call["log"] = log
    return call


def _map(call: wire.BpfCall, attribute: bytes) -> None:
    type_, key, value, entries, _ = struct.unpack_from("=5I", attribute)
    call["type"] = _named(MAP_TYPES, type_)
    call["key_size"], call["value_size"], call["max_entries"] = key, value, entries
    call["name"] = _string(attribute[28:44])
    call["probe"] = call["name"].startswith(_PROBES) or (not call["name"] and entries <= 1)


def _program(call: wire.BpfCall, attribute: bytes) -> tuple[int, int]:
    call["type"] = _named(PROGRAM_TYPES, _at("I", attribute, 0))
    call["insns"] = _at("I", attribute, 4)
    call["name"] = _string(attribute[48:64])
    expected, target = _at("I", attribute, 68), _at("I", attribute, 108)
    call["attach"] = _named(ATTACH_TYPES, expected) if expected or target else ""
    if target:
        call["attach"] += f" #{target}"
    call["probe"] = call["name"].startswith(_PROBES) or (not call["name"] and call["insns"] <= _SMALL)
    return _at("Q", attribute, 32), _at("I", attribute, 28)


def _of_program(call: wire.BpfCall, names: Names, descriptor: int) -> None:
    call["name"], call["type"] = names(descriptor)


def _log(read: Read, address: int, size: int) -> str:
    """Return a verifier's log, of a long one the beginning and the end."""
    first, last, length = b"", b"", 0
    try:
        while length < min(size, _LOG_LIMIT):
            part = read(address + length, min(_LOG_PART, size - length))
            text, ended, _ = part.partition(b"\0")
            first += text[: _LOG_END - len(first)] if len(first) < _LOG_END else b""
            last = (last + text)[-_LOG_END:]
            length += len(text)
            if ended or not part:
                break
    except (OSError, OverflowError):
        pass
    if length <= len(first):
        return first.decode("utf-8", "replace")
    left_out = max(0, length - 2 * _LOG_END)
    between = f"\n({left_out} characters left out)\n" if left_out else ""
    return first.decode("utf-8", "replace") + between + last[-(length - len(first)) :].decode("utf-8", "replace")


def _text(read: Read, address: int) -> str:
    try:
        return _string(read(address, _PATH))
    except (OSError, OverflowError):
        return ""


def _string(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _at(format_: str, data: bytes, offset: int) -> int:
    value: Any = struct.unpack_from(f"={format_}", data, offset)[0]
    return int(value)


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else str(number)
