"""Objects into specs: programs, functions, references, maps, data, externs; and what is wrong with broken ones."""

from __future__ import annotations

import re
import struct

import pytest
from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import object as object_
from everykernel.errors import CaseError, ObjectMalformed, ObjectUnsupported
from everykernel.object import MapSpec, Reference

PROGRAM = e.MOV0 + e.EXIT


def _socket(code: bytes = PROGRAM) -> e.ObjectWriter:
    """An object with one socket filter and a licence."""
    writer = e.ObjectWriter()
    writer.code("socket", main=code)
    writer.section("license", b"GPL\0")
    return writer


def test_a_program() -> None:
    """A global function of a program section is a program of the type that the section's name says."""
    spec = object_.read(_socket().build(), "a.o")
    (program,) = spec.programs
    assert program.name == program.function == "main"
    assert program.rule is not None
    assert program.rule.type == "socket_filter"
    assert program.autoload
    assert spec.license == "GPL"
    assert spec.functions["main"].code == PROGRAM
    assert spec.btf is None
    assert spec.byteorder == "little"


def test_question_mark() -> None:
    """A program of a ``?`` section is not loaded by default; the mark is no part of the section's name."""
    writer = e.ObjectWriter()
    writer.code("?kprobe/f", main=PROGRAM)
    (program,) = object_.read(writer.build(), "a.o").programs
    assert (program.section, program.target, program.autoload) == ("kprobe/f", "f", False)


def test_several_programs_of_a_section() -> None:
    """A section may hold several programs; each has its own code."""
    writer = e.ObjectWriter()
    writer.code("xdp", one=PROGRAM, two=e.EXIT * 3)
    spec = object_.read(writer.build(), "a.o")
    assert [p.name for p in spec.programs] == ["one", "two"]
    assert spec.functions["two"].code == e.EXIT * 3
    assert spec.functions["two"].start == 16


def test_subprograms_and_calls() -> None:
    """Calls into .text, by a relocation or without one, and addresses of functions are references to functions."""
    writer = e.ObjectWriter()
    writer.code("socket", main=e.call() + e.load64() + e.call(0) + e.EXIT)
    writer.code(".text", first=e.call(0) + e.EXIT, second=e.EXIT * 2)
    writer.symbol(".text", ".text", kind=e.SECTION, bind=e.LOCAL)
    writer.relocate("socket", 0, "second", e.R_BPF_64_32)
    writer.relocate("socket", 8, "first")
    writer.relocate("socket", 24, ".text", e.R_BPF_64_32)
    # a call relative to the section's start: -1 + 8 * (imm + 1)
    code = writer.sections[1]
    writer.sections[1] = (code[0], code[1], code[2], code[3][:24] + e.call(1) + e.EXIT, code[4])
    first = writer.sections[2]
    writer.sections[2] = (first[0], first[1], first[2], e.call(1) + first[3][8:], first[4])
    spec = object_.read(writer.build(), "a.o")
    assert [p.name for p in spec.programs] == ["main"]
    assert spec.functions["main"].references == (
        Reference(0, "call", "second"),
        Reference(1, "function", "first"),
        Reference(3, "call", "second"),
    )
    assert spec.functions["first"].references == (Reference(0, "call", "second"),)
    assert spec.shared_section == ".text"


def test_text_alone_holds_programs() -> None:
    """If .text is the only code, its functions are programs, as in libbpf; their section stands for no type."""
    writer = e.ObjectWriter()
    writer.code(".text", main=PROGRAM)
    (program,) = object_.read(writer.build(), "a.o").programs
    assert program.rule is None


