"""An XDP program gives the verdict and the packet that were worked out by hand."""

import struct

XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3  # Linux include/uapi/linux/bpf.h
HERE, THERE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def check(obj):
    """Run the program over four packets."""
    reflect = obj.programs["reflect"]
    tcp = _packet(protocol=6)
    arp = HERE + THERE + struct.pack("!H", 0x0806) + bytes(46)
    for packet, verdict, expected in (
        (_packet(), XDP_TX, _packet(back=True)),
        (tcp, XDP_DROP, tcp),
        (_packet()[:36], XDP_DROP, _packet()[:36]),
        (arp, XDP_PASS, arp),
    ):
        ran = reflect.test_run(packet)
        assert ran.retval == verdict, f"verdict {ran.retval} instead of {verdict}"
        assert ran.data == expected, f"{ran.data.hex()} instead of {expected.hex()}"
    assert reflect.test_run(_packet(), repeat=100).retval == XDP_TX
    counts = [obj.maps["verdicts"].lookup(verdict) for verdict in range(5)]
    assert counts == [0, 2, 1, 101, 0], f"counted {counts}"
    return {"verdicts": counts}


def _packet(protocol=17, back=False):
    macs, addresses, ports = (HERE, THERE), (0x0A000001, 0x0A000002), (1111, 2222)
    if back:
        macs, addresses, ports = macs[::-1], addresses[::-1], ports[::-1]
    payload = b"the packet's payload"
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0)
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp) + len(payload), 1, 0, 64, protocol, 0, *addresses)
    return macs[0] + macs[1] + struct.pack("!H", 0x0800) + ip + udp + payload
