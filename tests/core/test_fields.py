"""Relocations of fields: found by name, wherever the kernel put them."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core.relocating import POISON, immediate_of, load, mov, offset_of, relocate, wide

from everykernel.core import relokinds as rk


def plain(offset: int = 0, name: str = "s", member: str = "a", size: int = 64) -> Writer:
    """One struct with a pad before one u32 member."""
    writer = Writer()
    number = writer.integer("unsigned int", 4)
    members = [("pad", number, 0)] if offset else []
    writer.struct(name, size, [*members, (member, number, offset * 8)])
    return writer


def test_offset_moves_with_the_field() -> None:
    """A load gets the kernel's offset."""
    fixup = relocate(plain(), plain(24), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.local, fixup.target) == ("patched", 0, 24)
    assert offset_of(fixup.insn) == 24
    assert (fixup.old, fixup.new, fixup.mem_size) == (0, 24, None)
    assert fixup.access == "struct s.a"
    assert fixup.candidates == ("struct s (vmlinux 2)",)
    assert str(fixup) == "byte_off struct s.a 0->24"


def test_offset_in_a_64_bit_load() -> None:
    """Both halves of a 64-bit load are patched."""
    fixup = relocate(plain(), plain(24), 2, "0:0", insn=wide(0))
    assert fixup.insn == wide(24)


@pytest.mark.parametrize(
    ("kind", "local", "target"),
    [
        (rk.FIELD_BYTE_SIZE, 4, 4),
        (rk.FIELD_EXISTS, 1, 1),
        (rk.FIELD_SIGNED, 0, 0),
        (rk.FIELD_LSHIFT_U64, 32, 32),
        (rk.FIELD_RSHIFT_U64, 32, 32),
    ],
)
def test_other_properties(kind: int, local: int, target: int) -> None:
    """Size, existence, signedness and shifts of a plain field."""
    fixup = relocate(plain(), plain(24), 2, "0:0", kind, mov(local))
    assert (fixup.outcome, fixup.local, fixup.target) == ("patched", local, target)
    assert immediate_of(fixup.insn) == target


def test_missing_field_poisons() -> None:
    """An access to a field that the kernel lacks becomes a call that the verifier refuses, if it is reached."""
    fixup = relocate(plain(), plain(member="b"), 2, "0:0", insn=load(0))
    assert fixup.outcome == "poisoned"
    assert fixup.insn.hex() == POISON
    assert fixup.message == "struct s has no member 'a'"
    assert (fixup.local, fixup.target, fixup.new) == (0, None, None)


def test_missing_field_poisons_both_halves_of_a_64_bit_load() -> None:
    """A 64-bit load is two instructions, and both are replaced."""
    fixup = relocate(plain(), plain(member="b"), 2, "0:0", insn=wide(0))
    assert fixup.insn.hex() == POISON * 2


def test_missing_field_does_not_exist() -> None:
    """field_exists of a field that the kernel lacks is 0, not poison."""
    fixup = relocate(plain(), plain(member="b"), 2, "0:0", rk.FIELD_EXISTS, mov(1))
    assert (fixup.outcome, fixup.target, immediate_of(fixup.insn)) == ("patched", 0, 0)
    assert fixup.message == "struct s has no member 'a'"


def test_missing_struct_poisons_and_says_so() -> None:
    """Without any candidate the message names the type."""
    fixup = relocate(plain(), plain(name="t"), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message, fixup.candidates) == ("poisoned", "the kernel has no struct s", ())


@pytest.mark.parametrize(("local", "target"), [("s___mine", "s"), ("s", "s___theirs"), ("s___a", "s___b")])
def test_flavours_on_both_sides(local: str, target: str) -> None:
    """What follows the last triple underscore does not count, on either side."""
    fixup = relocate(plain(name=local), plain(8, name=target), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.target) == ("patched", 8)


def test_anonymous_members_at_any_depth() -> None:
    """A field inside anonymous structs and unions is found by its name alone, in other nesting than the object's."""
    local = plain()
    target = Writer()
    number = target.integer("unsigned int", 4)
    inner = target.struct("", 8, [("x", number, 0), ("a", number, 32)])
    union = target.union("", 8, [("y", number, 0), ("", inner, 0)])
    target.struct("s", 24, [("z", number, 0), ("", union, 64)])
    fixup = relocate(local, target, 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.target) == ("patched", 12)
    back = relocate(target, plain(4), 4, "0:1:1:1", insn=load(12))
    assert (back.outcome, back.target, back.access) == ("patched", 4, "struct s.a")