def _mapped() -> tuple[e.ObjectWriter, Writer]:
    """An object with two maps, and the BTF that defines them."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    long = btf.integer("unsigned long", 8)
    one, hundred, four = (btf.ptr(btf.array(integer, n)) for n in (1, 100, 4))
    key, value = btf.ptr(integer), btf.ptr(long)
    first = btf.struct(
        "", 32, [("type", one, 0), ("max_entries", hundred, 64), ("key", key, 128), ("value", value, 192)]
    )
    second = btf.struct("", 24, [("type", four, 0), ("key_size", four, 64), ("value_size", four, 128)])
    variables = [btf.var("counts", first), btf.var("events", second)]
    btf.datasec(".maps", 0, [(variables[0], 0, 32), (variables[1], 0, 24)])
    writer = _socket(e.load64() + e.load64() + e.EXIT)
    writer.section(".maps", bytes(56), flags=e.ALLOC | e.WRITE)
    writer.symbol("counts", ".maps", 0, 32, kind=e.OBJECT)
    writer.symbol("events", ".maps", 32, 24, kind=e.OBJECT)
    writer.relocate("socket", 0, "events")
    writer.relocate("socket", 16, "counts")
    writer.section(".BTF", btf.image(), flags=0)
    return writer, btf


def test_maps() -> None:
    """Maps defined in BTF have the sizes and types that their members say; programs refer to them by name."""
    writer, btf = _mapped()
    spec = object_.read(writer.build(), "a.o")
    counts = spec.maps["counts"]
    assert (counts.type, counts.key_size, counts.value_size, counts.max_entries) == (1, 4, 8, 100)
    assert counts.key_type == btf.btf().find("int", "int")
    assert spec.maps["events"] == MapSpec("events", 4, 4, 4)
    assert spec.functions["main"].references == (Reference(0, "map", "events"), Reference(2, "map", "counts"))


def _declared(*members: tuple[str, int], linkage: int = 1, pointee: int = 0, place: int = 0) -> e.ObjectWriter:
    """An object with one map whose members are numbers; its key is an int where ``pointee`` has that bit."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    fields = [(n, btf.ptr(btf.array(integer, value)), 64 * at) for at, (n, value) in enumerate(members)]
    if pointee:
        fields.append(("key", btf.ptr(integer), 64 * len(fields)))
    size = 8 * len(fields)
    btf.datasec(".maps", 2 * size, [(btf.var("counts", btf.struct("", size, fields), linkage=linkage), place, size)])
    writer = _socket(e.load64() + e.EXIT)
    writer.section(".maps", bytes(2 * size), flags=e.ALLOC | e.WRITE)
    writer.symbol("counts", ".maps", 0, size, kind=e.OBJECT)
    writer.relocate("socket", 0, "counts")
    writer.section(".BTF", btf.image(), flags=0)
    return writer


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ((("type", 2),), {"linkage": 0}, "unsupported map linkage static [libbpf takes global maps: take away static, "
         "__hidden or -fvisibility=hidden]"),
        ((("type", 2),), {"linkage": 9}, "unsupported map linkage 9 [libbpf takes global maps: take away static, "
         "__hidden or -fvisibility=hidden]"),
        ((("type", 2), ("pinning", 7)), {}, "invalid pinning value 7 [libbpf knows LIBBPF_PIN_NONE and "
         "LIBBPF_PIN_BY_NAME]"),
        ((("type", 2), ("key_size", 8)), {"pointee": 1}, "its key_size is 8 and 4"),
        ((("type", 2), ("value_size", 8), ("value_size", 4)), {}, "its value_size is 8 and 4"),
        ((("type", 3), ("values", 0), ("max_entries", 4)), {}, "its values are not its last member"),
    ],
)  # fmt: skip
def test_maps_that_libbpf_does_not_take(
    members: tuple[tuple[str, int], ...], options: dict[str, int], message: str
) -> None:
    """Linkage, pinning and sizes of a definition are checked as libbpf checks them when it opens the object."""
    with pytest.raises(CaseError) as caught:
        object_.read(_declared(*members, **options).build(), "a.o")
    assert str(caught.value) == f"a.o: map 'counts': {message}"


def test_a_size_of_zero_says_nothing() -> None:
    """A size of 0 beside a type is no contradiction, and what is pinned by name or not at all is read."""
    spec = object_.read(_declared(("type", 1), ("key_size", 0), ("pinning", 1), pointee=1).build(), "a.o")
    assert (spec.maps["counts"].key_size, spec.maps["counts"].pinning) == (4, 1)


def test_a_weak_map_that_gave_way() -> None:
    """Maps are where the BTF says: a linker may leave the symbol elsewhere, and libbpf finds no map there."""
    message = (
        "a.o: main: instruction 0: refers to 'counts' at .maps+0x0, where the object's BTF has no map [where a weak "
    )
    message += "map gave way to another in linking, link the object of that other one first]"
    with pytest.raises(ObjectMalformed, match=f"^{re.escape(message)}$"):
        object_.read(_declared(("type", 2), place=8).build(), "a.o")


