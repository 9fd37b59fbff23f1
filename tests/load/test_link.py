"""Programs and their subprograms become one run of instructions, as libbpf lays them out."""

from __future__ import annotations

import struct

from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import object as object_
from everykernel.load.programs.link import link, reached
from everykernel.load.programs.patch import Resolved
from everykernel.object import Function, ObjectSpec
from everykernel.object.spec import DATA, MAP, Reference


def _spec() -> ObjectSpec:
    """main calls b, b calls a, main takes the address of c; with function and line information."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    proto = btf.func_proto(integer, [])
    main = btf.func("main", proto)
    a, b, c = (btf.func(name, proto, linkage=0) for name in "abc")
    ext = btf.ext(
        functions={"socket": [(0, main)], ".text": [(0, a), (16, b), (32, c)]},
        lines={"socket": [(0, "x.c", "main", 1 << 10)], ".text": [(at, "x.c", "f", at << 10) for at in (0, 16, 32)]},
    )
    writer = e.ObjectWriter()
    writer.code("socket", main=e.call() + e.load64() + e.EXIT)
    writer.code(".text", a=e.MOV0 + e.EXIT, b=e.call(-3) + e.EXIT, c=e.MOV0 + e.EXIT)
    writer.relocate("socket", 0, "b", e.R_BPF_64_32)
    writer.relocate("socket", 8, "c")
    writer.section(".BTF", btf.image(), flags=0)
    writer.section(".BTF.ext", ext, flags=0)
    return object_.read(writer.build(), "x.o")


def test_order_and_calls() -> None:
    """A subprogram lands where it is first reached, depth first, and calls are relative to where it landed."""
    spec = _spec()
    parts = reached(spec.functions["main"], spec.functions)
    assert [f.name for f in parts] == ["main", "b", "a", "c"]
    linked = link(parts, {f.name: f.code for f in parts}, {}, {}, "little")
    assert [(start, f.name) for start, f in linked.places] == [(0, "main"), (4, "b"), (6, "a"), (8, "c")]
    code = bytes(linked.code)
    assert code[:8] == e.call(3)  # from 0 to 4
    assert code[8:24] == e.load64(src=4, imm=6)  # BPF_PSEUDO_FUNC, from 1 to 8
    assert code[32:40] == e.call(1)  # from 4 to 6


def test_information_moves_along() -> None:
    """func_info and line_info count from the start of the linked program."""
    spec = _spec()
    parts = reached(spec.functions["main"], spec.functions)
    linked = link(parts, {f.name: f.code for f in parts}, {}, {}, "little")
    funcs = list(struct.iter_unpack("=2I", linked.func_info))
    assert [start for start, _ in funcs] == [0, 4, 6, 8]
    lines = list(struct.iter_unpack("=4I", linked.line_info))
    assert [(start, column >> 10) for start, _, _, column in lines] == [(0, 1), (4, 16), (6, 0), (8, 32)]


def test_no_information_unless_for_all() -> None:
    """The kernel wants function information for all or none."""
    writer = e.ObjectWriter()
    writer.code("socket", main=e.MOV0 + e.EXIT)
    spec = object_.read(writer.build(), "x.o")
    linked = link([spec.functions["main"]], {"main": spec.functions["main"].code}, {}, {}, "little")
    assert (linked.func_info, linked.line_info) == (b"", b"")


def test_maps_data_and_externs() -> None:
    """Loads of maps, of variables and of externs carry what the kernel expects in registers and immediates."""
    writer = e.ObjectWriter()
    writer.code("socket", main=e.load64() + e.load64() + e.load64() + e.load64() + e.call() + e.call() + e.EXIT)
    writer.section("maps", struct.pack("<5I", 2, 4, 4, 1, 0))
    writer.section(".data", bytes(16), flags=e.ALLOC | e.WRITE)
    writer.symbol("m", "maps", 0, 20, kind=e.OBJECT)
    writer.symbol("v", ".data", 12, 4, kind=e.OBJECT)
    for name in ("address", "weak", "kfunc", "gone"):
        writer.symbol(name, 0, kind=e.NOTYPE)
    btf = Writer()
    integer = btf.integer("int", signed=True)
    proto = btf.func_proto(integer, [])
    externs = [btf.var(n, integer, linkage=2) for n in ("address", "weak")]
    externs += [btf.func(n, proto, linkage=2) for n in ("kfunc", "gone")]
    btf.datasec(".ksyms", 0, [(number, 0, 0) for number in externs])
    writer.section(".BTF", btf.image(), flags=0)
    for number, name in enumerate(("m", "v", "address", "weak")):
        writer.relocate("socket", 16 * number, name)
    for number, name in enumerate(("kfunc", "gone")):
        writer.relocate("socket", 64 + 8 * number, name, e.R_BPF_64_32)
    spec = object_.read(writer.build(), "x.o")
    resolved = {
        "address": Resolved("address", 0xFFFFFFFF81000010),
        "weak": Resolved("missing"),
        "kfunc": Resolved("kfunc", 77, slot=2),
        "gone": Resolved("missing"),
    }
    function = spec.functions["main"]
    code = bytes(link([function], {"main": function.code}, {"m": 5, ".data": 6}, resolved, "little").code)
    assert code[:16] == e.load64(src=1, imm=5)
    assert code[16:32] == e.insn(0x18, 1, 2, 0, 6) + e.insn(0, imm=12)
    assert code[32:48] == e.insn(0x18, 1, 0, 0, 0x81000010 - (1 << 32)) + e.insn(0, imm=-1)
    assert code[48:64] == e.load64()
    assert code[64:72] == e.insn(0x85, 0, 2, 2, 77)
    assert code[72:80] == e.insn(0x85, 0, 0, 0, 2002000000)


def test_recursion_ends() -> None:
    """Functions that call each other are linked once each; the verifier refuses them, not we."""
    writer = e.ObjectWriter()
    writer.code("socket", main=e.call() + e.EXIT)
    writer.code(".text", one=e.call(0), other=e.call(-2) + e.EXIT)
    writer.relocate("socket", 0, "one", e.R_BPF_64_32)
    spec = object_.read(writer.build(), "x.o")
    assert [f.name for f in reached(spec.functions["main"], spec.functions)] == ["main", "one", "other"]


def test_a_map_that_is_not_there_becomes_calls_of_no_helper() -> None:
    """Both halves of the load call what no kernel has: libbpf's number and the map's place among the maps."""
    load = Function("f", "socket", 0, e.load64() + e.EXIT, (Reference(0, MAP, "gone"),), (), None, ())
    code = bytes(link([load], {"f": load.code}, {"there": 5, "gone": -1}, {}, "little").code)
    assert code == 2 * struct.pack("<BBhi", 0x85, 0, 0, 2001000001) + e.EXIT


def test_what_core_put_into_a_load_is_kept() -> None:
    """A variable's offset is added to the immediate, which CO-RE may have changed; a map's load keeps its high half.

    GCC 12 puts the record of a field's access on the load of the variable's address; libbpf adds the two.
    """
    references = (Reference(0, DATA, ".bss", 8), Reference(2, MAP, "m"))
    load = Function("f", "socket", 0, e.load64() + e.load64() + e.EXIT, references, (), None, ())
    relocated = e.load64(imm=96) + e.insn(0x18, 1, 0, 0, 16) + e.insn(0, imm=1) + e.EXIT
    code = bytes(link([load], {"f": relocated}, {".bss": 5, "m": 6}, {}, "little").code)
    assert code[:16] == e.insn(0x18, 1, 2, 0, 5) + e.insn(0, imm=104)
    assert code[16:32] == e.insn(0x18, 1, 1, 0, 6) + e.insn(0, imm=1)