def arrays(count: int, *, offset: int = 0, last: bool = True, size: int = 4) -> Writer:
    writer = Writer()
    number = writer.integer("unsigned int", size)
    array = writer.array(number, count)
    members = [("a", array, 8 * offset)]
    if not last:
        members.append(("z", number, 1024))
    writer.struct("s", 256, members)
    return writer


def test_array_element() -> None:
    """An element's offset is that of the array plus its index."""
    fixup = relocate(arrays(8), arrays(4, offset=16), 3, "0:0:2", insn=load(8))
    assert (fixup.outcome, fixup.target, fixup.access) == ("patched", 24, "struct s.a[2]")


def test_element_past_the_kernels_array_poisons() -> None:
    """An array that is shorter in the kernel does not have the element."""
    fixup = relocate(arrays(8), arrays(2), 3, "0:0:2", insn=load(8))
    assert (fixup.outcome, fixup.message) == ("poisoned", "member 'a' has 2 elements")


def test_element_of_a_flexible_array() -> None:
    """An array of no elements at the end of a struct has any element."""
    fixup = relocate(arrays(0), arrays(0, offset=16), 3, "0:0:2", insn=load(8))
    assert (fixup.outcome, fixup.target) == ("patched", 24)


def test_empty_array_that_is_not_last_has_no_elements() -> None:
    """The same array before another member is not flexible: refused in the object, absent in the kernel."""
    refused = relocate(arrays(0, last=False), arrays(0), 3, "0:0:2", insn=load(8))
    assert (refused.outcome, refused.code) == ("failed", "object-malformed")
    assert refused.message == "element 2 is past an array of 0"
    assert relocate(arrays(8), arrays(0, last=False), 3, "0:0:2", insn=load(8)).outcome == "poisoned"


def test_element_of_the_root() -> None:
    """A first index other than 0 counts whole structs, of the kernel's size."""
    fixup = relocate(plain(size=64), plain(8, size=100), 2, "2:0", insn=load(128))
    assert (fixup.outcome, fixup.target, fixup.access) == ("patched", 208, "struct s[2].a")


def wrapped(*kinds: str) -> Writer:
    writer = Writer()
    number = writer.integer("unsigned int", 4)
    for kind in kinds:
        number = writer.typedef("u32", number) if kind == "typedef" else writer.modifier(kind, number, "tag")
    writer.struct("s", 64, [("a", number, 8 * 4 * len(kinds))])
    return writer


def test_typedefs_and_qualifiers_are_skipped() -> None:
    """typedef, const, volatile, restrict and type tags around a field's type do not count."""
    local, target = wrapped("const"), wrapped("typedef", "const", "volatile", "restrict", "type_tag", "typedef")
    fixup = relocate(local, target, 3, "0:0", insn=load(4))
    assert (fixup.outcome, fixup.target) == ("patched", 24)


def test_root_may_be_a_typedef() -> None:
    """A typedef of a struct is searched for under the typedef's name."""

    def build(offset: int) -> Writer:
        writer = Writer()
        number = writer.integer("unsigned int", 4)
        inner = writer.struct("", 64, [("a", number, 8 * offset)])
        writer.typedef("thing_t", inner)
        return writer

    fixup = relocate(build(0), build(20), 3, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.target, fixup.access) == ("patched", 20, "thing_t.a")


def test_member_of_the_wrong_kind_poisons() -> None:
    """A field that is a struct in the kernel cannot be read as the integer that the object expects."""
    target = Writer()
    number = target.integer("unsigned int", 4)
    inner = target.struct("inner", 4, [("x", number, 0)])
    target.struct("s", 64, [("a", inner, 0)])
    fixup = relocate(plain(), target, 2, "0:0", insn=load(0))
    assert fixup.outcome == "poisoned"
    assert fixup.message == "struct s has member 'a' as struct inner, not as unsigned int"


def sized(size: int, *, signed: bool = False, pointer: bool = False, boolean: bool = False, offset: int = 0) -> Writer:
    writer = Writer()
    number = writer.integer("int" if signed else "unsigned int", size, signed=signed, flags=4 if boolean else 0)
    if pointer:
        number = writer.ptr(number)
    writer.struct("s", 64, [("a", number, 8 * offset)])
    return writer


@pytest.mark.parametrize("code", [0x61, 0x62, 0x63], ids=["ldx", "st", "stx"])
def test_unsigned_field_of_another_size(code: int) -> None:
    """Loads and stores of an unsigned integer take the kernel's width."""
    fixup = relocate(sized(4), sized(8, offset=8), 2, "0:0", insn=load(0, 4, code))
    assert (fixup.outcome, fixup.target, fixup.mem_size) == ("patched", 8, 8)
    assert fixup.insn == load(8, 8, code)
    assert str(fixup) == "byte_off struct s.a 0->8 (8 bytes)"


