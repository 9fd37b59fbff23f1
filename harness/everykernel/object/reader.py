"""From an object's bytes to its `ObjectSpec`.

What an instruction refers to is decided as libbpf 1.7 decides it (bpf_object__collect_relos and
bpf_program__record_reloc), with the exceptions that the spec's notes name.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import Btf, kinds
from everykernel.btf import ext as btf_ext
from everykernel.dataclass import replace
from everykernel.errors import BtfMalformed, ObjectMalformed, ObjectUnsupported
from everykernel.object import datasecs, elf, maps, struct_ops
from everykernel.object.code import ARENA_SECTION, TEXT, Layout, functions
from everykernel.object.reading import LIBBPF, Reading
from everykernel.object.spec import Extern, MapSpec, ObjectSpec, ProgramSpec
from everykernel.object.tags import with_exceptions

if TYPE_CHECKING:
    from everykernel.object.spec import Function


def read(data: bytes, name: str, reading: Reading = LIBBPF) -> ObjectSpec:
    """Return what an object says to a loader that opens it by ``reading``; ``name`` stands in messages.

    Raises ObjectMalformed for bytes that contradict themselves (any damage to .BTF included), ObjectUnsupported for
    what no loader takes.
    """
    container = elf.read(bytes(data), name)
    by_name = {s.name: s for s in container.sections}
    btf, ext, ids = _types(container, by_name, name)
    notes: list[str] = []
    declared, places, map_sections = _maps(container, by_name, btf, ids, name, notes, reading)
    data_sections = datasecs.sections(container, ids, btf, reading.variables)
    externs = _externs(container, btf, ids, name, undefined=reading.undefined)
    arena = _arena(declared, by_name)
    layout = Layout(container, ext, places, map_sections, data_sections, externs, name, {}, arena, reading)
    code = functions(layout, notes)
    if btf is not None and reading.exceptions:
        code = with_exceptions(code, btf)
    programs = _programs(code, reading)
    spec = ObjectSpec(
        name=name,
        byteorder=container.byteorder,
        license=_license(by_name, reading.no_license),
        kernel_version=int.from_bytes(by_name["version"].data[:4], container.byteorder) if "version" in by_name else 0,  # type: ignore[arg-type]
        btf=btf,
        programs=tuple(programs),
        functions={f.name: f for f in code},
        maps=declared,
        data=data_sections,
        tables=layout.tables,
        externs=externs,
        struct_ops=tuple(struct_ops.declared(container, ids, btf, code, name, reading)) if btf is not None else (),
        core_sections=tuple(ext.core),
        shared_section=TEXT if any(p.section != TEXT for p in programs) else "",
        notes=tuple(notes),
    )
    for check in reading.checks:
        check(container, btf, spec)
    return spec


def _types(
    container: elf.Elf, by_name: dict[str, elf.Section], name: str
) -> tuple[Optional[Btf], btf_ext.BtfExt, dict[str, int]]:
    """Return the object's BTF (completed), its .BTF.ext, and its datasecs' ids by name."""
    if ".BTF" not in by_name:
        return None, btf_ext.BtfExt(), {}
    try:
        btf = Btf.parse(by_name[".BTF"].data, name=name, pointer_size=8)
        ext = btf_ext.BtfExt()
        if ".BTF.ext" in by_name:
            ext = btf_ext.parse(by_name[".BTF.ext"].data, btf, name=name)
        btf = datasecs.complete(btf, container)
        return btf, ext, {found.name: number for number, found in datasecs.datasecs(btf)}
    except BtfMalformed as e:
        raise ObjectMalformed(e.message, where=e.where or name) from e


def _license(by_name: dict[str, elf.Section], default: str) -> str:
    if "license" not in by_name:
        return default
    return by_name["license"].data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _maps(
    container: elf.Elf,
    by_name: dict[str, elf.Section],
    btf: Optional[Btf],
    ids: dict[str, int],
    name: str,
    notes: list[str],
    reading: Reading,
) -> tuple[dict[str, MapSpec], dict[tuple[int, int], str], set[int]]:
    """Return the maps, their names by (section, offset), and the indexes of the sections that declare maps."""
    found: dict[str, MapSpec] = {}
    places: dict[tuple[int, int], str] = {}
    holders: set[int] = set()
    for section in container.sections:
        if section.name == "maps" or section.name.startswith("maps/") or section.name.endswith("/maps"):
            holders.add(section.number)
            here = maps.legacy(section.data, container.symbols, section, container.byteorder, name)
            found.update({n: spec for n, (spec, _) in here.items()})
            places.update({(section.number, place): n for n, (_, place) in here.items()})
            if here:
                notes.append(f"legacy maps section {section.name!r}: libbpf 1.x refuses this object")
    if ".maps" in by_name and by_name[".maps"].size:
        if btf is None or ".maps" not in ids:
            raise ObjectUnsupported(
                "has maps in .maps, and no BTF that describes them", where=name, remedy="compile it with -g"
            )
        section = by_name[".maps"]
        holders.add(section.number)
        try:
            here = maps.declared(btf, container.symbols, section, ids[".maps"], name, reading)
            relocations = container.relocations.get(section.number, [])
            found.update(maps.with_slots(btf, ids[".maps"], here, relocations, name))
        except BtfMalformed as e:
            raise ObjectMalformed(e.message, where=e.where or name) from e
        places.update({(section.number, place): n for n, (_, place) in here.items()})
    return found, places, holders


def _arena(declared: dict[str, MapSpec], by_name: dict[str, elf.Section]) -> str:
    """Give the variables of an arena to its map, which they lie in from its start on; return the map's name."""
    name = next((n for n, spec in declared.items() if spec.type == maps.MAP_TYPE["arena"]), "")
    if name and ARENA_SECTION in by_name:
        declared[name] = replace(declared[name], content=by_name[ARENA_SECTION].data)
    return name


