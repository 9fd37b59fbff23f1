"""Externs: what the loader has to find for an object: kernel configuration, kernel symbols, kernel functions.

The rules are libbpf 1.7's (bpf_object__collect_externs, bpf_object__resolve_externs). Configuration comes from
``/boot/config-$(uname -r)`` or ``/proc/config.gz``, typed symbols and functions from the kernel's BTF, symbols without
a type from ``/proc/kallsyms``.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING, NamedTuple, Optional

from everykernel.btf import Btf, SizeUnknown, kinds
from everykernel.btf.edit import Editor
from everykernel.btf.index import essential
from everykernel.load.link import PSEUDO_BTF_ID, PSEUDO_KFUNC_CALL, PSEUDO_MAP_VALUE, source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.load.kernel import KernelTypes
    from everykernel.object import Extern, ObjectSpec

POISON_KFUNC = 2002000000  # libbpf's POISON_CALL_KFUNC_BASE
_SETTING_LIMIT = 1 << 16  # bytes
_GLOBAL = 1  # index of btf.kinds.LINKAGES
_IMM = struct.Struct("=i")


class Resolved(NamedTuple):
    """What one extern came to.

    ``kind``: ``kconfig`` (at ``offset`` of the .kconfig map, whose descriptor is ``value``), ``address``, ``btf`` (a
    variable's BTF id), ``kfunc`` (a function's BTF id, ``slot`` in the descriptor array) or ``missing``.
    """

    kind: str
    value: int = 0
    offset: int = 0
    slot: int = 0
    code: str = ""
    message: str = ""

    def patch(self, code: bytearray, at: int, *, call: bool) -> None:
        """Fill in the instruction at byte ``at``; a call of what is not there fails if it is reached."""
        if call:
            found = self.kind == "kfunc"
            source(code, at, PSEUDO_KFUNC_CALL if found else 0)
            _IMM.pack_into(code, at + 4, self.value if found else POISON_KFUNC)
            struct.pack_into("=h", code, at + 2, self.slot if found else 0)
            return
        low, high, register = self.value & 0xFFFFFFFF, self.value >> 32, 0
        if self.kind == "kconfig":
            high, register = self.offset, PSEUDO_MAP_VALUE
        elif self.kind in ("btf", "kfunc"):
            high, register = self.slot, PSEUDO_BTF_ID
        source(code, at, register)
        struct.pack_into("=I", code, at + 4, low)
        struct.pack_into("=I", code, at + 12, high)


class Resolution:
    """The externs of one object on one kernel.

    Attributes:
        resolved: by name; missing ones that are not weak have a reason code.
        kconfig: bytes of the .kconfig map (empty: no map is needed).
        descriptors: of modules' BTFs, from index 1 of the kernel's descriptor array on.
    """

    def __init__(self, spec: ObjectSpec, kernel: KernelTypes) -> None:
        self.resolved: dict[str, Resolved] = {}
        self.kconfig = b""
        self.descriptors: list[int] = []
        self.places: dict[str, int] = {}
        self._config: Optional[Mapping[str, str]] = None
        self._probes = kernel.probes
        data = bytearray()
        for extern in spec.externs.values():
            if extern.section == ".kconfig" and spec.btf is not None:
                self._kconfig(extern, spec.btf, data)
            elif extern.section == ".ksyms":
                self.resolved[extern.name] = self._symbol(extern, spec.btf, kernel)
            else:
                self.resolved[extern.name] = _missing(
                    extern, "ksym-missing", "no section says where it is (.kconfig, .ksyms)"
                )
        self.kconfig = bytes(data)

    def place_kconfig(self, fd: int) -> None:
        """Put the descriptor of the .kconfig map into the externs that live there."""
        for name, offset in self.places.items():
            if self.resolved[name].kind == "kconfig":
                self.resolved[name] = Resolved("kconfig", fd, offset)

    def _kconfig(self, extern: Extern, btf: Btf, data: bytearray) -> None:
        type_id = btf.type(extern.type_id).type  # type: ignore[union-attr]
        try:
            size = btf.size_of(type_id)
        except SizeUnknown:
            size = _SETTING_LIMIT + 1
        if size > _SETTING_LIMIT:
            self.resolved[extern.name] = _missing(
                extern, "object-malformed", "its type is none that a setting can have"
            )
            return
        align = min(8, size & -size) if size else 1
        data += bytes(-len(data) % align)
        self.places[extern.name] = len(data)
        text = self._setting(extern.name)
        if text is None and not extern.weak:
            data += bytes(size)
            self.resolved[extern.name] = _missing(
                extern, "kconfig-missing", "the kernel's configuration does not have it"
            )
            return
        data += setting_bytes(btf, type_id, size, text)
        self.resolved[extern.name] = Resolved("kconfig", 0, self.places[extern.name])

    def _setting(self, name: str) -> Optional[str]:
        if name == "LINUX_KERNEL_VERSION":
            return str(kernel_version())
        if name == "LINUX_HAS_SYSCALL_WRAPPER":
            return "y" if self._probes.syscall_wrapper() else "n"
        if name == "LINUX_HAS_BPF_COOKIE":
            return "y" if self._probes.cookie() else "n"
        if not name.startswith("CONFIG_"):
            return None
        if self._config is None:
            self._config = kernel_config()
        return self._config.get(name)

    def _symbol(self, extern: Extern, local: Optional[Btf], kernel: KernelTypes) -> Resolved:
        if extern.function:
            return self._function(extern, kernel)
        assert local is not None
        if local.kind(local.resolve(local.type(extern.type_id).type)) == kinds.VOID:  # type: ignore[union-attr]
            found = symbol_address(extern.name)
            return (
                Resolved("address", found)
                if found
                else _missing(extern, "ksym-missing", "the kernel has no such symbol")
            )
        if kernel.vmlinux is None:
            return _missing(extern, "btf-missing", "a typed symbol needs the kernel's BTF, and it has none")
        number = kernel.vmlinux.find(extern.name, "var")
        if number is None:
            return _missing(extern, "ksym-missing", "the kernel's BTF has no such variable")
        return Resolved("btf", number)

    def _function(self, extern: Extern, kernel: KernelTypes) -> Resolved:
        name = essential(extern.name)
        if kernel.vmlinux is None:
            return _missing(extern, "btf-missing", "a kernel function needs the kernel's BTF, and it has none")
        number = kernel.vmlinux.find(name, "func")
        if number is not None:
            return Resolved("kfunc", number)
        for module in kernel.target.modules:
            own = [n for n in module.own_named(name) if module.kind(n) == kinds.FUNC]
            found = kernel.module(module.name)
            if own and found is not None:
                self.descriptors.append(found[1])
                return Resolved("kfunc", own[0], slot=len(self.descriptors))
        return _missing(extern, "kfunc-missing", "the kernel has no such function in its BTF")


def _missing(extern: Extern, code: str, why: str) -> Resolved:
    """A weak extern that is missing is 0; a strong one fails the programs that use it."""
    return Resolved("missing", code="" if extern.weak else code, message=f"extern {extern.name!r}: {why}")


def setting_bytes(btf: Btf, type_id: int, size: int, text: Optional[str]) -> bytes:
    """Return a configuration value as its variable's type holds it: bool, char, tristate enum, number or string."""
    if text is None:
        return bytes(size)
    found = btf.type(btf.resolve(type_id))
    order = "little" if btf.byteorder == "little" else "big"
    if isinstance(found, kinds.Array):
        return text.strip('"').encode()[: size - 1].ljust(size, b"\0")
    tristate = {"n": 0, "y": 1, "m": 2}.get(text)
    if isinstance(found, kinds.Int) and found.size == 1 and not found.is_bool and tristate is not None:
        return text.encode()
    value = tristate if tristate is not None else int(text, 0)
    return (value & (1 << 8 * size) - 1).to_bytes(size, order)  # type: ignore[arg-type]


