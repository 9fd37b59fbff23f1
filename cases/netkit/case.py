"""What leaves one of the pair comes out of the other, unless its program drops it."""

import socket
import subprocess
import time
from pathlib import Path

ETH_P_IP = 0x0800


def check(obj):
    """Make a pair, attach to its first, send both ways. Where the kernel has no such pairs, it takes no such link."""
    programs = [obj.programs[name] for name in ("from_primary", "from_peer")]
    before = {name for _, name in socket.if_nameindex()}
    made = subprocess.run(["ip", "link", "add", "ek0", "type", "netkit"], capture_output=True, text=True, check=False)
    if made.returncode:
        assert not any(program.attach("lo")["status"] == "passed" for program in programs)
        return {"netkit": made.stderr.strip()}
    (peer,) = {name for _, name in socket.if_nameindex()} - before - {"ek0"}
    _up("ek0", peer)
    for program in programs:
        assert program.attach()["status"] == "skipped", "it attaches to what a caller names only"
        record = program.attach("ek0")
        assert record["status"] == "passed", record["message"]
    with _open("ek0") as one, _open(peer) as other:
        for sender, receiver, name in ((one, other, "primary"), (other, one, "peer")):
            already = obj.globals[name]  # what the kernel itself sends through an interface that comes up
            for payload in (b"one", b"#two", b"three", b"last"):
                try:
                    sender.send(payload)
                except OSError:  # the sender may be told
                    assert payload.startswith(b"#"), f"{payload!r} was refused"
            got = [receiver.recv(100) for _ in range(3)]
            assert got == [b"one", b"three", b"last"], f"from the {name} came {got}"
            assert obj.globals[name] >= already + 4, f"the {name}'s program saw {obj.globals[name]} packets"
    return {"primary": obj.globals["primary"], "peer": obj.globals["peer"]}


def _open(interface):
    """Return a socket for what has no link layer header."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    found.bind((interface, ETH_P_IP))
    found.settimeout(5)
    return found


def _up(*names):
    """Bring interfaces up, and wait for the kernel to send by them: until its work queue comes to it, it drops all."""
    for name in names:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    while any(Path(f"/sys/class/net/{name}/operstate").read_text() != "up\n" for name in names):
        time.sleep(0.01)
    subprocess.run(["ip", "link", "set", names[0], "up"], check=True)  # waits for the lock that it is done under
