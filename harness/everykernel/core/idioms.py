"""C that works on kernels with and without a type, a member or an enum value.

The macros are those of bpf_core_read.h, which libbpf ships.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.btf.index import essential
from everykernel.btf.naming import printable, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.core.explain import Near
    from everykernel.core.spec import Spec

AMBIGUOUS = "give the local type a member that only the wanted candidate has, and access that first"


def field_missing(holder: str, member: str, nearest: Sequence[Near]) -> str:
    """Guard a member of struct ``holder``; with a likely new name, read whichever the kernel has through a flavour."""
    word, _, name = holder.rpartition(" ")
    struct = f"{word} {essential(name)}".strip()
    if not nearest or "{" in holder:
        return f"if (bpf_core_field_exists({struct}, {member}))\n    … read it …"
    path = nearest[0].text.split(".")[1:]
    inner = f"{nearest[0].declared};"
    for step in reversed(path[:-1]):
        inner = f"struct {{ {inner} }} {step};"
    return "\n".join([
        f"{struct}___new {{",
        f"    {inner}",
        "} __attribute__((preserve_access_index));",
        f"{struct}___new *n = (void *)p; /* p: {struct} * */",
        f"if (bpf_core_field_exists(n->{'.'.join(path)}))",
        f"    x = BPF_CORE_READ(n, {'.'.join(path)});",
        "else",
        f"    x = BPF_CORE_READ(p, {member});",
    ])  # fmt: skip


def element_missing(spec: Spec) -> str:
    """Guard an array element."""
    return f"if (bpf_core_field_exists({_root(spec)}, {_path(spec)}))\n    … read it …"


def type_missing(spec: Spec) -> str:
    """Guard a type."""
    return f"if (bpf_core_type_exists({_root(spec)}))\n    … use it …"


def value_missing(spec: Spec) -> str:
    """Guard an enum value."""
    name = printable(essential(spec.accessors[0].name or ""))
    return f"if (bpf_core_enum_value_exists({_root(spec)}, {name}))\n    … bpf_core_enum_value({_root(spec)}, {name}) …"


def width(spec: Spec) -> str:
    """Read a field whose size or form differs between kernels."""
    path = _path(spec)
    last = spec.accessors[-1]
    struct = spec.btf.type(last.type)
    if last.name is not None and isinstance(struct, kinds.Struct):
        member = struct.members[last.step]
        if member.bit_size:
            return f"x = BPF_CORE_READ_BITFIELD_PROBED(p, {path});"
    declared = "__u64 x = 0; /* wide enough for every kernel's */"
    return f"{declared}\nbpf_core_read(&x, bpf_core_field_size(p->{path}), &p->{path});"


def _root(spec: Spec) -> str:
    """Return the root type without its flavour."""
    text = title(spec.btf, spec.root)
    word, _, name = text.rpartition(" ")
    return f"{word} {essential(name)}".strip()


def _path(spec: Spec) -> str:
    """Return the path behind the root as C writes it: ``mm.owner``, ``comm[3]``."""
    parts: list[str] = []
    for accessor in spec.accessors[1:]:
        parts.append(f".{printable(accessor.name)}" if accessor.name is not None else f"[{accessor.step}]")
    return "".join(parts).lstrip(".")
