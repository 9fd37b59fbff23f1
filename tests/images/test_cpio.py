"""Archives are what the kernel unpacks: newc, padded so that they concatenate, the same bytes every time."""

from __future__ import annotations

import stat

from everykernel.images import cpio


def members(archive: bytes) -> dict[str, tuple[int, int, bytes]]:
    """Read an archive as the kernel does: path to (mode, device, bytes)."""
    found: dict[str, tuple[int, int, bytes]] = {}
    position = 0
    while True:
        assert archive[position : position + 6] == b"070701"
        fields = [int(archive[position + 6 + i * 8 : position + 14 + i * 8], 16) for i in range(13)]
        name_at = position + 110
        name = archive[name_at : name_at + fields[11] - 1].decode()
        data_at = name_at + fields[11] + -(name_at + fields[11]) % 4
        data = archive[data_at : data_at + fields[6]]
        position = data_at + fields[6] + -(data_at + fields[6]) % 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], fields[9] << 8 | fields[10], data)


def test_every_kind_of_member() -> None:
    """Files, links, devices and folders keep mode and content, and come after the folders that they are in."""
    archive = cpio.archive(
        [
            cpio.file("usr/bin/program", b"\x7fELF", executable=True),
            cpio.file("etc/text", b"odd"),
            cpio.link("usr/bin/alias", "program"),
            cpio.character_device("dev/console", 5, 1),
            cpio.folder("proc"),
        ]
    )
    found = members(archive)
    assert list(found) == [
        *("dev", "dev/console", "etc", "etc/text", "proc", "usr", "usr/bin", "usr/bin/alias", "usr/bin/program"),
    ]
    assert found["usr/bin/program"] == (stat.S_IFREG | 0o755, 0, b"\x7fELF")
    assert found["etc/text"] == (stat.S_IFREG | 0o644, 0, b"odd")
    assert found["usr/bin/alias"] == (stat.S_IFLNK | 0o777, 0, b"program")
    assert found["dev/console"] == (stat.S_IFCHR | 0o600, 5 << 8 | 1, b"")
    assert found["usr"][0] == stat.S_IFDIR | 0o755


def test_archives_concatenate() -> None:
    """Each is padded to 512 bytes: the kernel finds the next one behind it."""
    first, second = cpio.archive([cpio.file("a", b"1")]), cpio.archive([cpio.file("b", b"22222")])
    assert len(first) % 512 == len(second) % 512 == 0
    assert members(first + second) == {"a": (stat.S_IFREG | 0o644, 0, b"1")}
    assert members((first + second)[len(first) :])["b"][2] == b"22222"


def test_the_same_members_give_the_same_bytes() -> None:
    """Order does not matter, and there is no time in it."""
    one, other = cpio.file("x/one", b"1"), cpio.file("x/other", b"2")
    assert cpio.archive([one, other]) == cpio.archive([other, one])
