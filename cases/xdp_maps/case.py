"""A frame that is led to the device comes back, one that is led to a processor goes on there, each once changed."""

import socket
import struct
import subprocess
import time
from pathlib import Path

ETHERTYPE = 0x88B5  # IEEE 802: for experiments


def check(obj):
    """Send over a pair of interfaces, with the frames that each kind of program takes."""
    before = {name for _, name in socket.if_nameindex()}
    subprocess.run(["ip", "link", "add", "ek0", "type", "veth"], check=True)
    (peer,) = {name for _, name in socket.if_nameindex()} - before - {"ek0"}
    _up("ek0", peer)
    seen = {"one buffer": _led(obj, "", peer, 100)}
    if obj.programs["lead_frags"].fd >= 0:
        for name in ("ek0", peer):
            subprocess.run(["ip", "link", "set", name, "mtu", "9000"], check=True)
        record = obj.programs["lead"].attach(peer)
        assert record["status"] == "failed", "a program for one buffer was attached where packets need more"
        seen["several buffers"] = _led(obj, "_frags", peer, 6000)
    return seen


def _led(obj, suffix, peer, size):
    """Return how many frames arrived back."""
    programs = {name: obj.programs[name + suffix] for name in ("lead", "arrive", "on_device", "on_processor")}
    assert programs["on_device"].attach()["status"] == "skipped", "it runs where it is in a map"
    index = socket.if_nametoindex(peer)
    obj.maps["devices" + suffix].update(0, struct.pack("=Ii", index, programs["on_device"].fd))
    obj.maps["processors" + suffix].update(1, struct.pack("=Ii", 64, programs["on_processor"].fd))
    for name, interface in (("arrive", "ek0"), ("lead", peer)):
        record = programs[name].attach(interface)
        assert record["status"] == "passed", record["message"]
    values = obj.globals
    values["arrived"] = 0
    with _open("ek0") as one, _open(peer) as other:
        # to devices the kernel leads only one buffer before Linux commit b9d460c92455 (v6.3)
        for goal, receiver, done, length in ((b"d", one, 1, 100), (b"p", other, 2, size), (b"-", other, 0, size)):
            body = (goal + b"\0").ljust(length, b".")
            one.send(b"\xff" * 6 + bytes(6) + struct.pack("!H", ETHERTYPE) + body)
            got = receiver.recv(10000)[14:]
            assert got == goal + bytes([done]) + body[2:], f"led to {goal!r}: {len(got)} bytes, {got[:4]}"
    assert values["egress_ifindex"] == index, f"interface {values['egress_ifindex']} instead of {index}"
    assert values["processor"] == 1, f"processor {values['processor']}"
    assert values["arrived"] == 1, f"{values['arrived']} frames came back"
    for program in programs.values():
        program.detach()
    return 1


def _open(interface):
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    found.bind((interface, ETHERTYPE))
    found.settimeout(5)
    return found


def _up(*names):
    """Bring interfaces up, and wait for the kernel to send by them: until its work queue comes to it, it drops all."""
    for name in names:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    while any(Path(f"/sys/class/net/{name}/operstate").read_text() != "up\n" for name in names):
        time.sleep(0.01)
    subprocess.run(["ip", "link", "set", names[0], "up"], check=True)  # waits for the lock that it is done under
