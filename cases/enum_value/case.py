"""Values and existence of hotplug states are what /sys/devices/system/cpu/hotplug/states lists."""

import os
from pathlib import Path

STATES = Path("/sys/devices/system/cpu/hotplug/states")  # lines "  24: block/mq:dead": the enum's value, and a name
NAMES = {
    "CPUHP_BLK_MQ_DEAD": "block/mq:dead",
    "CPUHP_PAGE_ALLOC_DEAD": "mm/page_alloc:dead",
    "CPUHP_PAGE_ALLOC": "mm/page_alloc:pcp",
    "CPUHP_BIO_DEAD": "block/bio:dead",
    "CPUHP_NO_SUCH_STATE": "no such state",
    "CPUHP_ONLINE": "online",
}


def check(obj):
    """Compare the enum of the kernel's BTF with the kernel's own list."""
    obj.globals["ek_pid"] = os.getpid()
    os.getpgid(0)
    values = obj.globals
    assert values["ek_hits"] == 1
    found = {name: values[f"{name}_value"] if values[f"{name}_exists"] else None for name in NAMES}
    lines = [line.partition(": ") for line in STATES.read_text().splitlines() if ": " in line]
    listed = {label: int(number) for number, _, label in lines}
    truth = {name: listed.get(label) for name, label in NAMES.items()}
    assert found == truth, f"the program says {found}, the kernel lists {truth}"
    return found