def test_maps_without_btf() -> None:
    """Maps that nothing describes are no maps; the message says what was left out of the compiler's command."""
    writer = _socket()
    writer.section(".maps", bytes(8))
    message = r"^a.o: has maps in .maps, and no BTF that describes them \[compile it with -g\]$"
    with pytest.raises(ObjectUnsupported, match=message):
        object_.read(writer.build(), "a.o")


def test_legacy_maps() -> None:
    """A legacy maps section gives maps too, with a note that libbpf refuses it."""
    writer = _socket(e.load64() + e.EXIT)
    writer.section("maps", struct.pack("<5I", 2, 4, 8, 7, 1) + bytes(8))
    writer.symbol("old", "maps", 0, 28, kind=e.OBJECT)
    writer.relocate("socket", 0, "old")
    spec = object_.read(writer.build(), "a.o")
    assert spec.maps["old"] == MapSpec("old", 2, 4, 8, 7, 1, legacy=True)
    assert spec.functions["main"].references == (Reference(0, "map", "old"),)
    assert any("libbpf 1.x refuses" in note for note in spec.notes)


def test_data_sections() -> None:
    """Sections of variables keep their bytes; offsets that clang leaves out of the BTF come from the symbols."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    variables = [btf.var("first", integer), btf.var("second", integer), btf.var("quiet", integer, linkage=0)]
    datasec = btf.datasec(".data", 0, [(variables[0], 0, 4), (variables[1], 0, 4), (variables[2], 8, 4)])
    zeros = btf.datasec(".bss", 0, [(btf.var("zero", integer), 0, 4)])
    writer = _socket(e.load64() + e.load64(imm=8) + e.load64() + e.EXIT)
    writer.section(".data", struct.pack("<3i", 2, 1, 3), flags=e.ALLOC | e.WRITE)
    writer.section(".bss", flags=e.ALLOC | e.WRITE, kind=e.NOBITS, size=4096)
    writer.section(".rodata.words", b"hi\0")
    writer.symbol("first", ".data", 4, 4, kind=e.OBJECT)
    writer.symbol("second", ".data", 0, 4, kind=e.OBJECT)
    writer.symbol("zero", ".bss", 16, 4, kind=e.OBJECT)
    writer.symbol(".data", ".data", kind=e.SECTION, bind=e.LOCAL)
    writer.relocate("socket", 0, "first")
    writer.relocate("socket", 16, ".data")
    writer.relocate("socket", 32, "zero")
    writer.section(".BTF", btf.image(), flags=0)
    spec = object_.read(writer.build(), "a.o")
    assert spec.functions["main"].references == (
        Reference(0, "data", ".data", 4),
        Reference(2, "data", ".data", 0),  # of a section's symbol: the instruction holds the rest
        Reference(4, "data", ".bss", 16),
    )
    assert spec.data[".data"].data == struct.pack("<3i", 2, 1, 3)
    assert spec.data[".data"].shared
    assert (spec.data[".bss"].size, spec.data[".bss"].data) == (4096, b"")
    assert spec.data[".rodata.words"].read_only
    assert spec.btf is not None
    found = spec.btf.type(datasec)
    assert [(spec.btf.type(v.type).name, v.offset) for v in found.variables] == [  # type: ignore[union-attr]
        ("second", 0), ("first", 4), ("quiet", 8),
    ]  # fmt: skip
    assert spec.btf.type(zeros).size == 4096  # type: ignore[union-attr]


def test_variables_per_cpu() -> None:
    """Sections .percpu and .percpu.* hold variables of which each CPU has a copy; other names that begin so do not."""
    writer = _socket(e.load64() + e.EXIT)
    for name in (".percpu", ".percpu.mine", ".percpu_other", ".data"):
        writer.section(name, bytes(8), flags=e.ALLOC | e.WRITE)
    writer.symbol("v", ".percpu.mine", 4, 4, kind=e.OBJECT)
    writer.relocate("socket", 0, "v")
    spec = object_.read(writer.build(), "a.o")
    assert {name: s.percpu for name, s in spec.data.items()} == {".percpu": True, ".percpu.mine": True, ".data": False}
    assert spec.functions["main"].references == (Reference(0, "data", ".percpu.mine", 4),)


def test_externs() -> None:
    """Undefined symbols are externs, of the section that the BTF puts them in, weak or not."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    hz = btf.var("CONFIG_HZ", integer, linkage=2)
    function = btf.func("bpf_kfunc", btf.func_proto(integer, []), linkage=2)
    btf.datasec(".kconfig", 0, [(hz, 0, 4)])
    btf.datasec(".ksyms", 0, [(function, 0, 0)])
    writer = _socket(e.load64() + e.call() + e.EXIT)
    writer.symbol("CONFIG_HZ", 0, kind=e.NOTYPE, bind=e.WEAK)
    writer.symbol("bpf_kfunc", 0, kind=e.NOTYPE)
    writer.relocate("socket", 0, "CONFIG_HZ")
    writer.relocate("socket", 16, "bpf_kfunc", e.R_BPF_64_32)
    writer.section(".BTF", btf.image(), flags=0)
    spec = object_.read(writer.build(), "a.o")
    assert {x.name: (x.section, x.weak, x.function) for x in spec.externs.values()} == {
        "CONFIG_HZ": (".kconfig", True, False),
        "bpf_kfunc": (".ksyms", False, True),
    }
    kinds = [r.kind for r in spec.functions["main"].references]
    assert kinds == ["extern", "extern-call"]