def _externs(
    container: elf.Elf, btf: Optional[Btf], ids: dict[str, int], name: str, *, undefined: bool
) -> dict[str, Extern]:
    """Return the externs: undefined symbols, with the section that the BTF puts them in (bpf_object__collect_externs).

    Raises ObjectUnsupported for one that nothing says where to find, as libbpf refuses the object then; with
    ``undefined``, such a one is of no section.
    """
    typed: dict[str, tuple[str, int, bool]] = {}
    for section in (".kconfig", ".ksyms"):
        if btf is not None and section in ids:
            for entry in btf.type(ids[section]).variables:  # type: ignore[union-attr]
                variable = btf.type(entry.type)
                if not isinstance(variable, (kinds.Var, kinds.Func)):
                    raise ObjectMalformed(f"{section} holds a {variable.kind}, not an extern", where=btf.name)
                if section == ".kconfig" and isinstance(variable, kinds.Func):
                    raise ObjectUnsupported("a function is no setting", where=f"{name}: extern {variable.name!r}")
                typed[variable.name] = (section, entry.type, isinstance(variable, kinds.Func))
    found = {}
    for symbol in container.symbols:
        extern = symbol.type == elf.STT_NOTYPE and symbol.bind in (elf.STB_GLOBAL, elf.STB_WEAK)
        if symbol.section == elf.SHN_UNDEF and symbol.name and extern:
            if symbol.name not in typed and undefined:
                found[symbol.name] = Extern(symbol.name, "", 0, symbol.bind == elf.STB_WEAK, function=True)
                continue
            if symbol.name not in typed:
                raise _undefined(symbol.name, name, debug=btf is not None)
            section, number, function = typed[symbol.name]
            found[symbol.name] = Extern(symbol.name, section, number, symbol.bind == elf.STB_WEAK, function)
    return found


# What compilers call on their own, or authors out of habit.
_C_LIBRARY = frozenset(("memcmp", "memcpy", "memmove", "memset", "bcmp", "strcmp", "strncmp", "strcpy", "strlen"))


def _undefined(symbol: str, name: str, *, debug: bool) -> ObjectUnsupported:
    """Return what to raise for a symbol that nothing defines."""
    what = "nothing in the object defines it"
    if symbol in _C_LIBRARY:
        what += ", and BPF has no C library"
        remedy = "use a __builtin_mem… with a size that the compiler knows, a loop, or a helper such as bpf_strncmp"
    elif debug:
        what += ", and no section (.ksyms, .kconfig) says where it is"
        remedy = "link the objects of all sources first (bpftool gen object OUT.bpf.o A.bpf.o B.bpf.o); "
        remedy += "declare what is the kernel's __ksym, a setting __kconfig"
    else:
        what += ", and there is no BTF to say what it is"
        remedy = "compile it with -g"
    return ObjectUnsupported(what, where=f"{name}: extern {symbol!r}", remedy=remedy)


def _programs(code: list[Function], reading: Reading) -> list[ProgramSpec]:
    """Return the programs: the functions of every section but .text (of .text too, if it is all there is)."""
    elsewhere = any(f.section != TEXT for f in code)
    programs = []
    for function in code:
        if function.section == TEXT and elsewhere:
            continue
        optional = function.section.startswith("?")
        section = function.section[1:] if optional else function.section
        autoload = not (optional and reading.optional)
        rule, target = reading.match(section)
        programs.append(ProgramSpec(function.name, section, rule, target, autoload, function.name))
    return programs
