"""Compiled BPF objects that others ship in Debian packages: found in package files, or carved out of executables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from everykernel.architectures import DEFAULT, Architecture
from everykernel.kernels import debian
from everykernel.kernels.download import NotThere
from everykernel.object import embedded

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

# Objects of others that are compared on each kernel, at least.
ENOUGH = 60
ENOUGH_ON = {"s390x": 10}  # Debian has no libbpf-tools for it


@dataclass(frozen=True)
class Foreign:
    """One object: ``name`` says where it is from (``libbpf-tools 0.31 usr/sbin/execsnoop``); ``own`` ones are ours."""

    name: str
    data: bytes
    own: bool = False


def enough(spec: str) -> int:
    """Return how many objects of others are compared on a kernel, at least."""
    return ENOUGH_ON.get(spec.partition("/")[2], ENOUGH)


def is_of(arch: Architecture, data: bytes) -> bool:
    """Whether an object has an architecture's byte order."""
    return data[5] == {"little": 1, "big": 2}[arch.byteorder]


def collect(archive: debian.Archive, arch: Architecture = DEFAULT) -> tuple[list[Foreign], list[str]]:
    """Fetch an architecture's packages and return their objects, each content once, and a note for each without any."""
    objects: dict[str, Foreign] = {}
    notes = []
    for suite, package in PACKAGES:
        entry = archive.package(suite, package, arch.debian)
        if entry is None:
            notes.append(f"{package}: not in {suite}")
            continue
        before = len(objects)
        try:
            path = archive.fetch(entry)
        except NotThere:
            notes.append(f"{package} {entry.version}: in the index of {suite} alone")
            continue
        for member, content in debian.unpack(path):
            if content is None or member.size < 64:
                continue
            for data in embedded.carve(content.read()):
                digest = hashlib.sha256(data).hexdigest()
                objects.setdefault(digest, Foreign(f"{package} {entry.version} {member.name}", data))
        if len(objects) == before:
            notes.append(f"{package} {entry.version}: no object of its own")
    return list(objects.values()), notes
