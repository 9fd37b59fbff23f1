"""Write cpio archives as the kernel's initramfs unpacker reads them (the "newc" format).

The format: Linux Documentation/driver-api/early-userspace/buffer-format.rst. Archives concatenate when each is
padded to 512 bytes. The bytes depend on the members alone: no times, no owners, inode numbers in order.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass

_TRAILER = "TRAILER!!!"
_BLOCK = 512


@dataclass(frozen=True)
class Member:
    """One member: its path from the root without a leading slash, mode (type and permissions), bytes, device."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(path: str, data: bytes, *, executable: bool = False) -> Member:
    """Return a regular file."""
    return Member(path, stat.S_IFREG | (0o755 if executable else 0o644), data)


def folder(path: str) -> Member:
    """Return a folder."""
    return Member(path, stat.S_IFDIR | 0o755)


def link(path: str, target: str) -> Member:
    """Return a symbolic link."""
    return Member(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int) -> Member:
    """Return a character device that only root may use."""
    return Member(path, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(members: list[Member]) -> bytes:
    """Return one archive of these members, sorted by path, the folders that they need before them."""
    found = {member.path: member for member in members}
    for path in list(found):
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            found.setdefault(parent, folder(parent))
    out = bytearray()
    for number, path in enumerate(sorted(found), 1):
        _append(out, found[path], number)
    _append(out, Member(_TRAILER, 0), 0)
    out += bytes(-len(out) % _BLOCK)
    return bytes(out)


def _append(out: bytearray, member: Member, inode: int) -> None:
    name = member.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(member.mode) else 1
    numbers = (inode, member.mode, 0, 0, links, 0, len(member.data), 0, 0, *member.device, len(name), 0)
    out += b"070701" + b"".join(b"%08X" % number for number in numbers)
    out += name
    out += bytes(-len(out) % 4)
    out += member.data
    out += bytes(-len(out) % 4)
