"""Types as C: declarations, and the layout of structs with offsets, sizes and holes.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.btf.naming import printable, title
from everykernel.btf.types import SizeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf.types import Btf

_MAX_DEPTH = 32  # of declarators and of anonymous structs; deeper is shown as "…"
_COLUMN = 56  # where offsets stand


def declaration(btf: Btf, type_id: int, name: str = "") -> str:
    """Return how C declares ``name`` with a type: ``struct page *pages[4]``, ``int (*probe)(struct device *)``."""
    return _Renderer(btf).declare(type_id, name)


def layout(btf: Btf, type_id: int) -> str:
    """Return a type's definition as C would write it; of structs and unions with offset and size of every member.

    Offsets are bytes, of bitfields ``byte:bit``; sizes are bytes, of bitfields bits. Holes and padding are named.
    """
    return "\n".join(_Renderer(btf).definition(type_id))


class _Renderer:
    """One rendering; ``left`` bounds what a hostile BTF can make of it."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.left = 10_000 + len(btf.raw) // 12

    def declare(self, type_id: int, name: str = "") -> str:
        return self._declare(type_id, name, 0)

    def definition(self, type_id: int) -> Iterator[str]:
        found = self.btf.type(type_id)
        if isinstance(found, kinds.Struct):
            yield _note(f"{title(self.btf, type_id)} {{", f"size {found.size}")
            yield from self._members(found, 0, 1)
            yield "};"
        elif isinstance(found, kinds.Enum):
            sign = "signed" if found.signed else "unsigned"
            yield _note(f"{title(self.btf, type_id)} {{", f"size {found.size}, {sign} values")
            for value in found.values:
                yield f"    {printable(value.name)} = {value.value},"
            yield "};"
        elif isinstance(found, kinds.Typedef):
            yield f"typedef {self.declare(found.type, printable(found.name))};"
        elif isinstance(found, (kinds.Func, kinds.Var)):
            linkage = dict(enumerate(kinds.LINKAGES)).get(found.linkage, str(found.linkage))
            yield f"{'' if linkage == 'global' else linkage + ' '}{self.declare(found.type, printable(found.name))};"
        elif isinstance(found, kinds.DataSec):
            yield _note(f'section "{printable(found.name)}" {{', f"size {found.size}")
            for variable in found.variables:
                inner = self.btf.type(variable.type)
                text = (
                    self.declare(inner.type, printable(inner.name))
                    if isinstance(inner, kinds.Var)
                    else title(self.btf, variable.type)
                )
                yield _note(f"    {text};", f"{variable.offset:5} {variable.size:5}")
            yield "};"
        elif isinstance(found, kinds.DeclTag):
            part = "" if found.component < 0 else f", part {found.component}"
            yield f"{_attribute(found, 'btf_decl_tag')} /* on {title(self.btf, found.type)}{part} */"
        elif isinstance(found, (kinds.Int, kinds.Float)):
            yield _note(f"{title(self.btf, type_id)};", f"size {found.size}")
        else:
            yield f"{self.declare(type_id)};"

    def _members(self, found: kinds.Struct, start: int, depth: int) -> Iterator[str]:
        """Yield the lines of a struct's members; ``start`` is the bit where the struct starts in the outermost one."""
        pad = "    " * depth
        end = start  # the bit after the last member so far
        for member in found.members:
            at = start + member.bit_offset
            if found.kind == "struct" and at > end:
                yield from _hole(pad, at - end)
            number = self.btf.resolve(member.type)
            inner = self.btf.type(number)
            bits = self._width(member)
            if (
                isinstance(inner, kinds.Struct)
                and not inner.name
                and number == member.type  # a typedef's name stands for it
                and depth < _MAX_DEPTH
                and self.left > 0
            ):
                yield f"{pad}{inner.kind} {{"
                yield from self._members(inner, at, depth + 1)
                yield _note(
                    f"{pad}}}{' ' if member.name else ''}{printable(member.name)};", f"{at // 8:5} {inner.size:5}"
                )
            elif member.bit_size:
                text = f"{pad}{self.declare(member.type, printable(member.name))}:{member.bit_size};"
                yield _note(text, f"{at // 8:5}:{at % 8} {member.bit_size} bit{'s' if member.bit_size > 1 else ''}")
            else:
                yield _note(f"{pad}{self.declare(member.type, printable(member.name))};", f"{at // 8:5} {bits // 8:5}")
            end = max(end, at + bits)
        rest = start + 8 * found.size - end
        if found.kind == "struct" and rest > 0 and found.members:
            yield from _hole(pad, rest, "padding")

    def _width(self, member: kinds.Member) -> int:
        """Return a member's width in bits; 0 where it is not known (a flexible array, a broken type)."""
        if member.bit_size:
            return member.bit_size
        try:
            return 8 * self.btf.size_of(member.type)
        except SizeUnknown:
            return 0

    def _declare(self, type_id: int, name: str, depth: int) -> str:
        """Build a declaration from the name outwards, as C reads it."""
        found = self.btf.type(type_id)
        self.left -= 1
        if depth > _MAX_DEPTH or self.left < 0:
            return f"… {name}".rstrip()
        if isinstance(found, kinds.Ptr):
            inner = self.btf.type(found.type)
            star = f"(*{name})" if isinstance(inner, (kinds.Array, kinds.FuncProto)) else f"*{name}"
            return self._declare(found.type, star, depth + 1)
        if isinstance(found, kinds.Array):
            return self._declare(found.type, f"{name}[{found.count or ''}]", depth + 1)
        if isinstance(found, kinds.FuncProto):
            params = [
                self._declare(p.type, printable(p.name), depth + 1) if p.type or p.name else "..." for p in found.params
            ]
            return self._declare(found.type, f"{name}({', '.join(params) or 'void'})", depth + 1)
        if isinstance(found, kinds.Modifier):
            return self._qualify(found, name, depth)
        base = title(self.btf, type_id)
        return f"{base} {name}" if (name and not name.startswith(("[", "("))) or name.startswith("(*") else base + name

    def _qualify(self, found: kinds.Modifier, name: str, depth: int) -> str:
        """Put a qualifier where C has it: after the star of a pointer, before any other type."""
        word = _attribute(found, "btf_type_tag") if found.kind == "type_tag" else found.kind
        inner = self.btf.type(found.type)
        below = inner
        for _ in range(_MAX_DEPTH):
            if not isinstance(below, kinds.Modifier):
                break
            below = self.btf.type(below.type)
        if isinstance(below, kinds.Ptr):
            return self._declare(found.type, f"{word} {name}".rstrip(), depth + 1)
        return f"{word} {self._declare(found.type, name, depth + 1)}"


def _attribute(found: kinds.Modifier | kinds.DeclTag, word: str) -> str:
    """Return a tag as C has it: by ``word``, or by its own name where it stands for a plain attribute."""
    name = printable(found.name)
    return f"__attribute__(({name}))" if found.attribute else f'__attribute__(({word}("{name}")))'


def _hole(pad: str, bits: int, word: str = "hole") -> Iterator[str]:
    if bits % 8:
        yield f"{pad}/* {word}: {bits} bit{'s' if bits > 1 else ''} */"
    else:
        yield f"{pad}/* {word}: {bits // 8} byte{'s' if bits > 8 else ''} */"


def _note(text: str, note: str) -> str:
    return f"{text:<{_COLUMN}} /* {note} */"