def kernel_version() -> int:
    """Return LINUX_KERNEL_VERSION as libbpf does: Debian keeps the upstream version in ``uname -v``."""
    system = os.uname()
    found = re.search(r"Debian (\d+)\.(\d+)\.(\d+)", system.version) or re.match(
        r"(\d+)\.(\d+)(?:\.(\d+))?", system.release
    )
    if found is None:
        return 0
    major, minor, patch = (int(part or 0) for part in found.groups())
    return (major << 16) + (minor << 8) + min(patch, 255)


def kernel_config() -> Mapping[str, str]:
    """Return the kernel's build configuration, empty where it cannot be read."""
    import gzip

    for path, opener in ((f"/boot/config-{os.uname().release}", open), ("/proc/config.gz", gzip.open)):
        try:
            with opener(path, "rt") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        return dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_"))
    return {}


_symbols: dict[str, int] = {}
_CHUNK = 1 << 16


def symbol_address(name: str) -> int:
    """Return a kernel symbol's address from /proc/kallsyms, 0 where there is none.

    The kernel writes the file line by line, which takes seconds for all of it in an emulated machine: reading ends
    where the symbol is found.
    """
    if name not in _symbols:
        wanted = re.compile(rb"^([0-9a-f]+) . " + re.escape(name.encode("utf-8", "surrogateescape")) + rb"[\t\n]", re.M)
        rest, found = b"\n", None
        with open("/proc/kallsyms", "rb", buffering=0) as file:  # noqa: PTH123 - 10 MB, searched as they are
            while found is None:
                chunk = file.read(_CHUNK)
                if not chunk:
                    break
                found = wanted.search(rest + chunk)
                rest = chunk[chunk.rfind(b"\n") :]
        _symbols[name] = int(found[1], 16) if found else 0
    return _symbols[name]


