"""Which types of a kernel's BTF an object's relocations need: the rest can be left out of a BTF made for it.

libbpf and `compute` give the same result against the subset, but for target type ids, whose numbers are those of the
subset.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.core import relokinds
from everykernel.core.match import match
from everykernel.core.refusal import Refused
from everykernel.core.spec import Spec, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from everykernel.btf import Btf
    from everykernel.btf.ext import CoreRecord
    from everykernel.btf.subset import Subset
    from everykernel.core.candidates import Target


def keep(records: Iterable[CoreRecord], local: Btf, target: Target, subset: Subset) -> None:
    """Add to ``subset`` (of the target's vmlinux) what these records of an object need."""
    for record in dict.fromkeys(records):
        if record.kind == relokinds.TYPE_ID_LOCAL:
            continue
        try:
            spec = parse(record, local)
            candidates = target.candidates(local, record.type_id)
        except Refused:
            continue  # refused before the kernel's types are looked at
        for candidate in candidates:
            try:
                found = match(spec, candidate.btf, candidate.number)
            except Refused:
                subset.deep(candidate.number)  # so that it is refused again
                continue
            if isinstance(found, Spec):
                _keep_path(found, subset)
            elif record.kind in relokinds.TYPE_BASED:
                subset.deep(candidate.number)  # part of it, kept for another record, may match where the whole does not


def _keep_path(path: Spec, subset: Subset) -> None:
    btf, number = path.btf, path.root
    if path.kind in relokinds.TYPE_BASED or path.stray:
        subset.deep(number)
        return
    subset.type(number)
    if path.kind in relokinds.ENUMVAL_BASED:
        subset.field(number)
        subset.type(path.accessors[0].type, (path.raw[0],))
        return
    for step in path.raw[1:]:
        subset.field(number)  # typedefs and qualifiers on the way
        number = btf.resolve(number)
        found = btf.type(number)
        if isinstance(found, kinds.Struct):
            subset.type(number, (step,))
            number = found.members[step].type
        elif isinstance(found, kinds.Array):
            number = found.type
    subset.field(number)
