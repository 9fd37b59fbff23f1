"""An ELF file that claims more than it holds is refused before it costs time or memory."""

from __future__ import annotations

import struct

import pytest
from tests.elfwriter import bpf_object

from everykernel.errors import ObjectMalformed
from everykernel.object import elf


def small() -> bytearray:
    return bytearray(bpf_object({"xdp": bytes(16)}, [("f", "xdp", 0, 16)], {"license": b"GPL\0"}))


def test_section_headers_of_another_size() -> None:
    """65,535 headers of no size would all be read at one place."""
    data = small()
    struct.pack_into("<HH", data, 58, 0, 0xFFFF)
    with pytest.raises(
        ObjectMalformed, match=r"o: its section headers cannot be read \(each takes 0 bytes instead of 64\)"
    ):
        elf.read(bytes(data), "o")


def test_sections_that_are_the_whole_file_each() -> None:
    """Thousands of sections that each span the file would take gigabytes."""
    data = small()
    start = struct.unpack_from("<Q", data, 40)[0]
    for number in range(1, 6):
        struct.pack_into("<QQ", data, start + 64 * number + 24, 0, len(data))
    with pytest.raises(ObjectMalformed, match="o: its sections take more than 4 times the file"):
        elf.read(bytes(data), "o")
