"""What left a cgroup is counted in its storage, in each socket's own, and only there; a task is in its own cgroup."""

import os
import socket
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def check(obj):
    """Move between two cgroups and send datagrams from two sockets."""
    inside, outside = ROOT / "inside", ROOT / "outside"
    for folder in (inside, outside):
        folder.mkdir()
    for program, target in (("on_packet", str(inside)), ("on_call", "")):
        record = obj.programs[program].attach(target)
        assert record["status"] == "passed", record["message"]
    receiver, first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
    receiver.bind(("127.0.0.1", 0))
    _enter(inside)
    with receiver, first, second:
        mine, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for sender, count in ((mine, 3), (other, 5), (first, 2)):  # the last is of the cgroup that it was made in
            for _ in range(count):
                sender.sendto(b"datagram", receiver.getsockname())
        stored = [obj.maps["of_socket"].lookup(s.fileno()) for s in (mine, other, first)]
        assert stored == [3, 5, None], f"the sockets' own counts are {stored}"
        mine.close()
        other.close()
    [(key, total)], [(same, parts)] = obj.maps["of_cgroup"].items(), obj.maps["of_processors"].items()
    assert key == same
    assert key % (1 << 32) == inside.stat().st_ino % (1 << 32)  # a 32-bit kernel's inode numbers are half of it
    assert total == 8, f"{total} packets in the cgroup's storage"
    assert sum(parts) == 8, f"{parts} packets by processor"
    assert obj.globals["bytes"] == 8 * (20 + 8 + len(b"datagram")), f"{obj.globals['bytes']} bytes"
    _where(obj, inside, outside)
    return {"packets": total, "by processor": parts}


def _where(obj, inside, outside):
    """The program finds this process in the cgroup that the array holds, and not in the other."""
    for index, folder in enumerate((inside, outside)):
        descriptor = os.open(folder, os.O_RDONLY)
        obj.maps["cgroups"].update(index, descriptor)
        os.close(descriptor)
    obj.globals["ek_pid"] = os.getpid()
    for folder, expected in ((inside, [1, 0]), (outside, [0, 1])):
        _enter(folder)
        os.getpgid(0)
        found = list(obj.globals["under"])
        assert found == expected, f"in {folder}: {found}"
    _enter(ROOT)


def _enter(folder):
    (folder / "cgroup.procs").write_text(str(os.getpid()))
