"""What went wrong for others, each with the place where it was reported."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core.relocating import POISON, load, mov, relocate, wide

from everykernel import core
from everykernel.btf import Btf
from everykernel.btf.ext import CoreRecord
from everykernel.core import relokinds as rk
from everykernel.errors import BtfMalformed


def struct(offset: int = 0, member: str = "a", name: str = "s") -> Writer:
    writer = Writer()
    number = writer.integer("unsigned int", 4)
    writer.struct(name, 64, [(member, number, 8 * offset)])
    return writer


def test_function_with_the_name_of_the_struct() -> None:
    """A FUNC or VAR of the struct's name is no candidate (cilium/ebpf issue 850)."""
    target = Writer()
    number = target.integer("unsigned int", 4)
    proto = target.func_proto(number, [])
    target.func("s", proto)
    target.var("s", number)
    target.struct("s", 64, [("a", number, 64)])
    fixup = relocate(struct(), target, 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.target, fixup.candidates) == ("patched", 8, ("struct s (vmlinux 5)",))


def test_poison_of_a_16_byte_load() -> None:
    """Both instructions of a 64-bit load are replaced (cilium/ebpf issue 1348)."""
    code = bytearray(wide(0) + mov(7))
    core.apply(relocate(struct(), struct(member="b"), 2, "0:0", insn=wide(0)), code, 0)
    assert code.hex() == POISON * 2 + mov(7).hex()


def test_enum_without_a_name_as_root() -> None:
    """An enum value of an anonymous enum is refused by name, not crashed on (bpftime issue 449)."""
    writer = Writer()
    writer.enum("", {"A": 1})
    fixup = relocate(writer, writer, 1, "0", rk.ENUMVAL_VALUE, wide(1))
    assert (fixup.outcome, fixup.code) == ("failed", "object-malformed")
    assert fixup.message == "a relocation needs a named type: enum {…} cannot be searched for"


def test_type_that_the_kernels_compiler_dropped() -> None:
    """A type that is nowhere in the kernel's BTF poisons, and the message says that it is the type (dae issue 969)."""
    fixup = relocate(struct(name="bpf_redir_neigh"), struct(), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message) == ("poisoned", "the kernel has no struct bpf_redir_neigh")


def test_broken_module_beside_a_good_vmlinux() -> None:
    """A module whose BTF is broken does no harm to what vmlinux answers (cilium/ebpf issue 1902)."""
    base = struct(8).btf()
    image = bytearray(Writer(base=base).image())

    def modules() -> list[Btf]:
        return [Btf.parse(bytes(image[:20]), base=base, name="broken")]

    local = struct().btf("prog.bpf.o")
    target = core.Target(base, modules)
    assert core.compute(CoreRecord(0, 2, "0:0", 0), 0, local, target, load(0)).target == 8
    absent = struct(name="t").btf("prog.bpf.o")
    fixup = core.compute(CoreRecord(0, 2, "0:0", 0), 0, absent, target, load(0))
    assert (fixup.outcome, fixup.code) == ("failed", "btf-rejected")
    assert fixup.message.startswith("broken: BTF header: 20 bytes are too few")


def test_enum64_for_a_reader_that_knows_it() -> None:
    """ENUM64 is read, and the types behind it keep their numbers (libbpf issue 863)."""
    writer = Writer()
    writer.enum64("e", {"A": 1 << 33, "B": -1}, signed=True)
    writer.struct("s", 4, [])
    btf = writer.btf()
    assert btf.find("s", "struct") == 2
    assert [value.value for value in btf.type(1).values] == [1 << 33, -1]  # type: ignore[union-attr]


def test_kind_that_nobody_knows() -> None:
    """A kind from the future is an error that names it, unless the BTF's layout section says how to step over it."""
    writer = Writer()
    number = writer.integer("unsigned int", 4)
    writer.add("new", 25, 0, 1, 2, 3)
    writer.struct("s", 64, [("a", number, 64)])
    with pytest.raises(BtfMalformed, match=r"vmlinux: type 2 at 0x28: kind 25 is not known"):
        writer.btf()
    layout = [(0, 0)] * 25 + [(12, 0)]
    btf = Btf.parse(writer.image(layout=layout))
    assert btf.type(2).kind == "unknown"
    assert relocate(struct(), btf, 2, "0:0", insn=load(0)).target == 8
    module = Writer(base=btf)
    module.add("newer", 25, 0, 1, 2, 3)
    module.struct("own", 4, [])
    assert module.btf("module").find("own", "struct") == 5


@pytest.mark.parametrize(
    ("old", "new"),
    [("parent", "__parent"), ("i_mtime", "__i_mtime"), ("state", "__state")],
    ids=["kernfs_node 6.15: pulsar pull 351", "inode 6.7: kflowd issue 4", "task_struct 5.14"],
)
def test_renamed_member(old: str, new: str) -> None:
    """Two flavours in one object follow a renamed member: each kernel has one of them, and field_exists tells which."""
    local = Writer()
    number = local.integer("unsigned int", 4)
    local.struct("node___new", 64, [(new, number, 0)])
    local.struct("node___old", 64, [(old, number, 0)])
    for kernel, there in ((old, 3), (new, 2)):
        target = struct(24, kernel, "node")
        for type_id in (2, 3):
            exists = relocate(local, target, type_id, "0:0", rk.FIELD_EXISTS, mov(1))
            access = relocate(local, target, type_id, "0:0", insn=load(0))
            assert exists.target == int(type_id == there)
            assert access.outcome == ("patched" if type_id == there else "poisoned")
