"""Kinds of BTF that a loader hands over though the kernel does not know them: what uses one is refused.

Asked only of kernels that lack such a kind.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds, sanitise
from everykernel.load.kernel.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from everykernel.btf import Btf
    from everykernel.load.kernel.probes import Probes
    from everykernel.load.rules.rules import Rules

_OF_KIND = {"float": kinds.FLOAT, "decl_tag": kinds.DECL_TAG, "type_tag": kinds.TYPE_TAG, "enum64": kinds.ENUM64}


class Kept:
    """The types of an object that a kernel does not take from a loader.

    Args:
        btf: the object's.
        rules: the loader's.
        probes: the kernel's.
    """

    def __init__(self, btf: Optional[Btf], rules: Rules, probes: Probes) -> None:
        self._btf = btf
        asked = rules.kept_kinds & sanitise.needed(btf) if btf is not None and rules.kept_kinds else frozenset()
        self._lacking = {_OF_KIND[name]: name for name in asked if not probes.btf(name)}

    def refused(self, roots: Iterable[int]) -> Optional[Reason]:
        """Return why the kernel refuses the BTF for what needs these types, None if it takes it."""
        if self._btf is None or not self._lacking:
            return None
        for number in _reached(self._btf, roots):
            name = self._lacking.get(self._btf.kind(number))
            if name is not None:
                why = f"its BTF has a {name}, which this kernel does not know, and which the loader does not replace"
                return Reason("btf-rejected", why, "EINVAL")
        return None


def _reached(btf: Btf, roots: Iterable[int]) -> Iterator[int]:
    """Yield the types that others refer to, the roots included, each once."""
    seen: set[int] = set()
    pending = [number for number in roots if number]
    while pending:
        number = pending.pop()
        if number in seen or not number:
            continue
        seen.add(number)
        yield number
        found = btf.type(number)
        if isinstance(found, kinds.Struct):
            pending.extend(member.type for member in found.members)
        elif isinstance(found, kinds.FuncProto):
            pending.extend(parameter.type for parameter in found.params)
            pending.append(found.type)
        elif isinstance(found, kinds.DataSec):
            pending.extend(variable.type for variable in found.variables)
        elif isinstance(found, kinds.Array):
            pending.extend((found.type, found.index))
        else:
            pending.append(getattr(found, "type", 0))
