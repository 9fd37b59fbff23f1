"""What the far end says of a machine is what the near one does: the program runs here, beside this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from everykernel.load.system.door import System
from everykernel.load.system.local import Local
from everykernel.remote.system import Remote

HERE = Local()


def _outcome(ask: Callable[[System], object], system: System) -> object:
    try:
        return ask(system)
    except OSError as e:
        return type(e), e.errno, e.strerror, e.filename


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.uname,
        lambda s: s.cpus(),
        lambda s: s.cpus("online"),
        lambda s: s.architecture.name,
        lambda s: s.page_size,
        lambda s: s.byteorder,
        lambda s: s.read("/proc/version"),
        lambda s: s.read("/no/such/file"),
        lambda s: s.read("/proc"),
        lambda s: s.text("/proc/sys/kernel/ostype"),
        lambda s: s.write("/no/such/file", "x"),
        lambda s: s.exists("/proc"),
        lambda s: s.exists("/no/such/file"),
        lambda s: s.is_file("/proc"),
        lambda s: s.is_file("/proc/version"),
        lambda s: s.is_file("with\0nul"),
        lambda s: sorted(s.glob("/lib/*-linux-gnu*")),
        lambda s: sorted(s.glob("/proc/sys/*")),
        lambda s: s.glob("/no/such/*"),
        lambda s: s.make_folder("/proc/x"),
        lambda s: s.make_folders("/proc"),
        lambda s: s.make_folders("/proc/version"),
        lambda s: s.remove_folder("/no/such/folder"),
        lambda s: s.open("/proc/version", folder=True),
        lambda s: s.netlink.index("lo"),
        lambda s: s.netlink.index("nosuch0"),
        lambda s: s.netlink.index("a name that is far too long"),
        lambda s: s.netlink.set_option(0, 50, 0),
        lambda s: s.close(12345),
        lambda s: s.duplicate(12345),
        lambda s: s.ioctl(12345, ("$", 0, 0)),
        lambda s: s.map(12345, 4096),
    ],
)
def test_both_ends_say_the_same(there: Remote, ask: Callable[[System], object]) -> None:
    """Answers, and errors with their numbers, words and paths."""
    assert _outcome(ask, there) == _outcome(ask, HERE)


def test_a_file_to_read_here_and_there(there: Remote) -> None:
    """A file is had whole, and closed there before it is read."""
    with there.file("/proc/version") as far, HERE.file("/proc/version") as near:
        assert (far.seek(6), far.read(5)) == (near.seek(6), near.read(5))


def test_descriptors(there: Remote) -> None:
    """A descriptor is the program's: opened, read on, doubled, waited for and closed there."""
    fd = there.open("/proc/version")
    assert there.receive(fd, 5) == b"Linux"
    other = there.duplicate(fd)
    there.close(fd)
    there.wait([other], 100)
    assert there.receive(other, 1) == b" "
    there.close(other)
    with pytest.raises(OSError, match="Bad file descriptor"):
        there.receive(other, 1)


def test_writing(there: Remote, tmp_path: Path) -> None:
    """Files are written, added to, and made with their mode; folders are made and removed."""
    folder = tmp_path / "a" / "b"
    there.make_folders(str(folder))
    there.make_folders(str(folder))
    path = folder / "file"
    data = os.urandom(100) + b"x" * (9 << 20)
    there.push(str(path), data, 0o640)
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o640
    there.write(str(path), "one\n")
    there.write(str(path), "two\udcff", append=True)
    assert path.read_bytes() == b"one\ntwo\xff"
    with pytest.raises(OSError, match="not empty"):
        there.remove_folder(str(folder))
    path.unlink()
    there.remove_folder(str(folder))
    assert not folder.exists()


def test_memory(there: Remote, tmp_path: Path) -> None:
    """Memory is read, written and searched there; what lies outside of it is none of it, as with mmap."""
    room = there.room(1 << 20)
    room[5:9] = b"abcd"
    room[4096:4104] = bytes(range(8))
    assert (room[0:12], room[(1 << 20) - 2 : 1 << 21]) == (b"\0" * 5 + b"abcd\0\0\0", b"\0\0")
    assert (room[4096:4104], room[4100:4104]) == (bytes(range(8)), bytes(range(4, 8)))
    assert (room.find(b"cd"), room.find(b"cd\1"), room.find(b"\7")) == (7, -1, 4103)
    with pytest.raises(IndexError):
        room[0:4] = b"abcde"
    room.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        room[0:4]
    path = tmp_path / "file"
    path.write_bytes(b"x" * 8192)
    fd = there.duplicate(there.open(str(path)))
    mapped = there.map(fd, 4096, 4096, write=False)
    path.write_bytes(b"x" * 4096 + b"y" * 4096)
    assert mapped[0:2] == b"yy"
    mapped.close()


def test_many_rooms(there: Remote) -> None:
    """Memories have numbers that are used again."""
    rooms = [there.room(4096) for _ in range(100)]
    assert len({room.mapped for room in rooms}) == 100
    for room in rooms:
        room.close()
    again = there.room(4096)
    assert again.mapped in {room.mapped for room in rooms}
    again.close()


def test_a_request_that_is_too_large(there: Remote) -> None:
    """What no program takes is refused here, as the kernel refuses what is too large."""
    with pytest.raises(OSError, match="too much for one request"):
        there.send(1, bytes(17 << 20))
    assert there.pid > 0
