"""BPF objects inside other files: found whatever holds them, called as their author called them, in linear time."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable

import pytest
from tests import elfwriter
from tests.holders import Symbol, address, program

from everykernel.errors import ObjectMalformed
from everykernel.object import embedded, embedded_names, read


def an_object(number: int = 0, *, big: bool = False) -> bytes:
    """Return a small sound object, another for each number."""
    code = b"\xb7\0\0\0" + struct.pack("<I", number) + b"\x95" + bytes(7)
    return elfwriter.bpf_object({"socket": code}, [("f", "socket", 0, 16)], {"license": b"GPL\0"}, big=big)


def test_objects_are_found_at_any_offset() -> None:
    """Each object is returned as its bytes were, whether it is aligned or not, and with where it begins."""
    one, two = an_object(1), an_object(2)
    found = embedded.find(b"x" * 33 + one + b"\x7fELF" + two + b"rest", "f")
    assert [(o.offset, o.data, o.name) for o in found.objects] == [
        (33, one, "0x21"),
        (37 + len(one), two, f"{37 + len(one):#x}"),
    ]
    assert [read(o.data, "a").programs[0].name for o in found.objects] == ["f", "f"]


def test_duplicates_are_told_once() -> None:
    """The same bytes twice are one object; `carve` yields both."""
    data = an_object() + bytes(5) + an_object()
    assert len(embedded.find(data, "f").objects) == 1
    assert list(embedded.carve(data)) == [an_object(), an_object()]


def test_the_target_takes_its_byte_order() -> None:
    """Of bpf2go's pairs the one of the target's byte order is taken; where there is none, what there is."""
    little, big = an_object(1), an_object(1, big=True)
    pair = embedded.find(big + little, "f").objects
    assert [o.data for o in embedded.of_target(pair, "little")] == [little]
    assert [o.data for o in embedded.of_target(pair, "big")] == [big]
    assert [o.data for o in embedded.of_target(pair[:1], "little")] == [big]


def test_none_in_it_says_what_there_is() -> None:
    """A file without objects is an error that counts the ELF files in it."""
    elf = program(b"nothing", [])
    found = embedded.find(elf + bytes(8) + elf + bytes(7) + elf, "tool")
    assert str(embedded.none_in(found, "tool")) == (
        "tool: no BPF object in it; 3 ELF files of other machines "
        "[what is compressed is not looked into: give the object itself]"
    )
    assert "no BPF object in it; no ELF [" in str(embedded.none_in(embedded.find(b"text", "x"), "x"))


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        (b"main._BpfBytes", "bpf"),
        (b"github.com/a/b/v2/pkg._NetworkTracerBytes", "networkTracer"),
        (b"_ZN6mytool3OBJ17hfad4dd750b1e5d4bE", "OBJ"),
        (b"_RNvCs6O6TnIPaRGP_6mytool4OBJ2", "OBJ2"),
        (b"_binary_prog_bpf_o_start", "prog_bpf_o"),
        (b"prog_bpf_o", "prog_bpf_o"),
        (b"data", ""),
        (b"data.12", ""),
        (b"../../etc/passwd", ""),
        (b"a\x1b[31m", ""),
        (b"_ZN99999x17hfad4dd750b1e5d4bE", ""),
        (b"", ""),
    ],
)
def test_readable_names(symbol: bytes, name: str) -> None:
    """A symbol is told as its author wrote it; what a compiler made up or no path can hold is no name."""
    assert embedded_names.readable(symbol) == name


def test_names_of_what_holds_and_what_points() -> None:
    """An array's symbol, a Go slice's by its pointer, and a Rust slice's by its relocation give objects their names."""
    objects = [an_object(n) for n in range(4)]
    content = b"".join(objects)
    starts = [sum(map(len, objects[:n])) for n in range(4)]
    slices = len(content)
    content += struct.pack("<QQQ", address(starts[1]), len(objects[1]), len(objects[1])) + bytes(16)
    symbols = [
        Symbol("prog_bpf_o", address(starts[0]), len(objects[0])),
        Symbol("main._BpfBytes", address(slices), 24),
        Symbol("_ZN1r3OBJ17hfad4dd750b1e5d4bE", address(slices + 24), 16),
        Symbol("too_short", address(starts[3]), 8),
    ]
    elf = program(content, symbols, relocations=[(address(slices + 24), address(starts[2]))])
    found = embedded.find(elf, "tool").objects
    assert [o.name for o in found] == ["prog_bpf_o", "bpf", "OBJ", f"{found[3].offset:#x}"]
    assert [o.data for o in found] == objects


def test_one_name_is_given_once() -> None:
    """Two symbols of one name, as C has them in two files, are told apart by the offset."""
    size = len(an_object(1))
    symbols = [Symbol("prog", address(0), size), Symbol("prog", address(size), size)]
    found = embedded.find(program(an_object(1) + an_object(2), symbols), "t").objects
    assert [o.name for o in found] == ["prog", f"prog-{found[1].offset:#x}"]


def _header(table: int, count: int) -> bytes:
    """Return an object's header with ``count`` section headers at ``table``."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, table, 0, 64, 0, 0, 64, count, 0)


def test_headers_that_claim_too_much_are_refused() -> None:
    """Thousands of headers that share one large table are an error, after as much work as the file is long."""
    fakes, count = 20_000, 60_000
    data = b"".join(_header(64 * (fakes - n), count) for n in range(fakes))
    section = struct.pack("<IIQQQQIIQQ", 0, 1, 0, 0, 1 << 63, 1, 0, 0, 0, 0)
    began = time.process_time()
    with pytest.raises(
        ObjectMalformed, match="t: its ELF headers claim more sections than a file of its size can hold"
    ):
        embedded.find(data + section * count, "t")
    assert time.process_time() - began < 2


def test_work_is_linear() -> None:
    """Twice the bytes of the worst kinds take no more than some three times as long."""
    kinds: tuple[Callable[[int], bytes], ...] = (
        lambda n: b"\x7fELF\x02\x01\x01" * n,
        lambda n: _header(64, 1) * n,
        lambda n: _header(1 << 60, 65535) * n,
        lambda n: b"".join(an_object(i) for i in range(n // 8)),
        lambda n: program(
            b"".join(an_object(i) for i in range(n // 16)), [Symbol("x", address(i), 24) for i in range(n)]
        ),
    )
    for number, kind in enumerate(kinds):
        seconds = []
        for size in (8_000, 16_000):
            data = kind(size)
            began = time.process_time()
            embedded.find(data, "t")
            seconds.append(time.process_time() - began)
        assert seconds[1] < 3.5 * seconds[0] + 0.2, (number, seconds)


def test_no_bytes_break_it() -> None:
    """Whatever the bytes, objects are found or refused with one error, and what is found lies inside."""
    dice = random.Random(7)
    objects = [an_object(n) for n in range(3)]
    sound = program(b"".join(objects), [Symbol("main._BpfBytes", address(0), 24)], relocations=[(1, 2)])
    for _ in range(2000):
        data = bytearray(sound)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            found = embedded.find(bytes(data), "t")
        except ObjectMalformed:
            continue
        for one in found.objects:
            assert bytes(data[one.offset : one.offset + len(one.data)]) == one.data
