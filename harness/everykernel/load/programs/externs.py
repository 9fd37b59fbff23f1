"""Externs: what the loader has to find for an object: kernel configuration, kernel symbols, kernel functions.

How is libbpf 1.8's way (bpf_object__collect_externs, bpf_object__resolve_externs), where `ExternRules` say no other.
Configuration comes from
``/boot/config-$(uname -r)`` or ``/proc/config.gz``, typed symbols and functions from the kernel's BTF, symbols without
a type from ``/proc/kallsyms``.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import Btf, SizeUnknown, kinds
from everykernel.btf.index import essential
from everykernel.core import compat
from everykernel.core.refusal import Refused
from everykernel.dataclass import replace
from everykernel.load.kernel.kconfig import Unfit, kernel_config, kernel_version, setting_bytes
from everykernel.load.kernel.reason import NEEDS_OWN_BTF
from everykernel.load.kernel.types import find_type
from everykernel.load.programs.patch import Resolved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.rules.rules import ExternRules
    from everykernel.object import Extern, ObjectSpec

_SETTING_LIMIT = 1 << 16  # bytes
_NO_CONFIG = (
    "there is no configuration of this kernel to look into, neither /boot/config-{} nor /proc/config.gz "
    "[state the setting in the case's contract: kconfig]"
)


class Resolution:
    """The externs of one object on one kernel.

    Attributes:
        resolved: by name; missing ones that are not weak have a reason code.
        kconfig: bytes of the .kconfig map (empty: no map is needed).
        descriptors: of modules' BTFs, from index 1 of the kernel's descriptor array on.
        order: names in libbpf's order (cmp_externs), by which a call of a function that is missing is told from others.

    ``rules`` are the loader's; ``settings`` are values of configuration that stand for the kernel's, as its .config
    would write them.
    """

    def __init__(
        self,
        spec: ObjectSpec,
        kernel: KernelTypes,
        rules: ExternRules,
        settings: Optional[Mapping[str, str]] = None,
    ) -> None:
        self._rules = rules
        self.resolved: dict[str, Resolved] = {}
        self.kconfig = b""
        self.descriptors: list[int] = []
        self.places: dict[str, int] = {}
        self._config: Optional[Mapping[str, str]] = None
        self._probes, self._system = kernel.probes, kernel.system
        self._settings = settings or {}
        data = bytearray()
        symbols = sorted(e.name for e in spec.externs.values() if e.section == ".ksyms")
        self.order = [e.name for e in spec.externs.values() if e.section != ".ksyms"] + symbols
        for extern in spec.externs.values():
            if not extern.section:
                self.resolved[extern.name] = _undefined(extern)
            elif extern.section == ".kconfig" and spec.btf is not None:
                self._kconfig(extern, spec.btf, data)
            else:
                found = self._symbol(extern, spec.btf, kernel)
                if found.kind == "missing":
                    found = found._replace(slot=self.order.index(extern.name), instead=rules.kfunc_poison)
                self.resolved[extern.name] = found
        self.kconfig = bytes(data)
        if rules.together:
            self._judge_together()

    def _judge_together(self) -> None:
        """Fail every setting for the first that is missing."""
        missing = next((self.resolved[name] for name in self.places if self.resolved[name].code), None)
        if missing is not None:
            self.resolved.update(dict.fromkeys(self.places, missing))

    def place_kconfig(self, fd: int, code: str, message: str) -> None:
        """Put the descriptor of the .kconfig map into the externs that live there, or why there is none."""
        for name, offset in self.places.items():
            if self.resolved[name].kind == "kconfig":
                self.resolved[name] = Resolved("kconfig", fd, offset, code=code, message=f"it needs {message}")

    def _kconfig(self, extern: Extern, btf: Btf, data: bytearray) -> None:
        type_id = btf.type(extern.type_id).type  # type: ignore[union-attr]
        try:
            size = btf.size_of(type_id)
        except SizeUnknown:
            size = _SETTING_LIMIT + 1
        if size > _SETTING_LIMIT:
            self.resolved[extern.name] = _missing(
                extern, "object-malformed", "its type is none that a setting can have", "EOPNOTSUPP"
            )
            return
        align = min(8, size & -size) if size else 1
        data += bytes(-len(data) % align)
        self.places[extern.name] = len(data)
        unfit = self._rules.unfit(btf, extern)
        if unfit:
            data += bytes(size)
            self.resolved[extern.name] = Resolved("missing", code="kconfig-missing", message=unfit)
            return
        text = self._setting(extern.name)
        if text is None and extern.name.startswith("CONFIG_") and not self._config:
            data += bytes(size)
            message = f"extern {extern.name!r}: {_NO_CONFIG.format(self._system.uname.release)}"
            # weak or not: libbpf's bpf_object__read_kconfig_file
            self.resolved[extern.name] = Resolved("missing", code="kconfig-missing", message=message, errno="EINVAL")
            return
        if text is None and (self._rules.together or not extern.weak):
            data += bytes(size)
            why = "the kernel's configuration does not have it"
            errno = "ESRCH" if extern.name.startswith("CONFIG_") else "EINVAL"
            self.resolved[extern.name] = _missing(replace(extern, weak=False), "kconfig-missing", why, errno)
            return
        try:
            data += setting_bytes(btf, type_id, size, text)
        except Unfit as e:
            data += bytes(size)
            message = f"extern {extern.name!r}: {e}"
            self.resolved[extern.name] = Resolved("missing", code="kconfig-missing", message=message, errno="EINVAL")
            return
        self.resolved[extern.name] = Resolved("kconfig", 0, self.places[extern.name])

    def _setting(self, name: str) -> Optional[str]:
        if name in self._settings:
            return self._settings[name]
        if not name.startswith("CONFIG_") and name not in self._rules.settings:
            return None
        if name == "LINUX_KERNEL_VERSION":
            return str(kernel_version(self._system))
        if name == "LINUX_HAS_SYSCALL_WRAPPER":
            return str(int(self._probes.syscall_wrapper()))
        if name == "LINUX_HAS_BPF_COOKIE":
            return str(int(self._probes.cookie()))
        if not name.startswith("CONFIG_"):
            return None
        if self._config is None:
            self._config = kernel_config(self._system)
        return self._config.get(name)

    def _symbol(self, extern: Extern, local: Optional[Btf], kernel: KernelTypes) -> Resolved:
        if extern.function:
            return self._function(extern, local, kernel)
        assert local is not None
        if local.kind(local.resolve(local.type(extern.type_id).type)) == kinds.VOID:  # type: ignore[union-attr]
            return _address(extern, kernel.symbols.addresses(extern.name))
        if kernel.vmlinux is None:
            return _missing(extern, "btf-missing", f"a typed symbol {NEEDS_OWN_BTF}", "ESRCH")
        found_at = find_type(kernel, extern.name, "var", modules=self._rules.modules)
        if found_at is None:
            return _missing(extern, "ksym-missing", "the kernel's BTF has no such variable")
        btf, number, descriptor = found_at
        difference = _difference(local, extern, btf, number)
        if difference and self._rules.variable_mismatch_missing:
            return _missing(extern, "ksym-missing", difference)
        if difference:
            # weak or not: libbpf's bpf_object__resolve_ksym_var_btf_id makes no difference here
            message = f"extern {extern.name!r}: {difference}"
            return Resolved("missing", code="ksym-missing", message=message, errno="EINVAL")
        return Resolved("btf", number, btf_fd=descriptor)

    def _function(self, extern: Extern, local: Optional[Btf], kernel: KernelTypes) -> Resolved:
        if kernel.vmlinux is None:
            return _missing(extern, "btf-missing", f"a kernel function {NEEDS_OWN_BTF}", "ESRCH")
        name = essential(extern.name) if self._rules.flavours else extern.name
        found = find_type(kernel, name, "func", modules=self._rules.modules)
        if found is None:
            return _missing(extern, "kfunc-missing", "the kernel has no such function in its BTF")
        btf, number, descriptor = found
        assert local is not None
        difference = _difference(local, extern, btf, number)
        if difference and not self._rules.mismatch_missing:
            return Resolved("missing", code="kfunc-missing", message=f"extern {extern.name!r}: {difference}")
        if difference:
            return _missing(extern, "kfunc-missing", difference)
        if not descriptor:
            return Resolved("kfunc", number)
        if descriptor not in self.descriptors:
            self.descriptors.append(descriptor)
        return Resolved("kfunc", number, slot=self.descriptors.index(descriptor) + 1, btf_fd=descriptor)


def _difference(local: Btf, extern: Extern, btf: Btf, number: int) -> str:
    """Return why an extern's type cannot be that of the kernel's thing, "" if it can (bpf_core_types_are_compat)."""
    ours = local.resolve(local.type(extern.type_id).type)  # type: ignore[union-attr]
    theirs = btf.resolve(btf.type(number).type)  # type: ignore[union-attr]
    try:
        if compat.types_compatible(local, ours, btf, theirs):
            return ""
        where = _where(local, ours, btf, theirs)
    except Refused as e:
        return e.message
    from everykernel.btf import render  # imported late: few objects need it

    name = essential(extern.name)
    here, there = render.declaration(local, ours, name), render.declaration(btf, theirs, name)
    return f"the object declares {here!r}, the kernel has {there!r}: {where}"


def _where(local: Btf, ours: int, btf: Btf, theirs: int) -> str:
    """Return in what two types differ that are not compatible."""
    mine, other = local.type(ours), btf.type(theirs)
    if not (isinstance(mine, kinds.FuncProto) and isinstance(other, kinds.FuncProto)):
        return f"they differ in their type ({_kinds(local, ours, btf, theirs)})"
    if len(mine.params) != len(other.params):
        return f"they differ in the number of parameters ({len(mine.params)}, not {len(other.params)})"
    for index, (here, there) in enumerate(zip(mine.params, other.params), 1):
        if not compat.types_compatible(local, local.resolve(here.type), btf, btf.resolve(there.type)):
            return f"they differ in parameter {index} ({_kinds(local, here.type, btf, there.type)})"
    return f"they differ in the result ({_kinds(local, mine.type, btf, other.type)})"


def _kinds(local: Btf, ours: int, btf: Btf, theirs: int) -> str:
    """Return of what kinds two types are, or what they point to: a struct that is only declared is a fwd."""
    to = ""
    for _ in range(compat.MAX_DEPTH):
        mine, other = local.type(local.resolve(ours)), btf.type(btf.resolve(theirs))
        if not (isinstance(mine, kinds.Ptr) and isinstance(other, kinds.Ptr)):
            break
        ours, theirs, to = mine.type, other.type, "pointer to "
    return f"{to}{mine.kind}, not {other.kind}"


def _address(extern: Extern, found: list[int]) -> Resolved:
    """Return where a symbol without a type is; one name at several addresses is refused (libbpf's kallsyms_cb)."""
    if len(found) > 1:
        text = f"extern {extern.name!r}: the kernel has several such symbols, at {found[0]:#x} and {found[1]:#x}"
        return Resolved("missing", code="ksym-missing", message=text, errno="EINVAL")
    if not found:
        return _missing(extern, "ksym-missing", "the kernel has no such symbol", "ESRCH")
    return Resolved("address", found[0])


def _missing(extern: Extern, code: str, why: str, errno: str = "EINVAL") -> Resolved:
    """A weak extern that is missing is 0; a strong one fails the programs that use it, and libbpf with ``errno``."""
    message = f"extern {extern.name!r}: {why}"
    return Resolved("missing", code="" if extern.weak else code, message=message, errno="" if extern.weak else errno)


def _undefined(extern: Extern) -> Resolved:
    """What nothing defines can be no function; where its address is taken, the number in the instruction is left."""
    message = f"symbol {extern.name!r}: nothing in the object defines it"
    return Resolved("symbol", code="object-unsupported", message=message)
