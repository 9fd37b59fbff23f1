"""From the 32-bit words of one BTF record to a value of `kinds`, every reference checked.

The checks are those of libbpf's btf_validate_type: names inside the string section, type ids below the number of types,
a func that refers to a func_proto. They are made when a type is first touched.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.btf.kinds import Type
from everykernel.errors import BtfMalformed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.btf.types import Btf

_Decoder = Callable[["Btf", "Sequence[int]", int, str, int], Type]


def decode(btf: Btf, words: Sequence[int], at: int, number: int) -> Type:
    """Return the type whose record starts at word ``at``; raise BtfMalformed naming type ``number`` of ``btf``."""
    info = words[at + 1]
    kind = (info >> 24) & 0x7F
    try:
        name = btf.string(words[at])
        if kind >= len(_DECODERS):
            return kinds.Unknown(name, kind)
        decoder = _DECODERS[kind]
        return decoder(btf, words, at, name, info)
    except BtfMalformed as e:
        if e.where.startswith(f"{btf.name}: type "):
            raise
        kind_name = kinds.KIND_NAMES[kind] if kind < len(kinds.KIND_NAMES) else str(kind)
        raise BtfMalformed(
            e.message, where=f"{btf.name}: type {number} ({kind_name}) at {btf.offset(number):#x}"
        ) from e


def _checked(btf: Btf, number: int) -> int:
    if number >= btf.count:
        raise BtfMalformed(f"refers to type {number} of {btf.count}")
    return number


def _void(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    return kinds.Void(name)


def _int(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    data = words[at + 3]
    return kinds.Int(name, words[at + 2], data & 0xFF, (data >> 16) & 0xFF, (data >> 24) & 0x0F)


def _ptr(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    return kinds.Ptr(_checked(btf, words[at + 2]), name)


def _array(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    return kinds.Array(_checked(btf, words[at + 3]), _checked(btf, words[at + 4]), words[at + 5], name)


def _struct(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    body = words[at + 3 : at + 3 + 3 * (info & 0xFFFFFF)]
    count, string, make = btf.count, btf.string, kinds.Member
    types = body[1::3]
    for number in types:
        if number >= count:
            raise BtfMalformed(f"a member refers to type {number} of {count}")
    if info >> 31:
        members = tuple(
            make(string(n), t, place & 0xFFFFFF, place >> 24) for n, t, place in zip(body[::3], types, body[2::3])
        )
    else:
        members = tuple(make(string(n), t, place, 0) for n, t, place in zip(body[::3], types, body[2::3]))
    return kinds.Struct(name, words[at + 2], members, "union" if (info >> 24) & 0x7F == kinds.UNION else "struct")


def _enum(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    body = words[at + 3 : at + 3 + 2 * (info & 0xFFFFFF)]
    signed = bool(info >> 31)
    # Enums in BTF older than Linux commit 6089fb325cf7 (v6.0) have no sign flag: their values were always signed.
    values = tuple(
        kinds.Enumerator(btf.string(n), v - (1 << 32) if signed and v >> 31 else v)
        for n, v in zip(body[::2], body[1::2])
    )
    return kinds.Enum(name, words[at + 2], signed, values, "enum")


def _enum64(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    body = words[at + 3 : at + 3 + 3 * (info & 0xFFFFFF)]
    signed = bool(info >> 31)
    values = []
    for n, low, high in zip(body[::3], body[1::3], body[2::3]):
        value = low | high << 32
        values.append(kinds.Enumerator(btf.string(n), value - (1 << 64) if signed and high >> 31 else value))
    return kinds.Enum(name, words[at + 2], signed, tuple(values), "enum64")


def _fwd(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    return kinds.Fwd(name, bool(info >> 31))


def _typedef(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    return kinds.Typedef(name, _checked(btf, words[at + 2]))


def _modifier(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    kind = (info >> 24) & 0x7F
    attribute = kind == kinds.TYPE_TAG and bool(info >> 31)
    return kinds.Modifier(_checked(btf, words[at + 2]), kinds.KIND_NAMES[kind], name, attribute)


def _func(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    proto = _checked(btf, words[at + 2])
    if btf.kind(proto) != kinds.FUNC_PROTO:
        raise BtfMalformed(f"refers to type {proto}, which is no func_proto")
    return kinds.Func(name, proto, info & 0xFFFFFF)


def _func_proto(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    body = words[at + 3 : at + 3 + 2 * (info & 0xFFFFFF)]
    params = tuple(kinds.Param(btf.string(n), _checked(btf, t)) for n, t in zip(body[::2], body[1::2]))
    return kinds.FuncProto(_checked(btf, words[at + 2]), params, name)


def _var(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    return kinds.Var(name, _checked(btf, words[at + 2]), words[at + 3])


def _datasec(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    body = words[at + 3 : at + 3 + 3 * (info & 0xFFFFFF)]
    variables = tuple(kinds.SecVar(_checked(btf, t), o, s) for t, o, s in zip(body[::3], body[1::3], body[2::3]))
    return kinds.DataSec(name, words[at + 2], variables)


def _float(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    return kinds.Float(name, words[at + 2])


def _decl_tag(btf: Btf, words: Sequence[int], at: int, name: str, info: int) -> Type:
    component = words[at + 3] - (1 << 32) if words[at + 3] >> 31 else words[at + 3]
    return kinds.DeclTag(name, _checked(btf, words[at + 2]), component, bool(info >> 31))


_DECODERS: tuple[_Decoder, ...] = (
    _void, _int, _ptr, _array, _struct, _struct, _enum, _fwd, _typedef, _modifier, _modifier, _modifier,
    _func, _func_proto, _var, _datasec, _float, _decl_tag, _modifier, _enum64,
)  # fmt: skip
