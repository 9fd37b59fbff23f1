"""Results of test runs are what follows from what was given to them."""

import struct

AF_INET, IPPROTO_TCP = 2, 6
DROP, PASS = 0, 1  # Linux include/uapi/linux/bpf.h: enum sk_action


def check(obj):
    """Run each program over contexts and packets of our own."""
    programs = obj.programs
    assert programs["add"].test_run(context=struct.pack("=QQ", 40, 2)).retval == 42
    packet = bytes(12) + b"\x08\x00" + b"\x45" + bytes(45)
    verdicts = [programs["pass_even"].test_run(packet[:size]).retval for size in (58, 59)]
    assert verdicts == [1, 0], f"verdicts {verdicts}"
    found = [programs["look_up"].test_run(context=_lookup(port)).retval for port in (7100, 7200)]
    assert found == [PASS, DROP], f"looked up: {found}"
    runs = 5
    if programs["judge"].fd >= 0:
        assert programs["judge"].test_run(packet[14:]).retval == 1
        runs += 1
    assert obj.globals["ek_hits"] == runs, f"{obj.globals['ek_hits']} runs instead of {runs}"
    return {"runs": runs}


def _lookup(port):
    """Return a struct bpf_sk_lookup: cookie, family, protocol, remote and local addresses and ports, interface."""
    remote = struct.pack("!I16xHH", 0x7F000001, 5555, 0)
    local = struct.pack("!I16x", 0x7F000001) + struct.pack("=II", port, 0)
    return (struct.pack("=QII", 0, AF_INET, IPPROTO_TCP) + remote + local).ljust(72, b"\0")