def test_signed_field_of_another_size_poisons_a_load() -> None:
    """A signed integer would be read wrong in another width: the load is poisoned, an immediate is not."""
    for local, target in ((sized(4, signed=True), sized(8, signed=True)), (sized(4), sized(8, signed=True))):
        fixup = relocate(local, target, 2, "0:0", insn=load(0))
        assert fixup.outcome == "poisoned"
        assert "its size is 4 bytes here and 8 in the kernel" in fixup.message
        assert fixup.insn.hex() == POISON
        assert relocate(local, target, 2, "0:0", insn=mov(0)).outcome == "patched"


def test_pointer_of_another_size() -> None:
    """A 32-bit kernel's pointers are 4 bytes, BPF's are 8: the load becomes narrower."""
    local, target = sized(8, pointer=True), sized(4, pointer=True)
    fixup = relocate(local.btf("o", pointer_size=8), target.btf(pointer_size=4), 3, "0:0", insn=load(0, 8))
    assert (fixup.outcome, fixup.mem_size, fixup.insn) == ("patched", 4, load(0, 4))


def test_size_that_no_instruction_moves() -> None:
    """Patching fails where the kernel's size is none of 1, 2, 4 and 8 bytes."""
    fixup = relocate(sized(4), sized(16), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message) == ("failed", "no instruction moves 16 bytes")


def test_width_that_is_not_the_fields() -> None:
    """Patching fails where the instruction does not move the whole field and the size changes."""
    fixup = relocate(sized(4), sized(8), 2, "0:0", insn=load(0, 2))
    assert fixup.outcome == "failed"
    assert fixup.message == "the instruction moves 2 bytes of a field of 4, now 8"


def test_element_of_another_size() -> None:
    """An element of an integer array is not an integer of its own to libbpf only when it is reached as the array."""
    fixup = relocate(arrays(8), arrays(8, size=8), 3, "0:0:2", insn=load(8))
    assert (fixup.outcome, fixup.target, fixup.mem_size) == ("patched", 16, 8)
    whole = relocate(arrays(8), arrays(8, size=8), 3, "0:0", insn=load(0))
    assert whole.outcome == "poisoned"


def test_shifts_cannot_be_taken_of_an_element() -> None:
    """Only offset, size and existence mean something for an array element."""
    fixup = relocate(arrays(8), arrays(8), 3, "0:0:2", rk.FIELD_SIGNED, mov(0))
    assert fixup.outcome == "failed"
    assert fixup.message == "signed cannot be applied to an array element"


def test_forward_declared_field_has_no_offset() -> None:
    """A field without a size is refused, as the object would read nothing."""

    def build() -> Writer:
        writer = Writer()
        forward = writer.fwd("f")
        writer.struct("s", 64, [("a", forward, 0)])
        return writer

    fixup = relocate(build(), build(), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message) == ("failed", "fwd f has no size")


def test_array_that_is_none_in_the_kernel() -> None:
    """An element of what is no array in the kernel is not there; neither is one of an inner dimension."""
    target = plain(8)
    fixup = relocate(arrays(8), target, 3, "0:0:2", insn=load(8))
    assert (fixup.outcome, fixup.message) == ("poisoned", "struct s has member 'a' as unsigned int, not as array")

    def nested(levels: int, last: int) -> Writer:
        writer = Writer()
        number = writer.integer("unsigned int", 4)
        for _ in range(levels):
            number = writer.array(number, last)
        writer.struct("s", 1024, [("a", number, 0)])
        return writer

    found = relocate(nested(2, 4), nested(2, 8), 4, "0:0:3:2", insn=load(56))
    assert (found.outcome, found.target, found.access) == ("patched", 4 * (3 * 8 + 2), "struct s.a[3][2]")
    short = relocate(nested(2, 4), nested(2, 3), 4, "0:0:1:3", insn=load(28))
    assert (short.outcome, short.message) == ("poisoned", "element 1 has 3 elements")


def test_type_of_more_than_2_gib() -> None:
    """A kernel type whose size libbpf's int cannot hold is refused."""

    def build(count: int) -> Writer:
        writer = Writer()
        number = writer.integer("unsigned int", 4)
        writer.typedef("t", writer.array(number, count))
        return writer

    fixup = relocate(build(4), build(0x30000000), 3, "0:1", insn=load(4))
    assert (fixup.outcome, fixup.message) == ("failed", "array takes more than 2 GiB")
