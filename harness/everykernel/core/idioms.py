"""C that works on kernels with and without a type, a member or an enum value.

Each idiom is a block that compiles where the object's own types are declared: ``p`` is the pointer that the object
reads through, ``x`` becomes the value. The macros are those of bpf_core_read.h, which libbpf ships.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.index import essential
from everykernel.btf.naming import printable, title
from everykernel.btf.types import SizeUnknown
from everykernel.core import relokinds
from everykernel.core.reads import fields
from everykernel.core.refusal import Refused
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.btf import Btf
    from everykernel.core.spec import Spec

_ON_STACK = 128  # bytes of a variable: a program has 512 of stack


class Rename(NamedTuple):
    """Where else a value may stand.

    Attributes:
        path: names of members from the root type on.
        declared: its type in C, of a number or a pointer.
        bits: whether it is a bitfield there.
        own: the object's own type that declares it (``struct bio___7_0``), "" if it has to be declared.
    """

    path: tuple[str, ...]
    declared: str
    bits: bool = False
    own: str = ""


def scalar(btf: Btf, number: int) -> str:
    """Return a number's or pointer's type in words that every header knows, "" for any other type."""
    found = btf.type(btf.resolve(number))
    if isinstance(found, kinds.Ptr):
        return "const void *"
    if isinstance(found, kinds.Int) and found.size in (1, 2, 4, 8):
        return f"__{'s' if found.signed else 'u'}{8 * found.size} "
    return ""


def read(spec: Spec, renames: Sequence[Rename] = ()) -> str:
    """Read a field where the kernel has it, else under another name of which the object's type knows nothing."""
    if not _nameable(spec):
        return ""
    lines = [*_declarations(spec, renames), _variable(spec)]
    lines += [f"{r.own or _flavour(spec, r)} *n{n or ''} = (void *){_base(spec)};" for n, r in enumerate(renames)]
    lines += [f"if (bpf_core_field_exists({_base(spec)}->{_path(spec)}))", f"    {_read(spec)}"]
    for n, rename in enumerate(renames):
        path = ".".join(rename.path)
        macro = "BPF_CORE_READ_BITFIELD_PROBED" if rename.bits else "BPF_CORE_READ"
        lines += [f"else if (bpf_core_field_exists(n{n or ''}->{path}))", f"    x = {macro}(n{n or ''}, {path});"]
    return "\n".join(lines)


def another_type(spec: Spec) -> str:
    """Read a field through a type of its own: libbpf remembers for each local type what of the kernel's it may be."""
    leaf = spec.accessors[-1]
    struct = spec.btf.type(leaf.type)
    if leaf.name is None or not isinstance(struct, kinds.Struct):
        return ""
    declared = scalar(spec.btf, struct.members[leaf.step].type)
    path = tuple(a.name or "" for a in spec.accessors[1:])
    if not declared or not _nameable(spec) or "" in path:
        return ""
    rename = Rename(path, declared)
    lines = [*_declarations(spec, [rename]), _variable(spec), f"{_flavour(spec, rename)} *n = (void *){_base(spec)};"]
    dotted = ".".join(path)
    return "\n".join([*lines, f"if (bpf_core_field_exists(n->{dotted}))", f"    x = BPF_CORE_READ(n, {dotted});"])


def value_missing(spec: Spec) -> str:
    """Guard an enum value."""
    if not _nameable(spec):
        return ""
    arguments = f"{title(spec.btf, spec.root)}, {printable(spec.accessors[0].name or '')}"
    exists, value = f"bpf_core_enum_value_exists({arguments})", f"bpf_core_enum_value({arguments})"
    return f"__s64 x = -1;\nif ({exists})\n    x = {value};"


def width(spec: Spec) -> str:
    """Read a number whose width, sign or bits differ between kernels; "" where no macro does it."""
    form = fields.form(spec)
    if form is None or form.what != fields.NUMBER or not _nameable(spec):
        return ""
    path = _path(spec)
    if spec.accessors[-1].name is not None:
        return f"{_variable(spec)}\nx = BPF_CORE_READ_BITFIELD_PROBED({_base(spec)}, {path});"
    return f"{_variable(spec)}\nbpf_core_read(&x, bpf_core_field_size({_base(spec)}->{path}), &{_base(spec)}->{path});"


