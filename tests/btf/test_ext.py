""".BTF.ext is read by section, in both byte orders; a broken one is an error with its place."""

from __future__ import annotations

import struct

import pytest
from tests.btfwriter import Writer

from everykernel.btf import ext
from everykernel.errors import ObjectMalformed


def build(*, big: bool = False) -> tuple[Writer, bytes]:
    writer = Writer(big=big)
    number = writer.integer("int", 4)
    writer.struct("s", 4, [("a", number, 0)])
    data = writer.ext(
        functions={"xdp": [(0, 7), (64, 8)], ".text": [(0, 9)]},
        lines={"xdp": [(8, "prog.c", "return 0;", 41 << 10 | 5)]},
        core={"xdp": [(8, 2, "0:0", 0), (16, 2, "0", 8)]},
    )
    return writer, data


@pytest.mark.parametrize("big", [False, True])
def test_tables(big: bool) -> None:
    """Functions, lines and CO-RE records come by section."""
    writer, data = build(big=big)
    btf = writer.btf("o")
    found = ext.parse(data, btf, name="prog.bpf.o")
    assert found.func_info == {"xdp": [(0, 7), (64, 8)], ".text": [(0, 9)]}
    (line,) = found.line_info["xdp"]
    assert (line.line, line.column, btf.string(line.file_off), btf.string(line.line_off)) == (
        41,
        5,
        "prog.c",
        "return 0;",
    )
    assert found.core == {"xdp": [ext.CoreRecord(8, 2, "0:0", 0), ext.CoreRecord(16, 2, "0", 8)]}


def test_header_without_core_records() -> None:
    """A header from before CO-RE has no third table."""
    writer, data = build()
    head = bytearray(data[:24])
    struct.pack_into("<I", head, 4, 24)
    assert ext.parse(bytes(head) + data[32:], writer.btf("o"), name="prog.bpf.o").core == {}


def test_longer_records() -> None:
    """Records may be longer than what is known; the rest of each is skipped."""
    writer = Writer()
    section, access = writer.string(".text"), writer.string("0:1")
    table = (
        struct.pack("<3I", 20, section, 2)
        + struct.pack("<5I", 8, 1, access, 0, 99)
        + struct.pack("<5I", 16, 2, access, 1, 99)
    )
    data = struct.pack("<HBBI6I", 0xEB9F, 1, 0, 32, 0, 0, 0, 0, 0, len(table)) + table
    found = ext.parse(data, writer.btf("o"), name="o")
    assert found.core == {".text": [ext.CoreRecord(8, 1, "0:1", 0), ext.CoreRecord(16, 2, "0:1", 1)]}


def patched(offset: int, value: int, size: str = "I") -> bytes:
    data = bytearray(build()[1])
    struct.pack_into("<" + size, data, offset, value)
    return bytes(data)


CORE = 32 + 4 + 8 + 16 + 8 + 8 + 4 + 8 + 16  # offset of the third table


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x9f\xeb", "o: .BTF.ext: 2 bytes are too few for a header"),
        (patched(0, 0x1234, "H"), "o: .BTF.ext: magic 0x1234 is not 0xeb9f"),
        (patched(2, 2, "B"), "o: .BTF.ext: version 2 is not 1"),
        (patched(3, 1, "B"), "o: .BTF.ext: flags 0x1 are not known"),
        (patched(4, 16), "o: .BTF.ext: header length 16 is below 24"),
        (patched(4, 4096), "o: .BTF.ext: header length 4096 leaves no data (size "),
        (patched(24, 2), "o: .BTF.ext: core_relo at 0x22: is not aligned to 4 bytes"),
        (patched(28, 4096), "o: .BTF.ext: core_relo at 0x68: ends past the section (end 0x1068, size 0x94)"),
        (patched(28, 2), "o: .BTF.ext: core_relo at 0x68: has no record size"),
        (patched(28, 4), "o: .BTF.ext: core_relo at 0x6c: has no records"),
        (patched(28, 8), "o: .BTF.ext: core_relo at 0x6c: a section's header ends past the table"),
        (patched(CORE, 12), "o: .BTF.ext: core_relo at 0x68: record size 12 is not a multiple of 4 from 16 up"),
        (patched(CORE, 18), "o: .BTF.ext: core_relo at 0x68: record size 18 is not a multiple of 4 from 16 up"),
        (patched(CORE + 4, 9999), "o: .BTF.ext: core_relo at 0x6c: a section's name is at string offset 0x270f, past"),
        (patched(CORE + 8, 0), "o: .BTF.ext: core_relo at 0x6c: a section has no records"),
        (patched(CORE + 8, 1 << 30), "o: .BTF.ext: core_relo at 0x6c: a section's 1073741824 records of 16 bytes end"),
    ],
)
def test_broken(data: bytes, message: str) -> None:
    """Whatever contradicts itself is named with its table and offset."""
    writer, _ = build()
    with pytest.raises(ObjectMalformed) as caught:
        ext.parse(data, writer.btf("o"), name="o")
    assert str(caught.value).startswith(message)


def test_access_string_past_the_strings() -> None:
    """One record without an access string leaves the others readable: the record fails, not the file."""
    writer, _ = build()
    found = ext.parse(patched(CORE + 12 + 8, 9999), writer.btf("o"), name="o")
    assert [record.access for record in found.core["xdp"]] == ["", "0"]
