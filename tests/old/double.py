"""A machine whose kernel answers as an older one: what is behind pointers, which no seccomp filter sees.

What the older kernel does not know is refused with its errno; all else goes to the real kernel. Helpers that it does
not have become calls of none, so that only programs that reach them are refused, and their numbers are put right in the
log. Jumps by half a register, functions in programs and loops are refused before the verifier looks, reached or not.

This module is run in guests: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from tests.old.table import Release

from everykernel.btf import Btf, kinds
from everykernel.load.system import abi
from everykernel.load.system.block import Fields
from everykernel.load.system.door import Uname
from everykernel.load.system.errnos import failure
from everykernel.load.system.local import Local

_NONE = 1 << 24  # added to a helper's number
_SAID = re.compile(rb"unknown#(\d+)")
_KPROBE, _CHECKED = 2, (9, 18, 25)  # program types; those whose expected attach type the kernel looks at
_HIDDEN = ("/sys/kernel/btf/",)
_SEMAPHORES = ("/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset",)
_PMU = ("/sys/bus/event_source/devices/kprobe/", "/sys/bus/event_source/devices/uprobe/")


class Old(Local):
    """This machine as an older release has it.

    Args:
        release: which.
        backports: what its vendor brought back: ``("map", number)``, ``("helper", number)``, ``("program", number)``.
    """

    def __init__(self, release: Release, backports: frozenset[tuple[str, int]] = frozenset()) -> None:
        super().__init__()
        self._release, self._backports = release, backports

    @property
    def uname(self) -> Uname:
        """The real one but for the release and version."""
        there = os.uname()
        name, release = self._release.name, f"{self._release.name}.0-everykernel"
        return Uname(there.sysname, there.nodename, release, f"#1 SMP Linux {name}", there.machine)

    def read(self, path: str) -> bytes:
        """Return what a file holds, where the older kernel has it."""
        if not self.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return super().read(path)

    def exists(self, path: str) -> bool:
        """Whether the older kernel has a file."""
        hidden = [*_HIDDEN, *(() if self._release.semaphores else _SEMAPHORES)]
        hidden += () if self._release.probe_pmu else _PMU
        return not path.startswith(tuple(hidden)) and super().exists(path)

    def bpf(self, command: int, attributes: Fields) -> int:
        """Call bpf(2) as the older kernel has it."""
        error, _, result = self._call(command, attributes)
        if error:
            raise failure(error)
        return result

    def bpf_fields(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...]]:
        """Call bpf(2) as the older kernel has it; return errno and fields."""
        error, fields, _ = self._call(command, attributes)
        return error, fields

    def _call(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...], int]:
        error = self._refusal(command, attributes)
        if error:
            return error, attributes[1:], -1
        if command == abi.OBJ_GET_INFO_BY_FD:
            attributes = self._shorter(attributes)
        if command != abi.PROG_LOAD:
            return self._real(command, attributes)
        words = self._eager(attributes)
        if words:
            self._say(attributes, words)
            return errno.EINVAL, attributes[1:], -1
        found = self._real(command, self._without_helpers(attributes))
        self._put_right(attributes)
        return found

    def _real(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...], int]:
        if command in (abi.OBJ_GET_INFO_BY_FD, abi.PROG_TEST_RUN) or 23 <= command <= 27 or command in (11, 12):
            error, fields = super().bpf_fields(command, attributes)
            return error, fields, -1 if error else 0
        try:
            return 0, attributes[1:], super().bpf(command, attributes)
        except OSError as e:
            return e.errno or errno.EINVAL, attributes[1:], -1

    def _refusal(self, command: int, attributes: Fields) -> int:
        """Return the errno with which the older kernel refuses an attribute before all else, 0 if it does not."""
        release, packed = self._release, bytes(self._packed(attributes, []))
        if any(packed[release.attr :]):
            return errno.E2BIG
        if command > release.command or any(packed[release.ends.get(command, release.attr) :]):
            return errno.EINVAL
        if command == abi.MAP_CREATE:
            type_, flags = attributes[1], attributes[5]
            known = type_ <= release.map or ("map", type_) in self._backports
            return 0 if known and not flags & ~release.map_flags else errno.EINVAL
        if command == abi.PROG_ATTACH:
            more = not release.kind and attributes[4] & ~1  # BPF_F_ALLOW_OVERRIDE
            return errno.EINVAL if attributes[3] > release.attach or more else 0
        if command == abi.BTF_LOAD:
            return 0 if self._takes(bytes(attributes[1])) else errno.EINVAL
        return self._refused_program(attributes) if command == abi.PROG_LOAD else 0

    def _takes(self, data: bytes) -> bool:
        """Whether the older kernel knows all kinds of a BTF; of 5.4 and before, no function is global."""
        words, offsets = Btf.parse(data, name="loaded").words()
        infos = [words[at + 1] for at in offsets]
        kinds_known = all(info >> 24 & 0x1F <= self._release.kind for info in infos)
        return kinds_known and not any(info >> 24 & 0x1F == kinds.FUNC and info & 0xFFFF for info in infos)

    def _refused_program(self, attributes: Fields) -> int:
        release, program = self._release, attributes[1:]
        type_, count, version, flags, expected = program[0], program[1], program[7], program[8], program[11]
        if flags & ~release.program_flags:
            return errno.EINVAL
        if not 0 < count <= release.insns:
            return errno.E2BIG
        if release.versioned and type_ == _KPROBE and version != self._version():
            return errno.EINVAL
        known = type_ <= release.program or ("program", type_) in self._backports
        return 0 if known and not (expected > release.attach and type_ in _CHECKED) else errno.EINVAL

    def _version(self) -> int:
        major, minor = map(int, self._release.name.split("."))
        return (major << 16) + (minor << 8)

    def _eager(self, attributes: Fields) -> bytes:
        """Return what the older kernel says to an instruction that it does not know, b"" where it knows them all."""
        code, release = attributes[3], self._release
        for at in range(0, len(code), 8):
            opcode, source = code[at], code[at + 1] >> 4
            if opcode == 0x18 and source > release.pseudo:
                return b"unrecognized bpf_ld_imm64 insn\n"
            if opcode == 0x85 and source == 1 and not release.calls:
                return b"BPF_CALL uses reserved fields\n"
            if opcode & 7 == 6 and not release.jmp32:
                return b"unknown insn class 6\n"
        edge = None if release.loops else _back_edge(code)
        return b"back-edge from insn %d to %d\n" % edge if edge else b""

    def _say(self, attributes: Fields, words: bytes) -> None:
        log, size = attributes[7], attributes[6]
        if size:
            log[0 : len(words) + 1] = words + b"\0"

    def _without_helpers(self, attributes: Fields) -> Fields:
        code = bytearray(attributes[3])
        for at in range(0, len(code), 8):
            if code[at] == 0x85 and not code[at + 1] >> 4:
                number = int.from_bytes(code[at + 4 : at + 8], "little")
                if self._release.helper < number < _NONE and ("helper", number) not in self._backports:
                    code[at + 4 : at + 8] = (number + _NONE).to_bytes(4, "little")
        return (*attributes[:3], code, *attributes[4:])

    def _put_right(self, attributes: Fields) -> None:
        log, size = attributes[7], attributes[6]
        if not size or log.find(b"unknown#") < 0:
            return
        text = bytes(log[: log.find(b"\0")])
        right = _SAID.sub(lambda m: b"unknown#%d" % (int(m[1]) - (_NONE if _NONE < int(m[1]) < 2 * _NONE else 0)), text)
        log[0 : len(text)] = right.ljust(len(text), b"\0")

    def _shorter(self, attributes: Fields) -> Fields:
        """Ask for no more of what is known of a program or map than the older kernel tells."""
        kind = str(Path(f"/proc/self/fd/{attributes[1]}").readlink())
        most = {"anon_inode:bpf-prog": self._release.program_info, "anon_inode:bpf-map": self._release.map_info}
        return (*attributes[:2], min(attributes[2], most.get(kind, attributes[2])), *attributes[3:])


def _back_edge(code: bytes) -> Optional[tuple[int, int]]:
    """Return the first edge, in the order of Linux v4.18's check_cfg (kernel/bpf/verifier.c), that closes a loop."""
    path, on_path, seen = [(0, _next(code, 0))], {0}, {0}
    while path:
        at, following = path[-1]
        to = next(following, None)
        if to is None:
            path.pop()
            on_path.remove(at)
        elif to in on_path:
            return at, to
        elif to not in seen and to < len(code) // 8:
            seen.add(to)
            on_path.add(to)
            path.append((to, _next(code, to)))
    return None


def _next(code: bytes, at: int) -> Iterator[int]:
    """Yield the instructions that one leads to."""
    opcode, source = code[8 * at], code[8 * at + 1] >> 4
    offset = int.from_bytes(code[8 * at + 2 : 8 * at + 4], "little", signed=True)
    if opcode & 7 not in (5, 6):
        yield at + 1
    elif opcode == 0x85:
        yield at + 1
        if source == 1:
            yield at + 1 + int.from_bytes(code[8 * at + 4 : 8 * at + 8], "little", signed=True)
    elif opcode == 0x05:
        yield at + 1 + offset
    elif opcode != 0x95:
        yield from (at + 1, at + 1 + offset)
