"""Compiled BPF objects that others ship in Debian packages: found in package files, or carved out of executables."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from everykernel.kernels import debian

# Packages that carry BPF objects, plain or as skeletons inside executables and libraries.
PACKAGES = (
    ("trixie", "libbpf-tools"),
    ("bookworm", "libbpf-tools"),
    ("trixie", "systemd"),
    ("bookworm", "systemd"),
    ("trixie", "udev"),
    ("trixie", "xdp-tools"),
    ("bookworm", "xdp-tools"),
    ("trixie", "libxdp1"),
    ("trixie", "suricata"),
    ("trixie", "ir-keytable"),
    ("trixie", "udev-hid-bpf"),
    ("trixie", "libbpftune0"),
    ("trixie", "bpftool"),
    ("trixie", "pcp"),
    ("trixie", "mimic"),
    ("trixie", "qemu-system-x86"),
    ("trixie", "opensnitch-ebpf-modules"),
    ("trixie", "golang-github-cilium-ebpf-dev"),
)

ENOUGH = 60  # objects of others that are compared on each kernel, at least

_MAGIC = re.compile(rb"\x7fELF\x02[\x01\x02]\x01")
_EM_BPF = 247
_EHDR = {"<": struct.Struct("<HHIQQQIHHHHHH"), ">": struct.Struct(">HHIQQQIHHHHHH")}
_SHDR = {"<": struct.Struct("<IIQQQQIIQQ"), ">": struct.Struct(">IIQQQQIIQQ")}
_SHT_NOBITS = 8


@dataclass(frozen=True)
class Foreign:
    """One object: ``name`` says where it is from (``libbpf-tools 0.31 usr/sbin/execsnoop``); ``own`` ones are ours."""

    name: str
    data: bytes
    own: bool = False


def carve(data: bytes) -> Iterator[bytes]:
    """Yield each relocatable BPF ELF inside ``data``, from its magic to the end of its last section."""
    for found in _MAGIC.finditer(data):
        start = found.start()
        order = "<" if data[start + 5] == 1 else ">"
        header = data[start + 16 : start + 64]
        if len(header) < 48:
            continue
        kind, machine, _, _, _, shoff, *_, shentsize, shnum, _ = _EHDR[order].unpack(header)
        table = start + shoff
        if (kind, machine, shentsize) != (1, _EM_BPF, 64) or table + shnum * 64 > len(data):
            continue
        end = shoff + shnum * 64
        for at in range(table, table + shnum * 64, 64):
            _, type_, _, _, offset, size, *_ = _SHDR[order].unpack(data[at : at + 64])
            if type_ != _SHT_NOBITS:
                end = max(end, offset + size)
        if start + end <= len(data):
            yield data[start : start + end]


def collect(archive: debian.Archive) -> tuple[list[Foreign], list[str]]:
    """Fetch the packages and return their objects, each content once, and a note for each package without any."""
    objects: dict[str, Foreign] = {}
    notes = []
    for suite, package in PACKAGES:
        entry = archive.package(suite, package, "amd64")
        if entry is None:
            notes.append(f"{package}: not in {suite}")
            continue
        before = len(objects)
        for member, content in debian.unpack(archive.fetch(entry)):
            if content is None or member.size < 64:
                continue
            for data in carve(content.read()):
                digest = hashlib.sha256(data).hexdigest()
                objects.setdefault(digest, Foreign(f"{package} {entry.version} {member.name}", data))
        if len(objects) == before:
            notes.append(f"{package} {entry.version}: no object of its own")
    return list(objects.values()), notes
