"""Attaching to many functions by trampolines, as one link: fentry.multi, fexit.multi and fsession.multi.

Which functions a pattern names is libbpf 1.8's rule (collect_btf_func_ids_by_glob, btf_type_is_traceable_func).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from everykernel.btf import SizeUnknown, kinds
from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached, needs
from everykernel.load.system.block import Block

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.load.attach.places import Places
    from everykernel.object.sections import SectionRule

_MOST_ARGUMENTS = 12  # of a function that is traced
_LARGEST = 16  # bytes of a struct that is passed
_PASSED = (kinds.Int, kinds.Enum, kinds.Struct, kinds.Ptr)


def attach(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    """Attach to all functions of the kernel, or of a module, that ``[MODULE:]PATTERN`` names."""
    if not target:
        raise needs("its section names no functions: give a pattern")
    what = f"{rule.stem} {target}"
    module, colon, pattern = target.rpartition(":")
    btf = places.types(module)
    if btf is None:
        missing = f"no module {module!r} with BTF is loaded" if colon else "this kernel has no BTF"
        raise NotAttached(f"{what}: {missing}", code="module-missing" if colon else "btf-missing")
    numbers = functions(btf, pattern)
    if not numbers:
        raise NotAttached(f"{what}: no function of that name can be traced", code="attach-target-missing")
    extra = ("QQI", Block(f"{len(numbers)}I", *numbers), 0, len(numbers))
    return outcome.create(places.system, fd, 0, rule.attach_type, what, extra=extra)


def functions(btf: Btf, pattern: str) -> list[int]:
    """Return the ids of a BTF's own functions that a pattern with ``*`` and ``?`` names and trampolines can call."""
    wild = {"*": b"[^\0]*", "?": b"[^\0]"}
    expression = b"".join(wild.get(c) or re.escape(c.encode("utf-8", "surrogateescape")) for c in pattern)
    names = re.findall(b"\0(" + expression + b")(?=\0)", btf.strings()[-1].data)
    found = {n for name in set(names) for n in btf.own_named(name.decode("utf-8", "surrogateescape"))}
    return sorted(n for n in found if btf.kind(n) == kinds.FUNC and _traceable(btf, n))


def _traceable(btf: Btf, number: int) -> bool:
    proto = btf.type(btf.type(number).type)  # type: ignore[union-attr]
    if not isinstance(proto, kinds.FuncProto) or len(proto.params) > _MOST_ARGUMENTS:
        return False
    result = btf.type(btf.resolve(proto.type))
    if not isinstance(result, (kinds.Void, *_PASSED)) or isinstance(result, kinds.Struct):
        return False
    return all(_passed(btf, parameter.type) for parameter in proto.params)


def _passed(btf: Btf, number: int) -> bool:
    """Whether an argument is of a type that is passed to programs: not ``...``, which is void, nor a large struct."""
    try:
        return isinstance(btf.type(btf.resolve(number)), _PASSED) and 0 < btf.size_of(number) <= _LARGEST
    except SizeUnknown:
        return False
