"""Compiled BPF objects that others ship in Debian packages: found in package files, or carved out of executables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from everykernel.kernels import debian
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

ENOUGH = 60  # objects of others that are compared on each kernel, at least


@dataclass(frozen=True)
class Foreign:
    """One object: ``name`` says where it is from (``libbpf-tools 0.31 usr/sbin/execsnoop``); ``own`` ones are ours."""

    name: str
    data: bytes
    own: bool = False


def collect(archive: debian.Archive, arch: str = "amd64") -> tuple[list[Foreign], list[str]]:
    """Fetch the packages for an architecture and return their objects, each content once, and a note for each package
    without any.
    """
    objects: dict[str, Foreign] = {}
    notes = []
    for suite, package in PACKAGES:
        entry = archive.package(suite, package, arch)
        if entry is None:
            notes.append(f"{package}: not in {suite}")
            continue
        before = len(objects)
        for member, content in debian.unpack(archive.fetch(entry)):
            if content is None or member.size < 64:
                continue
            for data in embedded.carve(content.read()):
                digest = hashlib.sha256(data).hexdigest()
                objects.setdefault(digest, Foreign(f"{package} {entry.version} {member.name}", data))
        if len(objects) == before:
            notes.append(f"{package} {entry.version}: no object of its own")
    return list(objects.values()), notes
