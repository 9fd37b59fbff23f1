"""Instructions as text: the same words as llvm-objdump's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import elfwriter as e

from everykernel import folders
from everykernel.object import assembly, elf

DUMPERS = ("llvm-objdump-19", "llvm-objdump")  # of the package that llvm-strip, which compiles cases, is in
OBJECTS = sorted(
    [
        *folders.data("cases").glob("*/build/x86_64/*.o"),
        *(Path(__file__).parents[1] / "vm/objects/foreign").glob("*.o"),
    ]
)
# What LLVM 19 does not know, or takes for something else: its words are not asked for.
NEWER = re.compile(r"gotox|load_acquire|store_release")


def _dumped(path: Path, *options: str) -> Iterator[tuple[tuple[str, int], str]]:
    """Yield (section, instruction) and its text, numbers decimal, targets by name left out."""
    tool = next(tool for name in DUMPERS if (tool := shutil.which(name)))
    done = subprocess.run([tool, "-d", *options, str(path)], capture_output=True, check=True)
    section = ""
    for line in done.stdout.decode(errors="replace").splitlines():
        if headed := re.match("Disassembly of section (.*):$", line):
            section = headed[1]
        elif found := re.match(r" +(\d+):\t(?:[0-9a-f]{2} )*[0-9a-f]{2}\t(.*)$", line):
            words = re.sub(r"(goto.*) <[^<>]*>$", r"\1", found[2].replace("\t", " ").strip())
            yield (section, int(found[1])), re.sub("0x[0-9a-f]+", lambda number: str(int(number[0], 16)), words)


def _own(path: Path) -> dict[tuple[str, int], str]:
    container = elf.read(path.read_bytes(), path.name)
    return {
        (section.name, line.insn): line.text
        for section in container.sections
        if section.flags & elf.SHF_EXECINSTR
        for line in assembly.disassemble(section.data, container.byteorder)
    }


def test_real_objects_read_as_llvm_reads_them() -> None:
    """Each instruction of each case and of objects of others is what llvm-objdump prints, but for numbers' base."""
    compared = 0
    for path in OBJECTS:
        own, theirs = _own(path), dict(_dumped(path))
        different = {place: text for place, text in theirs.items() if own[place] != text}
        assert all(NEWER.search(own[place]) for place in different), (path, different)
        compared += len(theirs)
    assert compared > 4000


@pytest.mark.parametrize(
    ("codes", "immediates", "options"),
    [
        # The offset of a 64-bit atomic instruction, and the flag of its immediate, are all there is to it.
        ([c for c in range(256) if c not in (assembly.LDIMM64, 0x95, 0xC3, 0xDB)], (0, 1, 16, 32, 64, -5, 0x10000), ()),
        ([0xDB], (0, 1, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1), ()),
        ([0xC3], (0, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1), ("--mcpu=v4",)),  # older ones have += alone
    ],
    ids=["codes", "64-bit atomics", "32-bit atomics"],
)
def test_every_code_reads_as_llvm_reads_it(
    codes: list[int], immediates: tuple[int, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    """All codes of one slot, with each offset and immediate that changes what they are."""
    code = b"".join(e.insn(c, 3, 4, offset, i) for c in codes for offset in (0, 1, 8, 16, 32, -8) for i in immediates)
    code += e.load64(3, 0, -2) + e.EXIT
    path = tmp_path / "all.o"
    path.write_bytes(e.bpf_object({"xdp": code}, [("prog", "xdp", 0, len(code))], {"license": b"GPL\0"}))
    own = {place: text for place, text in _own(path).items() if not NEWER.search(text)}
    theirs = {place: re.sub(r"^(lock .*) w4$", r"\1 r4", text) for place, text in _dumped(path, *options)}
    assert {(text, theirs[place]) for place, text in own.items() if text != theirs[place]} == set()
    assert len(own) >= len(codes) * len(immediates) * 6 * 0.99


@pytest.mark.parametrize(
    ("insn", "text"),
    [
        (e.insn(0x0D, 3), "gotox r3"),
        (e.insn(0xDB, 1, 2, 8, 0x100), "r1 = load_acquire((u64 *)(r2 + 8))"),
        (e.insn(0xC3, 1, 2, -8, 0x110), "store_release((u32 *)(r1 - 8), r2)"),
        (e.insn(0x18, 1), assembly.UNKNOWN),  # without its second half
        (e.insn(0xFF), assembly.UNKNOWN),
    ],
)
def test_what_llvm_19_does_not_know(insn: bytes, text: str) -> None:
    """Instructions that are newer, as LLVM 22 writes them, and what is none."""
    assert [line.text for line in assembly.disassemble(insn, "little")] == [text]


def test_jumps_lead_to_instructions() -> None:
    """A jump and a call inside the object say which instruction they go to; a helper's call does not."""
    code = e.load64() + e.insn(0x15, 1, 0, 2) + e.call(1) + e.call(5, 0) + e.insn(0x06, imm=-4) + e.EXIT
    assert [line.jump for line in assembly.disassemble(code, "little")] == [None, 5, 5, None, 2, None]


def test_bytes_that_are_left_over_are_not_shown() -> None:
    """Code whose length is no multiple of a slot ends with its last whole instruction."""
    assert len(list(assembly.disassemble(e.EXIT + b"\x95\0\0", "little"))) == 1


def test_registers_of_big_endian_objects() -> None:
    """The byte of registers has its halves the other way round."""
    assert [x.text for x in assembly.disassemble(bytes.fromhex("79120008 00000000"), "big")] == [
        "r1 = *(u64 *)(r2 + 8)"
    ]