def of_misread(spec: Spec, enumerator: str = "") -> str:
    """Read what is misread by the form that the kernel has; take an enumerator's value from a kernel that has it."""
    leaf = _leaf(spec)
    if not enumerator or leaf is None:
        return width(spec)
    enum = spec.btf.resolve(leaf)
    if not spec.btf.name_of(enum) or not enumerator.isidentifier():
        return ""
    arguments = f"{title(spec.btf, enum)}, {enumerator}"
    return (
        f"__s64 x = {enumerator}; /* use x in its place */\n"
        f"if (bpf_core_enum_value_exists({arguments}))\n    x = bpf_core_enum_value({arguments});"
    )


def _nameable(spec: Spec) -> bool:
    """Whether C can name the root type and every step of the path; of a field, there is one."""
    if spec.kind in relokinds.FIELD_BASED and len(spec.accessors) < 2:
        return False
    return bool(spec.btf.name_of(spec.root)) and all(a.name is None or a.name.isidentifier() for a in spec.accessors)


def _declarations(spec: Spec, renames: Sequence[Rename]) -> list[str]:
    """Declare a flavour of the root type for each new name that the object does not declare itself."""
    lines = []
    for rename in renames:
        if rename.own:
            continue
        inner = f"{rename.declared}{rename.path[-1]}{':1' if rename.bits else ''};"
        for step in reversed(rename.path[:-1]):
            inner = f"struct {{ {inner} }} {step};"
        flavour = _flavour(spec, rename)
        word, _, name = flavour.rpartition(" ")
        if word:
            lines += [f"{flavour} {{", f"    {inner}", "} __attribute__((preserve_access_index));"]
        else:
            lines += ["typedef struct {", f"    {inner}", f"}} __attribute__((preserve_access_index)) {name};"]
    return lines


def _flavour(spec: Spec, rename: Rename) -> str:
    """Name a type of its own for a path: clang 19 takes two of one name for one, also in two functions."""
    word, _, name = title(spec.btf, spec.root).rpartition(" ")
    return f"{word} {essential(name)}___with_{'_'.join(step.strip('_') for step in rename.path)}".strip()


def _variable(spec: Spec) -> str:
    """Declare x for the field's own type, and say what p is."""
    comment = f" /* p: {title(spec.btf, spec.root)} * */"
    leaf = _leaf(spec)
    declared = scalar(spec.btf, leaf) if leaf is not None else ""
    if declared.startswith("__"):
        return f"__{declared[2]}64 x = 0;{comment}"
    if declared:
        return f"{declared}x = 0;{comment}"
    if leaf is not None and isinstance(spec.btf.type(spec.btf.resolve(leaf)), kinds.Enum):
        return f"__s64 x = 0;{comment}"
    size = _size(spec, leaf)
    if size > _ON_STACK:
        return f"static char x[{size}];{comment}"
    return f"char x[{size}] = {{}};{comment}"


def _read(spec: Spec) -> str:
    """Read the field into x as `_variable` declares it."""
    path, last, leaf = _path(spec), spec.accessors[-1], _leaf(spec)
    struct = spec.btf.type(last.type)
    if last.name is not None and isinstance(struct, kinds.Struct) and struct.members[last.step].bit_size:
        return f"x = BPF_CORE_READ_BITFIELD_PROBED({_base(spec)}, {path});"
    found = spec.btf.type(spec.btf.resolve(leaf)) if leaf is not None else None
    if isinstance(found, (kinds.Int, kinds.Ptr, kinds.Enum)):
        return f"x = BPF_CORE_READ({_base(spec)}, {path});"
    return f"bpf_core_read(&x, sizeof(x), &{_base(spec)}->{path});"


def _leaf(spec: Spec) -> Optional[int]:
    """Return the type of what a path leads to."""
    last = spec.accessors[-1]
    if last.name is None:
        return last.type
    struct = spec.btf.type(last.type)
    return struct.members[last.step].type if isinstance(struct, kinds.Struct) else None


def _size(spec: Spec, leaf: Optional[int]) -> int:
    try:
        return spec.btf.size_of(leaf) if leaf is not None else 1
    except (SizeUnknown, Refused):
        return 1


def _base(spec: Spec) -> str:
    """Return the pointer to the struct that is read: p, or an element behind it."""
    step = spec.accessors[0].step
    return f"(&p[{step}])" if step else "p"


def _path(spec: Spec) -> str:
    """Return the path behind the root as C writes it: ``mm.owner``, ``comm[3]``."""
    parts: list[str] = []
    for accessor in spec.accessors[1:]:
        parts.append(f".{printable(accessor.name)}" if accessor.name is not None else f"[{accessor.step}]")
    return "".join(parts).lstrip(".")
