"""A cgroup's program sees a sysctl read and written, and what it forbids is not written."""

from pathlib import Path

TTL = Path("/proc/sys/net/ipv4/ip_default_ttl")


def check(obj):
    """Read, write, be refused, read again."""
    before = int(TTL.read_text())
    write = before + 1
    _write(write)
    assert obj.globals["written"].strip() == str(write), f"saw {obj.globals['written']!r} written"
    try:
        _write(77)
    except PermissionError:
        pass
    else:
        raise AssertionError("77 was written")
    assert int(TTL.read_text()) == write
    seen = (obj.globals["reads"], obj.globals["writes"])
    assert seen[1] == 2, f"{seen[1]} writes seen"
    assert seen[0] >= 2, f"{seen[0]} reads seen"
    obj.detach()
    _write(before)
    assert (obj.globals["writes"]) == 2
    return {"reads": seen[0], "writes": seen[1]}


def _write(value):
    with TTL.open("wb", buffering=0) as file:  # a buffer would be written once more when it is closed
        file.write(b"%d" % value)
