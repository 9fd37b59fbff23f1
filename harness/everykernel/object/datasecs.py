"""Global variables: what clang leaves out of the BTF of a section of variables, put in from the ELF symbols.

Clang writes 0 for a datasec's size and its variables' offsets; libbpf fills them in before it hands the BTF to the
kernel (btf_fixup_datasec, libbpf 1.7). Functions and variables with hidden visibility become static there too, and so
they do here.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import Btf, kinds
from everykernel.btf.edit import Editor
from everykernel.errors import ObjectMalformed
from everykernel.object import elf
from everykernel.object.spec import DataSection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STATIC, GLOBAL, EXTERN = range(3)  # indexes of btf.kinds.LINKAGES
_HIDDEN = (1, 2)  # STV_INTERNAL, STV_HIDDEN
_LIMIT = 0xFFFFFFFF  # bytes in a map's value, and the largest offset in a datasec
_PERCPU = "percpu"
_HOLDERS = ("rodata", "data", "bss", _PERCPU)  # the last since libbpf 1.8
_NO_ELF_SECTION = (".kconfig", ".ksyms")


def datasecs(btf: Btf) -> Iterator[tuple[int, kinds.DataSec]]:
    """Yield the datasecs of an object's BTF with their ids."""
    words, offsets = btf.words()
    for number, at in enumerate(offsets, btf.first):
        if words[at + 1] >> 24 & 0x7F == kinds.DATASEC:
            found = btf.type(number)
            if isinstance(found, kinds.DataSec):
                yield number, found


def complete(btf: Btf, container: elf.Elf) -> Btf:
    """Return the BTF with sizes and offsets of its datasecs; the same one if there is nothing to do.

    Raises ObjectMalformed where the two disagree on what is inside a section.
    """
    sizes = {s.name: s.size for s in container.sections}
    symbols = {s.name: s for s in container.symbols if s.bind != elf.STB_LOCAL}
    editor = Editor(btf)
    changed = False
    for number, found in datasecs(btf):
        if found.name in _NO_ELF_SECTION:
            continue
        places = {}
        for entry in found.variables:
            variable = btf.type(entry.type)
            symbol = symbols.get(variable.name)
            if not isinstance(variable, (kinds.Var, kinds.Func)):
                raise ObjectMalformed(
                    f"holds a {variable.kind}, not a variable", where=f"{btf.name}: type {number} ({found.name})"
                )
            if isinstance(variable, kinds.Var) and variable.linkage == GLOBAL and symbol is not None:
                if symbol.value + entry.size > min(sizes.get(found.name, 0), _LIMIT):
                    raise ObjectMalformed(
                        f"ends past section {found.name} (at {symbol.value:#x}, {entry.size} bytes)",
                        where=f"{btf.name}: variable {variable.name!r}",
                    )
                places[entry.type] = symbol.value
                if symbol.visibility in _HIDDEN:
                    editor.set_linkage(entry.type, STATIC)
                    changed = True
        if not found.size and 0 < sizes.get(found.name, 0) <= _LIMIT:
            editor.set_section(number, sizes[found.name], places)
            changed = True
    for symbol in symbols.values():
        if symbol.type == elf.STT_FUNC and symbol.visibility in _HIDDEN:
            function = btf.find(symbol.name, "func")
            if function is not None:
                editor.set_linkage(function, STATIC)
                changed = True
    return Btf.parse(editor.image(), name=btf.name, pointer_size=btf.pointer_size) if changed else btf


def is_data(name: str) -> bool:
    """Whether a section of this name holds global variables (libbpf's bpf_object__elf_collect)."""
    return name.startswith(".") and name.split(".")[1] in _HOLDERS


def holds_variables(name: str, size: int) -> bool:
    """Whether a section of this name and size becomes a map for libbpf: none without a byte does."""
    return is_data(name) and size > 0


def sections(
    container: elf.Elf,
    ids: dict[str, int],
    btf: Optional[Btf],
    wanted: Callable[[str, int], bool] = holds_variables,
) -> dict[str, DataSection]:
    """Return the sections of global variables, which ``wanted`` tells by name and size; ``ids`` are the datasecs."""
    found = {}
    for section in container.sections:
        if not wanted(section.name, section.size):
            continue
        number = ids.get(section.name, 0)
        shared = False
        if btf is not None and number:
            variables = btf.type(number).variables  # type: ignore[union-attr]
            shared = any(btf.type(v.type).linkage != STATIC for v in variables)  # type: ignore[union-attr]
        if section.size > _LIMIT:
            raise ObjectMalformed(f"{section.size:#x} bytes are more than a map can hold", where=section.name)
        read_only = section.name.startswith(".rodata")
        percpu = section.name.split(".")[1] == _PERCPU
        found[section.name] = DataSection(section.name, section.size, section.data, read_only, number, shared, percpu)
    return found
