"""Where to look for the kernel's counterpart of a type: vmlinux first, its modules only if it has none.

A candidate has the same kind (enum and enum64 count as one) and the same name, less ``___flavours`` on both sides.
Follows libbpf 1.8's bpf_core_find_cands and bpf_core_add_cands, order included.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from everykernel.btf.index import essential
from everykernel.btf.naming import title
from everykernel.core.compat import kinds_compatible
from everykernel.core.refusal import Refused
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from everykernel.btf.types import Btf


class Candidate(NamedTuple):
    """Type ``number`` of ``btf``."""

    btf: Btf
    number: int

    def __str__(self) -> str:
        return f"{title(self.btf, self.number)} ({self.btf.name} {self.number})"


class Target:
    """The types of one kernel.

    Args:
        vmlinux: the kernel's BTF, or one supplied for it; None if there is none.
        modules: gives the split BTF of each module, in the kernel's order; called at most once, and only if a type is
            in demand that vmlinux lacks. Leave it out beside a supplied BTF (libbpf searches no modules then).
    """

    def __init__(self, vmlinux: Optional[Btf], modules: Optional[Callable[[], Iterable[Btf]]] = None) -> None:
        self.vmlinux = vmlinux
        self._load = modules
        self._modules: Optional[tuple[Btf, ...]] = None
        self._found: dict[tuple[str, int, bool], tuple[Candidate, ...]] = {}

    @property
    def modules(self) -> tuple[Btf, ...]:
        """The modules' BTFs, read at first use."""
        if self._modules is None:
            self._modules = tuple(self._load()) if self._load is not None else ()
        return self._modules

    def candidates(self, local: Btf, number: int, *, modules: bool = True) -> tuple[Candidate, ...]:
        """Return the candidates for a local type, in order; raise Refused where there can be none.

        ``modules``: whether modules are searched where vmlinux has none.
        """
        stem, kind = stem_of(local, number), local.kind(number)
        found = self._found.get((stem, kind, modules))
        if found is None:
            found = _named(self.vmlinux, stem, kind) if self.vmlinux is not None else ()
            if not found and modules:
                found = tuple(c for module in self.modules for c in _named(module, stem, kind))
            self._found[stem, kind, modules] = found
        return found


def stem_of(local: Btf, number: int) -> str:
    """Return the name by which a local type's candidates are found, less its flavour; raise Refused if it has none."""
    name = local.type(number).name
    if not name:
        why = f"a relocation needs a named type: {title(local, number)} cannot be searched for"
        raise Refused(why, errno="EOPNOTSUPP")
    return essential(name)


def _named(btf: Btf, name: str, kind: int) -> tuple[Candidate, ...]:
    """Return the candidates among a BTF's own types, in order of their ids."""
    return tuple(Candidate(btf, n) for n in btf.own_candidates(name) if kinds_compatible(btf.kind(n), kind))
