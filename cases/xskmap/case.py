"""Packets arrive, whole and in order, in memory that the process gave to an AF_XDP socket.

Numbers and layouts: Linux include/uapi/linux/if_xdp.h. A ring is its producer's and its consumer's position and
descriptors, apart by as much as XDP_MMAP_OFFSETS says.
"""

import ctypes
import mmap
import os
import socket
import struct

AF_XDP, SOL_XDP = 44, 283
MMAP_OFFSETS, RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 1, 2, 4, 5, 6
RX_PAGES, FILL_PAGES = 0, 0x100000000
COPY = 1 << 1  # XDP_COPY
SIZE, FRAMES = 2048, 8
PACKETS = (b"first", b"second", b"the third and last")


def _ring(xsk, offset, layout, length):
    """Return a ring's memory and where its producer's position and its descriptors are."""
    producer, _, descriptors = layout[:3]
    size = descriptors + length * FRAMES
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap64.restype = ctypes.c_void_p
    libc.mmap64.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_int64]
    at = libc.mmap64(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, xsk.fileno(), offset)
    assert at != ctypes.c_void_p(-1).value, f"mmap: errno {ctypes.get_errno()}"
    return (ctypes.c_char * size).from_address(at), producer, descriptors


def _open(memory):
    """Return a socket bound to the first queue of lo that receives into ``memory``, and its ring."""
    xsk = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    xsk.setsockopt(SOL_XDP, UMEM_REG, struct.pack("=QQIIII", place, len(memory), SIZE, 0, 0, 0))
    for ring in (FILL_RING, COMPLETION_RING, RX_RING):
        xsk.setsockopt(SOL_XDP, ring, FRAMES)
    words = struct.unpack("=16Q", xsk.getsockopt(SOL_XDP, MMAP_OFFSETS, 128))  # rx, tx, fill, completion: four each
    fill, producer, descriptors = _ring(xsk, FILL_PAGES, words[8:12], 8)
    received = _ring(xsk, RX_PAGES, words[0:4], 16)
    for number in range(FRAMES):
        struct.pack_into("=Q", fill, descriptors + 8 * number, number * SIZE)
    struct.pack_into("=I", fill, producer, FRAMES)
    address = struct.pack("=HHIII", AF_XDP, COPY, socket.if_nametoindex("lo"), 0, 0)
    if ctypes.CDLL(None, use_errno=True).bind(xsk.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), "bind")
    return xsk, received


def check(obj):
    """Send datagrams to a port that is led away, and to one that is not."""
    os.sched_setaffinity(0, {0})  # packets of different processors overtake one another
    memory = mmap.mmap(-1, SIZE * FRAMES)
    xsk, (ring, producer, descriptors) = _open(memory)
    with (
        xsk,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as led,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        for receiver in (led, other):
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(5)
        obj.globals["port"] = led.getsockname()[1]
        obj.maps["sockets"].update(0, xsk.fileno())
        for packet in PACKETS:
            sender.sendto(packet, led.getsockname())
        sender.sendto(b"not led", other.getsockname())
        assert other.recv(100) == b"not led"
        assert obj.globals["ek_hits"] == len(PACKETS), f"{obj.globals['ek_hits']} packets for the port"
        (count,) = struct.unpack_from("=I", ring, producer)
        found = []
        for index in range(count):
            at, length, _ = struct.unpack_from("=QII", ring, descriptors + 16 * index)
            found.append(memory[at : at + length][14 + 20 + 8 :])
        assert found == list(PACKETS), f"received {found}"
        obj.maps["sockets"].delete(0)
        sender.sendto(b"dropped", led.getsockname())
        led.settimeout(0.2)
        try:
            raise AssertionError(f"{led.recv(100)} arrived by the network stack")
        except TimeoutError:
            pass
    return {"packets": len(found)}