@pytest.mark.parametrize(
    ("symbol", "section", "bind", "message"),
    [
        (
            "other", "", e.GLOBAL, "nothing in the object defines it, and no section (.ksyms, .kconfig) says where it "
            "is [link the objects of all sources first (bpftool gen object OUT.bpf.o A.bpf.o B.bpf.o); declare what is "
            "the kernel's __ksym, a setting __kconfig]",
        ),
        (
            "memcmp", "", e.WEAK, "nothing in the object defines it, and BPF has no C library [use a __builtin_mem… "
            "with a size that the compiler knows, a loop, or a helper such as bpf_strncmp]",
        ),
        ("setting", ".kconfig", e.GLOBAL, "a function is no setting"),
        ("other", None, e.GLOBAL, "nothing in the object defines it, and there is no BTF to say what it is "
         "[compile it with -g]"),
    ],
)  # fmt: skip
def test_what_nothing_defines(symbol: str, section: str | None, bind: int, message: str) -> None:
    """A symbol that is neither in the object nor in the kernel is nothing that libbpf opens, weak or not."""
    btf = Writer()
    function = btf.func(symbol, btf.func_proto(btf.integer("int", signed=True), []), linkage=2)
    if section:
        btf.datasec(section, 0, [(function, 0, 0)])
    writer = _socket(e.call() + e.EXIT)
    writer.symbol(symbol, 0, kind=e.NOTYPE, bind=bind)
    writer.relocate("socket", 0, symbol, e.R_BPF_64_32)
    if section is not None:
        writer.section(".BTF", btf.image(), flags=0)
    with pytest.raises(ObjectUnsupported) as caught:
        object_.read(writer.build(), "a.o")
    assert str(caught.value) == f"a.o: extern {symbol!r}: {message}"


