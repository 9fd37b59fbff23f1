"""Each file has a count of its own, under whichever name and descriptor it is opened."""

import os


def check(obj):
    """Open one file by two names, another once; ask by a descriptor that was open before."""
    files = obj.maps["files"]
    for name in ("/tmp/one", "/tmp/other", "/tmp/untouched"):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    os.link("/tmp/one", "/tmp/link")
    one, other, untouched = (os.open(f"/tmp/{name}", os.O_RDONLY) for name in ("one", "other", "untouched"))
    obj.globals["ek_pid"] = os.getpid()
    for name in ("one", "link", "one", "other"):
        os.close(os.open(f"/tmp/{name}", os.O_RDONLY))
    obj.globals["ek_pid"] = 0
    if not obj.programs["on_open"].attached:
        assert files.lookup(one) is None, "a file has storage without the program"
        return {"opened": obj.globals["ek_hits"]}
    for descriptor, times in ((one, 3), (other, 1)):
        found = files.lookup(descriptor)
        assert found == {"inode": os.fstat(descriptor).st_ino, "times": times}, f"{found}, opened {times} times"
    assert files.lookup(untouched) is None, "a file that was not opened has storage"
    files.delete(one)
    assert files.lookup(one) is None, "storage is there after it was deleted"
    for descriptor in (one, other, untouched):
        os.close(descriptor)
    return {"opened": obj.globals["ek_hits"]}
