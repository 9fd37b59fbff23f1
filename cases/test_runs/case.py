"""Results of test runs are what follows from what was given to them."""

import struct

AF_INET, IPPROTO_TCP = 2, 6
DROP, PASS = 0, 1  # Linux include/uapi/linux/bpf.h: enum sk_action


def check(obj):
    """Run each program over contexts and packets of our own."""
    runs = 1
    assert obj.programs["add"].test_run(context=struct.pack("=QQ", 40, 2)).retval == 42
    packet = bytes(12) + b"\x08\x00" + b"\x45" + bytes(45)
    verdicts = [obj.programs["pass_even"].test_run(packet[:size]).retval for size in (58, 59)]
    assert verdicts == [1, 0], f"verdicts {verdicts}"
    runs += 2
    seen = {}
    if obj.programs["judge"].fd >= 0:
        seen["netfilter"] = obj.programs["judge"].test_run(packet[14:]).retval
        assert seen["netfilter"] == 1
        runs += 1
    found = [_look_up(obj.programs["look_up"], port) for port in (7100, 7200)]
    assert found in ([PASS, DROP], [None, None]), f"looked up: {found}"
    seen["sk_lookup"] = found
    runs += sum(verdict is not None for verdict in found)
    assert obj.globals["ek_hits"] == runs, f"{obj.globals['ek_hits']} runs instead of {runs}"
    return seen


def _look_up(program, port):
    """Return the verdict on a connection to a port; None where the kernel has no test runs of such programs."""
    # struct bpf_sk_lookup: cookie, family, protocol, remote addresses and port, local addresses and port, interface
    local = struct.pack("!I16x", 0x7F000001) + struct.pack("=II", port, 0)
    context = struct.pack("=QII", 0, AF_INET, IPPROTO_TCP) + struct.pack("!I16xHH", 0x7F000001, 5555, 0) + local
    try:
        return program.test_run(context=context.ljust(72, b"\0")).retval
    except Exception as e:
        if "ENOTSUPP" not in str(e):
            raise
        return None
