"""The object's BTF in the kernel, less what the kernel does not know.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Optional

from everykernel.btf import Btf, sanitise
from everykernel.load.kernel.releases import upstream
from everykernel.load.system import abi
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.system.door import System


class Uploaded:
    """An object's BTF on its way into the kernel.

    Args:
        kernel: that it is for.
        descriptors: the object's, which gets those that are opened here.
        notes: of the load stage.

    Attributes:
        btf: as the object has it, None without.
        fd: the kernel's, 0 where it takes none.
        refused: the errno with which it takes none.
    """

    def __init__(self, kernel: KernelTypes, descriptors: list[int], notes: list[str]) -> None:
        self.btf: Optional[Btf] = None
        self.fd = 0
        self.refused = ""
        self._probes, self._system = kernel.probes, kernel.system
        self._descriptors = descriptors
        self._notes = notes

    def upload(self, btf: Btf) -> None:
        """Hand it to the kernel, less the kinds that it does not know; go on where it takes none."""
        self.btf = btf
        try:
            self.keep(btf.raw)
        except OSError as e:
            if e.errno == errno.EPERM:
                self.refused = "EPERM"
                self._notes.append("the kernel denies BTF to this caller: loaded without")
            elif not self._probes.btf_at_all():
                self.refused = error_name(e.errno)
                self._notes.append(f"this kernel takes no BTF ({upstream('v4.18')}): loaded without")
            else:
                self._upload_less(btf)

    def _upload_less(self, btf: Btf) -> None:
        """Hand over the BTF with every kind replaced that probes show this kernel not to know."""
        features = self.known(btf)
        missing = sorted(sanitise.needed(btf) - features)
        try:
            self.keep(sanitise.sanitise(btf, features))
            self._notes.append(f"BTF kinds replaced that this kernel does not know: {', '.join(missing) or 'none'}")
        except OSError as e:
            self.refused = error_name(e.errno)
            why = _log(self._system, sanitise.sanitise(btf, features))
            self._notes.append(f"the kernel refuses the object's BTF ({error_name(e.errno)}: {why}): loaded without")

    @property
    def of_functions(self) -> int:
        """The descriptor where programs may tell of their functions and lines, 0 where not.

        Linux commit 838e96904ff3 ("bpf: Introduce bpf_func_info") (in v5.0): a kernel that takes no functions in BTF
        refuses a program that has such (libbpf's FEAT_BTF_FUNC).
        """
        return self.fd if self.fd and self._probes.btf("func") else 0

    def known(self, btf: Btf) -> set[str]:
        """Return the features of a BTF that the kernel knows."""
        return {f for f in sanitise.needed(btf) if self._probes.btf(f)}

    def keep(self, data: bytes) -> None:
        """Make these bytes the kernel's BTF of the object; raise OSError where it refuses them."""
        self.fd = self._system.bpf(abi.BTF_LOAD, abi.btf_load(bytearray(data)))
        self._descriptors.append(self.fd)


def _log(system: System, data: bytes) -> str:
    """Return the last line of what the kernel says about a BTF that it refuses."""
    log = bytearray(1 << 20)
    try:
        system.close(system.bpf(abi.BTF_LOAD, abi.btf_load(bytearray(data), log, len(log))))
    except OSError:
        lines = log[: log.find(0)].decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else "it does not say why"
    return "only without a log"
