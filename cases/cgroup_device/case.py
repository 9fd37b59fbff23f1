"""The device that is forbidden cannot be opened, others can; without the program it can."""

from pathlib import Path


def check(obj):
    """Open two devices, and one of them again when the program is gone."""
    with Path("/dev/null").open("rb"):
        pass
    try:
        Path("/dev/zero").open("rb").close()
    except PermissionError:
        pass
    else:
        raise AssertionError("/dev/zero was opened")
    assert obj.globals["ek_hits"] == 1, f"{obj.globals['ek_hits']} openings forbidden"
    assert obj.globals["allowed"] >= 1
    obj.detach()
    Path("/dev/zero").open("rb").close()
    return {"allowed": obj.globals["allowed"]}
