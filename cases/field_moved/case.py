"""The loopback device's fields are what sysfs says, also after they change."""

import os
from pathlib import Path

LOOPBACK = Path("/sys/class/net/lo")


def check(obj):
    """Read the device through the program at two MTUs and compare with /sys/class/net/lo."""
    obj.globals["ek_pid"] = os.getpid()
    seen = []
    for mtu in (1234, 65536):
        (LOOPBACK / "mtu").write_text(f"{mtu}\n")
        os.getpgid(0)
        values = obj.globals
        found = {key: values[key] for key in ("mtu", "flags", "ifindex")}
        truth = {key: int((LOOPBACK / key).read_text(), 0) for key in found}
        assert found == truth, f"the program reads {found}, sysfs {truth}"
        assert truth["mtu"] == mtu
        assert values["name"] == "lo"
        seen.append(found)
    return {"seen": seen, "mtu_offset": obj.globals["mtu_offset"]}