def for_kernel(btf: Btf, places: Mapping[str, int], size: int) -> Btf:
    """Return an object's BTF in which externs are what the kernel takes; the same BTF if there are none.

    The kernel knows neither extern variables nor functions in a datasec. libbpf puts dummy variables there; here
    ``.ksyms`` becomes a union of ints with the externs' names, which no kernel refuses and nothing refers to.
    """
    secs = {name: btf.find(name, "datasec") for name in (".kconfig", ".ksyms")}
    if not any(secs.values()):
        return btf
    editor = Editor(btf)
    words = editor.words
    integer = editor.add_int("int", 4)
    if secs[".kconfig"]:
        variables = btf.type(secs[".kconfig"]).variables  # type: ignore[union-attr]
        editor.set_section(secs[".kconfig"], size, {v.type: places.get(btf.type(v.type).name, 0) for v in variables})
        for variable in variables:
            editor.set_linkage(variable.type, _GLOBAL)
    if secs[".ksyms"]:
        at = editor.at(secs[".ksyms"])
        count = words[at + 1] & 0xFFFFFF
        words[at] = editor.string("_ksyms")
        words[at + 1], words[at + 2] = kinds.UNION << 24 | count, 4
        for item in range(at + 3, at + 3 + 3 * count, 3):
            _make_known(editor, btf, words[item], integer)
            words[item : item + 3] = type(words)("I", (words[editor.at(words[item])], integer, 0))
    return Btf.parse(editor.image(), name=btf.name, pointer_size=btf.pointer_size)


def _make_known(editor: Editor, btf: Btf, number: int, integer: int) -> None:
    """Turn an extern variable or function into a global one that the kernel takes."""
    words = editor.words
    found = btf.type(number)
    editor.set_linkage(number, _GLOBAL)
    if isinstance(found, kinds.Var):
        try:
            btf.size_of(found.type)
        except SizeUnknown:
            words[editor.at(number) + 2] = integer
    elif isinstance(found, kinds.Func):
        at = editor.at(found.type)
        for item in range(at + 3, at + 3 + 2 * (words[at + 1] & 0xFFFFFF), 2):
            if words[item + 1] and not words[item]:
                words[item] = editor.string("arg")  # the kernel wants names for a function's parameters
