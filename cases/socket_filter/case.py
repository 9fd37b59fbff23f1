"""A socket filter keeps as many bytes as it should, in test runs and on a socket pair's datagrams."""


def check(obj):
    """Run the filter over packets whose result is plain to see."""
    run = obj.programs["up_to_mark"].test_run
    seen = {}
    # the kernel takes the Ethernet header of 14 bytes off before a socket filter sees the packet
    for payload in (b"ab#cdefghijklmno", b"#bcdefghijklmnop", b"no mark at all: dropped", b"m" * 63 + b"#", b"n" * 100):
        kept = run(bytes(14) + payload).retval
        expected = payload.index(b"#") + 1 if b"#" in payload else len(payload) if len(payload) >= 64 else 0
        assert kept == expected, f"{kept} bytes of {payload!r} kept instead of {expected}"
        seen[payload[:8].decode()] = kept
    return seen
