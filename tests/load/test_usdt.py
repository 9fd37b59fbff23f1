"""USDT: probes found in ELF files, and operands read as libbpf reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from everykernel.architectures import ARCHITECTURES
from everykernel.load.attach import operands, sites
from everykernel.load.attach.operands import CONST, REG, REG_DEREF, SIB
from everykernel.load.attach.outcome import NotAttached
from everykernel.load.attach.sites import Site
from everykernel.load.system.local import Local

X86_64 = ARCHITECTURES["x86_64"]
MACHINE = Local()
MACHINE.pointer_size, MACHINE.byteorder = 8, "little"


def _read(arguments: str, machine: str = "x86_64") -> list[dict[str, int]]:
    found: list[dict[str, int]] = operands.specification(arguments, ARCHITECTURES[machine], "probe")["args"]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8@%rax", {"arg_type": REG, "reg_off": 80}),
        ("4@%r11d", {"arg_type": REG, "reg_off": 48}),
        ("1@%sil", {"arg_type": REG, "reg_off": 104}),
        ("8@%rip", {"arg_type": REG, "reg_off": 128}),
        ("-4@-1204(%rbp)", {"arg_type": REG_DEREF, "reg_off": 32, "val_off": -1204}),
        ("8@(%rsp)", {"arg_type": REG_DEREF, "reg_off": 152, "val_off": 0}),
        ("4@$71", {"arg_type": CONST, "val_off": 71}),
        ("-4@$-9", {"arg_type": CONST, "val_off": -9}),
        (
            "1@-96(%rbp,%rax,8)",
            {"arg_type": SIB, "reg_off": 32, "idx_reg_off": 80, "val_off": -96, "scale_bitshift": 3},
        ),
        ("1@(%rbp,%rax)", {"arg_type": SIB, "reg_off": 32, "idx_reg_off": 80, "val_off": 0, "scale_bitshift": 0}),
    ],
)
def test_operands(text: str, expected: dict[str, int]) -> None:
    """Each form of operand says where the argument is, how wide it is and whether it has a sign."""
    (found,) = _read(text)
    size = int(text.partition("@")[0])
    assert found == {**expected, "arg_signed": int(size < 0), "arg_bitshift": 64 - 8 * abs(size)}


def test_registers_of_another_architecture() -> None:
    """The same operand is elsewhere in the registers of i386, which lacks the others."""
    assert [a["reg_off"] for a in _read("4@%eax 4@(%esp) -1@%bl", "i386")] == [24, 60, 0]
    with pytest.raises(NotAttached, match="argument 1 is none that can be read: '4@%r8d'"):
        _read("4@%eax 4@%r8d", "i386")


@pytest.mark.parametrize(
    ("machine", "text", "expected"),
    [
        ("arm64", "8@x19", (REG, 152, 0)),
        ("arm64", "-4@[sp, 172]", (REG_DEREF, 248, 172)),
        ("arm64", "-4@[x29]", (REG_DEREF, 232, 0)),
        ("arm64", "4@5", (CONST, 0, 5)),
        ("armhf", "-4@r10", (REG, 40, 0)),
        ("armhf", "-4@[fp, #-96]", (REG_DEREF, 44, -96)),
        ("armhf", "4@[sp]", (REG_DEREF, 52, 0)),
        ("armhf", "4@#5", (CONST, 0, 5)),
        ("s390x", "-8@%r0", (REG, 24, 0)),
        ("s390x", "-4@172(%r15)", (REG_DEREF, 144, 172)),
        ("s390x", "4@-71", (CONST, 0, -71)),
        ("riscv64", "-8@a1", (REG, 88, 0)),
        ("riscv64", "-4@-88(s0)", (REG_DEREF, 64, -88)),
        ("riscv64", "8@0(t6)", (REG_DEREF, 248, 0)),
        ("riscv64", "4@5", (CONST, 0, 5)),
    ],
)
def test_operands_of_other_architectures(machine: str, text: str, expected: tuple[int, int, int]) -> None:
    """What each assembler writes is read by its own rules, registers where that kernel has them."""
    (found,) = _read(text, machine)
    assert (found["arg_type"], found.get("reg_off", 0), found.get("val_off", 0)) == expected


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        ("arm64", "8@x31"),
        ("arm64", "4@w3"),
        ("armhf", "4@5"),
        ("armhf", "4@[fp, 8]"),
        ("s390x", "8@%r16"),
        ("s390x", "4@8(r15)"),
        ("riscv64", "8@pc"),
        ("riscv64", "8@zero"),
    ],
)
def test_operands_that_other_architectures_do_not_have(machine: str, text: str) -> None:
    """An operand that libbpf refuses there is refused."""
    with pytest.raises(NotAttached, match="argument 0 is none that can be read"):
        _read(text, machine)


def test_an_architecture_whose_operands_nobody_knows() -> None:
    """libbpf has no USDT on powerpc, and we have none there."""
    with pytest.raises(NotAttached, match="the operands of ppc64el are known neither to libbpf nor to us") as raised:
        _read("8@3", "ppc64el")
    assert raised.value.code == "attach-type-unsupported"


@pytest.mark.parametrize(
    "text", ["3@%rax", "8@%rzx", "8@8(%rip,%rzx)", "8@(%rax,%rbx,3)", "8@symbol(%rip)", "8", "8@%xmm0", "@%rax", "8@$x"]
)
def test_operands_that_cannot_be_read(text: str) -> None:
    """An operand that libbpf refuses is refused, and the message quotes it."""
    with pytest.raises(NotAttached) as raised:
        _read(f"4@%eax {text}")
    assert raised.value.message == f"probe: argument 1 is none that can be read: {text!r}"


def test_how_many_arguments() -> None:
    """A probe has as many arguments as its note names, up to twelve."""
    assert operands.specification("", X86_64, "probe") == {"args": [], "arg_cnt": 0}
    assert operands.specification(" 8@%rax  4@$1 ", X86_64, "probe")["arg_cnt"] == 2
    assert len(_read("4@$1 " * 12)) == 12
    with pytest.raises(NotAttached) as raised:
        _read("4@$1 " * 13)
    assert raised.value.code == "limit-exceeded"


Note = tuple[int, int, int, str, str, str]


def _elf(notes: list[Note], *, base: int = 0, wide: bool = True, kind: int = 3, owner: bytes = b"stapsdt\0") -> bytes:
    """Return an ELF file with code at 0x1000 (offset 0x100), data at 0x3000 (offset 0x200) and notes of probes."""
    word = "Q" if wide else "I"
    content = b""
    for location, linked_base, semaphore, *texts in notes:
        description = struct.pack("<3" + word, location, linked_base, semaphore)
        description += b"".join(text.encode() + b"\0" for text in texts)
        content += struct.pack("<III", len(owner), len(description), 3) + owner + description
        content += bytes(-len(content) % 4)
    names = b"\0.note.stapsdt\0.stapsdt.base\0.shstrtab\0"
    sections = [
        (0, 0, 0, 0, 0), (1, 7, 0, 0x300, len(content)), (15, 1, base, 0x100, 1),
        (29, 3, 0, 0x300 + len(content), len(names)),
    ]  # fmt: skip
    sizes = (64, 56, 2, 64, 4, 3) if wide else (52, 32, 2, 40, 4, 3)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    tables = 0x300 + len(content) + len(names)
    head = ident + struct.pack(f"<HHI3{word}I6H", kind, 62 if wide else 3, 1, 0, sizes[0], tables, 0, *sizes)
    for flags, offset, start in ((5, 0x100, 0x1000), (6, 0x200, 0x3000)):
        if wide:
            head += struct.pack("<II6Q", 1, flags, offset, start, start, 0x100, 0x100, 1)
        else:
            head += struct.pack("<8I", 1, offset, start, start, 0x100, 0x100, flags, 1)
    table = b"".join(
        struct.pack(f"<II4{word}II2{word}", name, type_, 0, address, offset, size, 0, 0, 1, 0)
        for name, type_, address, offset, size in sections
    )
    return head.ljust(0x300, b"\0") + content + names + table


def _find(tmp_path: Path, data: bytes, name: str = "hit") -> sites.Found:
    path = tmp_path / "probed"
    path.write_bytes(data)
    return sites.find(MACHINE, str(path), "us", name)


def test_the_places_of_a_probe(tmp_path: Path) -> None:
    """Each note of the name is one place, at its offset in the file, with the offset of its counter."""
    notes: list[Note] = [
        (0x1010, 0, 0, "us", "hit", "8@%rax"),
        (0x1020, 0, 0x3004, "us", "hit", ""),
        (0x1030, 0, 0, "us", "miss", ""),
        (0x1040, 0, 0, "them", "hit", ""),
        (0x1050, 0, 0, "us", "hit", ":"),
    ]
    found = _find(tmp_path, _elf(notes))
    assert found.sites == [Site(0x110, 0x1010, 0, "8@%rax"), Site(0x120, 0x1020, 0x204, ""), Site(0x150, 0x1050, 0, "")]
    assert not found.fixed
    assert _find(tmp_path, _elf(notes, kind=2)).fixed


def test_a_prelinked_file(tmp_path: Path) -> None:
    """Where the base moved since the note was written, the code did too."""
    found = _find(tmp_path, _elf([(0x10, 0x500, 0, "us", "hit", "")], base=0x1500))
    assert found.sites == [Site(0x110, 0x1010, 0, "")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x7fELF", "is no sound ELF file"),
        (_elf([]), "the file has no such probe"),
        (_elf([(0x1000, 0, 0, "us", "other", "")]), "the file has no such probe"),
        (_elf([(0x9000, 0, 0, "us", "hit", "")]), "0x9000 is in no code that is loaded"),
        (_elf([(0x3000, 0, 0, "us", "hit", "")]), "0x3000 is in no code that is loaded"),
        (_elf([(0x1000, 0, 0x1000, "us", "hit", "")]), "its counter 0x1000 is in no data that is loaded"),
        (_elf([(0x1000, 0, 0, "us", "hit", "")], wide=False), "the file is not of this architecture"),
        (_elf([(0x1000, 0, 0, "us", "hit", "")], owner=b"other\0\0\0"), "the note at 0x0 of .note.stapsdt is none"),
        (_elf([(0x1000, 0, 0, "us", "", "")]), "the note at 0x0 of .note.stapsdt ends too early"),
    ],
)
def test_what_has_no_such_probe(tmp_path: Path, data: bytes, message: str) -> None:
    """A file without the probe, damaged or of another machine is `attach-target-missing`, with the reason."""
    with pytest.raises(NotAttached) as raised:
        _find(tmp_path, data)
    assert raised.value.code == "attach-target-missing"
    assert message in raised.value.message
