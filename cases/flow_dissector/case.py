"""The keys that a dissector finds are those that the packet was made of."""

import struct


def check(obj):
    """Dissect packets; the program can be attached once to the namespace, and again when it is detached."""
    dissect = obj.programs["dissect"]
    assert dissect.attached
    assert dissect.attach()["status"] != "passed", "two dissectors in one namespace"
    dissect.detach()
    assert dissect.attach()["status"] == "passed"
    ran = dissect.test_run(_packet(17))
    # struct bpf_flow_keys: u16 nhoff, thoff, addr_proto; three flags; ip_proto; __be16 n_proto, sport, dport; addresses
    nhoff, thoff, addr_proto, protocol = struct.unpack_from("=HHH3xB", ran.data)
    ports, addresses = struct.unpack_from("!HH", ran.data, 12), struct.unpack_from("!II", ran.data, 16)
    found = (thoff - nhoff, addr_proto, protocol, ports, addresses)
    assert found == (20, 0x0800, 17, (1111, 2222), (0x0A000001, 0x0A000002)), f"found {found}"
    dropped = dissect.test_run(_packet(6))
    assert struct.unpack_from("=4xH", dropped.data) == (0,), "keys of a packet that is not dissected"
    assert dropped.retval != ran.retval  # 0 and 1 up to v5.18, then BPF_OK and BPF_DROP
    assert obj.globals["ek_hits"] >= 2
    return {"ports": list(ports)}


def _packet(protocol):
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 28, 1, 0, 64, protocol, 0, 0x0A000001, 0x0A000002)
    return bytes(12) + b"\x08\x00" + ip + struct.pack("!HHHH", 1111, 2222, 8, 0)
