"""Types as C: declarations, and the layout of structs with offsets, sizes and holes.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.btf.naming import printable, title
from everykernel.btf.types import SizeUnknown
from everykernel.namedtuple import NamedTuple

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


class Row(NamedTuple):
    """One line of a struct's or union's layout.

    Attributes:
        what: ``member``, ``open`` and ``close`` of an anonymous struct or union, ``hole``, or ``padding`` at the end.
        depth: of anonymous structs in one another, 1 for what is in none.
        text: the declaration in C without its end; "" of holes.
        path: the names that lead to it, ``a.b`` where an anonymous struct's member has a name; "" of holes.
        at: its place in the outermost struct, in bits.
        bits: its width; 0 where it is not known (a flexible array).
        bitfield: whether it is one.
        type: the member's type id, 0 of holes.
    """

    what: str
    depth: int
    text: str
    path: str
    at: int
    bits: int
    bitfield: bool = False
    type: int = 0


def rows(btf: Btf, type_id: int) -> Iterator[Row]:
    """Yield the layout of a struct or union, members of anonymous ones in it included."""
    found = btf.type(type_id)
    if isinstance(found, kinds.Struct):
        yield from _Renderer(btf).rows(found, 0, 1, "")


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
            yield from map(_line, self.rows(found, 0, 1, ""))
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

    def rows(self, found: kinds.Struct, start: int, depth: int, path: str) -> Iterator[Row]:
        """Yield a struct's layout; ``start`` is the bit where it starts in the outermost one, ``path`` leads to it."""
        end = start  # the bit after the last member so far
        for member in found.members:
            self.left -= 1
            at = start + member.bit_offset
            if found.kind == "struct" and at > end:
                yield Row("hole", depth, "", "", end, at - end)
            number = self.btf.resolve(member.type)
            inner = self.btf.type(number)
            bits = self._width(member)
            name = printable(member.name)
            whole = f"{path}.{name}".strip(".") if name else path
            if (
                isinstance(inner, kinds.Struct)
                and not inner.name
                and number == member.type  # a typedef's name stands for it
                and depth < _MAX_DEPTH
                and self.left > 0
            ):
                yield Row("open", depth, f"{inner.kind} {{", whole, at, 8 * inner.size, type=number)
                yield from self.rows(inner, at, depth + 1, whole)
                yield Row("close", depth, f"}} {name}".rstrip(), whole, at, 8 * inner.size, type=number)
            else:
                text = self.declare(member.type, name)
                if member.bit_size:
                    text += f":{member.bit_size}"
                yield Row("member", depth, text, whole, at, bits, bool(member.bit_size), member.type)
            end = max(end, at + bits)
        rest = start + 8 * found.size - end
        if found.kind == "struct" and rest > 0 and found.members:
            yield Row("padding", depth, "", "", end, rest)

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


def _line(row: Row) -> str:
    """Return a row of a layout as a line of C with its place in a comment."""
    pad, place = "    " * row.depth, f"{row.at // 8:5}"
    if row.what in ("hole", "padding"):
        return f"{pad}/* {row.what}: {_amount(row.bits)} */"
    if row.what == "open":
        return pad + row.text
    if row.bitfield:
        return _note(f"{pad}{row.text};", f"{place}:{row.at % 8} {row.bits} bit{'s' if row.bits > 1 else ''}")
    return _note(f"{pad}{row.text};", f"{place} {row.bits // 8:5}")


def _amount(bits: int) -> str:
    """Return a width in words: whole bytes, else bits."""
    number, word = (bits, "bit") if bits % 8 else (bits // 8, "byte")
    return f"{number} {word}{'s' if number > 1 else ''}"


def _note(text: str, note: str) -> str:
    return f"{text:<{_COLUMN}} /* {note} */"