def test_btf_ext_is_shared_out() -> None:
    """Records of .BTF.ext go to the function that holds their instruction, with their number in the section."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    struct_ = btf.struct("thing", 4, [("a", integer, 0)])
    proto = btf.func_proto(integer, [])
    one, two = btf.func("one", proto), btf.func("two", proto)
    ext = btf.ext(
        core={"xdp": [(0, struct_, "0:0", 0), (24, struct_, "0:0", 2)]},
        functions={"xdp": [(0, one), (16, two)]},
        lines={"xdp": [(0, "a.c", "one", 1 << 10), (16, "a.c", "two", 2 << 10), (24, "a.c", "more", 3 << 10)]},
    )
    writer = e.ObjectWriter()
    writer.code("xdp", one=PROGRAM, two=PROGRAM)
    writer.section(".BTF", btf.image(), flags=0)
    writer.section(".BTF.ext", ext, flags=0)
    spec = object_.read(writer.build(), "a.o")
    first, second = spec.functions["one"], spec.functions["two"]
    assert [(index, record.kind) for index, record in first.core] == [(0, 0)]
    assert [(index, record.kind) for index, record in second.core] == [(1, 2)]
    assert (first.func_info, second.func_info) == ((0, one), (16, two))
    assert [line.line for line in second.line_info] == [2, 3]


def test_static_programs() -> None:
    """A static function outside .text is nothing that libbpf takes; the remedy knows the second name of a program."""
    writer = e.ObjectWriter()
    writer.section("xdp", PROGRAM * 2, flags=e.ALLOC | e.EXECUTE)
    writer.symbol("main", "xdp", 0, 16)
    writer.symbol("helper", "xdp", 16, 16, bind=e.LOCAL)
    message = (
        "a.o: section 'xdp': function 'helper': is static, and libbpf takes no static programs [take static from a "
    )
    message += "program, and the section from a function that programs call]"
    with pytest.raises(ObjectUnsupported, match=f"^{re.escape(message)}$"):
        object_.read(writer.build(), "a.o")
    writer.symbols[1] = ("prog.main", 1, 0, 16, e.FUNC, e.LOCAL, 0)
    with pytest.raises(
        ObjectUnsupported, match=r"\[it is another name of 'main': compile so that only that one is left\]"
    ):
        object_.read(writer.build(), "a.o")


def test_functions_that_programs_call_are_in_text() -> None:
    """Calls and addresses of functions outside .text are nothing that libbpf links, with a relocation and without."""
    message = "instruction 0: calls xdp\\+0x10, and libbpf links functions of .text only \\[take the section from"
    for relocated in (True, False):
        writer = e.ObjectWriter()
        writer.code("xdp", main=e.call(-1 if relocated else 1) + e.EXIT, other=PROGRAM)
        if relocated:
            writer.relocate("xdp", 0, "other", e.R_BPF_64_32)
        with pytest.raises(ObjectUnsupported, match=message):
            object_.read(writer.build(), "a.o")
    writer = e.ObjectWriter()
    writer.code("xdp", main=e.load64(src=4) + e.EXIT, other=PROGRAM)
    writer.relocate("xdp", 0, "other")
    with pytest.raises(ObjectUnsupported, match=r"takes the address of xdp\+0x18, and libbpf links functions of .text"):
        object_.read(writer.build(), "a.o")


def test_other_names_of_a_function() -> None:
    """Of two names of a program libbpf relocates one, which a note says; in .text either is the same function."""
    writer = e.ObjectWriter()
    writer.code("xdp", main=e.load64() + e.EXIT)
    writer.symbol("again", "xdp", 0, 24)
    writer.code("tc", caller=e.call() + e.EXIT)
    writer.code(".text", helper=PROGRAM)
    writer.symbol("helper.alias", ".text", 0, 16, bind=e.LOCAL)
    writer.section(".data", bytes(8), flags=e.ALLOC | e.WRITE)
    writer.symbol("v", ".data", 0, 8, kind=e.OBJECT)
    writer.relocate("xdp", 0, "v")
    writer.relocate("tc", 0, "helper.alias", e.R_BPF_64_32)
    spec = object_.read(writer.build(), "a.o")
    assert [p.name for p in spec.programs] == ["main", "again", "caller"]
    assert [r.kind for r in spec.functions["main"].references] == ["data"]
    assert spec.functions["caller"].references == (Reference(0, "call", "helper"),)
    assert spec.functions["again"].references == ()
    assert spec.notes == ("xdp: 'again' is another name of 'main': libbpf relocates one of them",)


def test_no_elf() -> None:
    """Bytes that are no ELF file are malformed, and the message shows how they start."""
    with pytest.raises(ObjectMalformed, match=r"^a\.o: is no ELF file \(it starts with 23212f62\)$"):
        object_.read(b"#!/bin/sh\n", "a.o")


def test_other_machines() -> None:
    """A sound file of another machine is unsupported, and the remedy says how to compile one."""
    with pytest.raises(ObjectUnsupported, match=r"a.o: holds no BPF code: EM_X86_64 ET_REL \[compile it with clang"):
        object_.read(e.ObjectWriter(machine=62).build(), "a.o")
    with pytest.raises(ObjectUnsupported, match="holds no BPF code: EM_BPF ET_EXEC"):
        object_.read(e.ObjectWriter(elf_type=2).build(), "a.o")


def test_big_endian() -> None:
    """A big-endian object is read like any other: whether it can be loaded is for the loader to say."""
    spec = object_.read(e.bpf_object({"socket": PROGRAM}, [("main", "socket", 0, 16)], {}, big=True), "a.o")
    assert spec.byteorder == "big"


@pytest.mark.parametrize(
    ("offset", "symbol", "message"),
    [
        (4, "helper", "main: instruction 0: a relocation at 0x4 is inside an instruction"),
        (0, "absolute", "main: instruction 0: refers to 'absolute' in special section 0xfff1"),
        (0, ".text", "main: instruction 0: takes the address of .text\\+0x8, where no function starts"),
        (24, "helper", "main: instruction 3: a 64-bit load lacks its second half"),
    ],
)
def test_broken_relocations(offset: int, symbol: str, message: str) -> None:
    """A relocation that refers to nothing is malformed, and the message names program and instruction."""
    writer = _socket(e.load64() + e.EXIT + e.load64()[:8])
    writer.code(".text", helper=PROGRAM)
    writer.symbol("absolute", 0xFFF1, 0, 0, kind=e.OBJECT)
    writer.symbol(".text", ".text", 8, 0, kind=e.SECTION, bind=e.LOCAL)
    writer.relocate("socket", offset, symbol)
    with pytest.raises(ObjectMalformed, match=message):
        object_.read(writer.build(), "a.o")


def test_relocation_of_another_instruction() -> None:
    """A relocation of an instruction that is neither a call nor a 64-bit load is one that no loader takes."""
    writer = _socket()
    writer.relocate("socket", 0, "main")
    with pytest.raises(ObjectUnsupported, match="a relocation against 'main' of an instruction 0xb7"):
        object_.read(writer.build(), "a.o")


def test_functions_that_overlap_or_end_outside() -> None:
    """Function symbols have to lie inside their section, one after another."""
    writer = _socket()
    writer.symbol("second", "socket", 8, 16)
    with pytest.raises(ObjectMalformed, match="function 'second': at 0x8 overlaps the function before it"):
        object_.read(writer.build(), "a.o")
    writer = e.ObjectWriter()
    writer.section("socket", PROGRAM, flags=e.ALLOC | e.EXECUTE)
    writer.symbol("main", "socket", 0, 24)
    with pytest.raises(ObjectMalformed, match=r"function 'main': ends past the section \(end 0x18, size 0x10\)"):
        object_.read(writer.build(), "a.o")


def test_every_truncation_is_malformed() -> None:
    """Wherever a file is cut off, it is malformed, never a crash."""
    data = _mapped()[0].build()
    for length in range(len(data)):
        with pytest.raises((ObjectMalformed, ObjectUnsupported)):
            object_.read(data[:length], "a.o")


def _table(value: int, size: int) -> e.ObjectWriter:
    writer = _socket(e.load64() + e.EXIT)
    writer.section(".jumptables", struct.pack("<3Q", 8, 16, 24), flags=0)
    writer.symbol("BPF.JT.0.0", ".jumptables", value, size, kind=e.OBJECT, bind=e.LOCAL)
    writer.relocate("socket", 0, "BPF.JT.0.0")
    return writer


def test_jump_tables() -> None:
    """A reference into .jumptables is to the table of its symbol, whose size is the symbol's."""
    spec = object_.read(_table(8, 16).build(), "a.o")
    assert spec.functions["main"].references == (Reference(0, "table", ".jumptables+0x8"),)
    assert spec.tables == {".jumptables+0x8": (16, 24)}


@pytest.mark.parametrize(("value", "size"), [(4, 8), (0, 12), (0, 0), (16, 16), (1 << 62, 8)])
def test_broken_jump_tables(value: int, size: int) -> None:
    """A table that is not inside its section, or no whole number of entries, is malformed."""
    message = f"refers to .jumptables\\+{value:#x}, where no jump table of {size} bytes can be"
    with pytest.raises(ObjectMalformed, match=message):
        object_.read(_table(value, size).build(), "a.o")
