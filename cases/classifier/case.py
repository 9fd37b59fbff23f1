"""A classifier's test run gives back the packet and the context that were worked out by hand."""

import struct


def check(obj):
    """Run both programs over packets of our own."""
    packet = bytes(range(64))
    # struct __sk_buff: len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, …
    context = struct.pack("=9I", 0, 0, 0, 0, 0, 0, 0, 0, 37).ljust(192, b"\0")
    ran = obj.programs["classify"].test_run(packet, context)
    assert ran.retval == 0
    assert ran.data == packet[:20] + bytes([packet[20] ^ 0xFF]) + packet[21:], ran.data.hex()
    words = struct.unpack_from("=9I", ran.context)
    assert (words[2], words[8]) == (64, 42), f"mark {words[2]}, priority {words[8]}"
    verdicts = [obj.programs["act"].test_run(bytes(size)).retval for size in (60, 100, 101, 500)]
    assert verdicts == [3, 3, 2, 2], f"verdicts {verdicts}"
    assert obj.globals["ek_hits"] == 5
    return {"mark": words[2], "verdicts": verdicts}
