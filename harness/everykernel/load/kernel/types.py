"""The types of the kernel that this runs on: its BTF and its modules', read once.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Optional

from everykernel.btf import Btf, kinds
from everykernel.core import Target
from everykernel.load.kernel.probes import Probes
from everykernel.load.kernel.symbols import Symbols
from everykernel.load.system import abi
from everykernel.load.system.block import Block
from everykernel.load.system.door import System
from everykernel.load.system.local import Local

if TYPE_CHECKING:
    from types import TracebackType

VMLINUX = "/sys/kernel/btf/vmlinux"


class KernelTypes:
    """What programs are relocated against and loaded into.

    Attributes:
        vmlinux: the kernel's BTF, None where it has none.
        system: the machine; without one given, the one that this runs on.
        probes: what this kernel can do, each found out once.
        target: what CO-RE relocates against: vmlinux, then the modules in the kernel's order.
        symbols: the kernel's symbols by name.

    It holds descriptors of modules' BTF; use it as a context manager, or `close` it.
    """

    def __init__(self, vmlinux: Optional[Btf], system: Optional[System] = None) -> None:
        self.vmlinux = vmlinux
        self.system = system or Local()
        self.probes = Probes(self.system)
        self._modules = _Modules(vmlinux, self.system)
        self.target = Target(vmlinux, self._modules.read)
        self.symbols = Symbols(self.system)

    def again(self, system: System) -> KernelTypes:
        """Return what is known of this kernel for another machine in the same state: of the same snapshot."""
        made = KernelTypes(self.vmlinux, system)
        made.probes = Probes(system, self.probes)
        made.symbols = Symbols(system, self.symbols)
        made._modules = _Modules(self.vmlinux, system, self._modules.found)
        made.target = Target(self.vmlinux, made._modules.read)
        return made

    def __enter__(self) -> KernelTypes:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the descriptors; it can be used no more for objects that need a module's types."""
        self._modules.close()

    def module(self, name: str) -> Optional[tuple[Btf, int]]:
        """Return a module's BTF and a descriptor of it that stays open; None if no such module has one."""
        for btf in self.target.modules:
            if btf.name == name and name in self._modules.descriptors:
                return btf, self._modules.descriptors[name]
        return None


class _Modules:
    """The modules' BTF, read when asked for.

    Attributes:
        descriptors: of those that were read, by name.
        found: what was read, with the kernel's numbers of it; None before.
    """

    def __init__(self, vmlinux: Optional[Btf], system: System, found: Optional[list[tuple[int, Btf]]] = None) -> None:
        self._vmlinux = vmlinux
        self._system = system
        self.descriptors: dict[str, int] = {}
        self.found = found

    def read(self) -> list[Btf]:
        """Read the BTF of every module, in the order in which the kernel numbered them."""
        self.close()  # what an attempt left that met a damaged one
        if self.found is not None:
            self.descriptors = {btf.name: self._open(number) for number, btf in self.found}
            return [btf for _, btf in self.found]
        found: list[tuple[int, Btf]] = []
        if self._vmlinux is None:
            return []
        for number in self._identifiers():
            try:
                fd = self._open(number)
            except OSError:
                continue  # unloaded meanwhile
            name, in_kernel, size = self._describe(fd)
            if not in_kernel or name == "vmlinux":  # what tools have loaded
                self._system.close(fd)
                continue
            self.descriptors[name] = fd
            found.append((number, Btf.parse(_bytes(self._system, fd, size), base=self._vmlinux, name=name)))
        self.found = found
        return [btf for _, btf in found]

    def _open(self, number: int) -> int:
        return self._system.bpf(abi.BTF_GET_FD_BY_ID, abi.words(number, 0, 0))

    def close(self) -> None:
        """Close the descriptors."""
        while self.descriptors:
            self._system.close(self.descriptors.popitem()[1])

    def _identifiers(self) -> list[int]:
        found: list[int] = []
        number = 0
        while True:
            error, fields = self._system.bpf_fields(abi.BTF_GET_NEXT_ID, abi.words(number, 0, 0))
            if error:
                return found
            number = fields[1]
            found.append(number)

    def _describe(self, fd: int) -> tuple[str, bool, int]:
        """Return name, whether the kernel's own, and size of a BTF (struct bpf_btf_info).

        Before v5.11 the struct has no names, and modules no BTF: all that is there is what tools have loaded.
        """
        name = bytearray(64)
        info = Block("QIIQII", 0, 0, 0, name, len(name), 0)
        try:
            self._system.bpf(abi.OBJ_GET_INFO_BY_FD, abi.info(fd, info, 32))
        except OSError as e:
            if e.errno != errno.E2BIG:
                raise
            return "", False, 0
        _, size, _, _, _, in_kernel = info.fields
        return bytes(name).split(b"\0", 1)[0].decode(), bool(in_kernel), size


def kernel_btf(system: Optional[System] = None, learnt: bytes = b"") -> KernelTypes:
    """Read the BTF of the running kernel; modules' at first need. Raises BtfMalformed for a damaged one.

    ``system`` is the machine whose kernel it is; without one given, the one that this runs on. ``learnt`` is what
    `Btf.learn` returned elsewhere for the kernel that this should be.
    """
    system = system or Local()
    try:
        data = system.read(VMLINUX)
    except FileNotFoundError:
        return KernelTypes(None, system)
    btf = Btf.parse(data, name="vmlinux", pointer_size=system.pointer_size, learnt=learnt)
    btf.warm()  # many objects will be relocated against it: this goes into the warm snapshot
    return KernelTypes(btf, system)


def find_type(kernel: KernelTypes, name: str, kind: str, *, modules: bool = True) -> Optional[tuple[Btf, int, int]]:
    """Return a type of the kernel or its modules: BTF, id, descriptor of the module's BTF (0: the kernel's)."""
    assert kernel.vmlinux is not None
    number = kernel.vmlinux.find(name, kind)
    if number is not None:
        return kernel.vmlinux, number, 0
    wanted = kinds.KIND_NUMBERS[kind]
    for module in kernel.target.modules if modules else ():
        own = [n for n in module.own_named(name) if module.kind(n) == wanted]
        found = kernel.module(module.name)
        if own and found is not None:
            return module, own[0], found[1]
    return None


def btf_bytes(system: System, fd: int) -> bytes:
    """Return the BTF behind a descriptor, as the kernel keeps it. Raises OSError."""
    info = Block("QII", 0, 0, 0)  # what struct bpf_btf_info was before v5.11
    system.bpf(abi.OBJ_GET_INFO_BY_FD, abi.info(fd, info, 16))
    return _bytes(system, fd, info.fields[1])


def _bytes(system: System, fd: int, size: int) -> bytes:
    data = bytearray(size)
    system.bpf(abi.OBJ_GET_INFO_BY_FD, abi.info(fd, Block("QII", data, size, 0), 16))
    return bytes(data)
