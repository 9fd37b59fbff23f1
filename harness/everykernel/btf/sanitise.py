"""BTF for kernels that do not know all of its kinds yet: each such kind becomes one that they know.

The replacements are those of libbpf 1.7 (bpf_object__sanitize_btf); type ids stay as they are. Whether a kernel knows a
kind is found by loading the smallest BTF that has it (`PROBES`), never from its version.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from everykernel.btf import header, kinds
from everykernel.btf.edit import Editor

if TYPE_CHECKING:
    from collections.abc import Collection

    from everykernel.btf.types import Btf

# Feature: the kernel commit that brought it.
FEATURES = {
    "func": 'Linux commit 2667a2626f4d ("bpf: btf: Add BTF_KIND_FUNC and BTF_KIND_FUNC_PROTO") (in v5.0)',
    "datasec": 'Linux commit 1dc92851849c ("bpf: kernel side support for BTF Var and DataSec") (in v5.2)',
    "func_global": 'Linux commit 51c39bb1d5d1 ("bpf: Introduce function-by-function verification") (in v5.6)',
    "float": 'Linux commit b1828f0b0482 ("bpf: Add BTF_KIND_FLOAT support") (in v5.13)',
    "decl_tag": 'Linux commit b5ea834dde6b ("bpf: Support for new btf kind BTF_KIND_TAG") (in v5.16)',
    "type_tag": 'Linux commit 8c42d2fa4eea ("bpf: Support BTF_KIND_TYPE_TAG for btf_type_tag attributes") (in v5.17)',
    "enum64": 'Linux commit 6089fb325cf7 ("bpf: Add btf enum64 support") (in v6.0)',
    "qmark_datasec": 'Linux, "bpf: Allow all printable characters in BTF DATASEC names" (in v6.10)',
}
ALL = frozenset(FEATURES)


def needed(btf: Btf) -> frozenset[str]:
    """Return the features that a kernel must have to take this BTF as it is: only these are worth a probe."""
    found: set[str] = set()
    words, offsets = btf.words()
    for at in offsets:
        info = words[at + 1]
        kind = info >> 24 & 0x7F
        found.update(_NEEDS.get(kind, ()))
        if (kind == kinds.FUNC and info & 0xFFFF) or (kind == kinds.ENUM and info >> 31):
            found.add("func_global" if kind == kinds.FUNC else "enum64")
        if kind == kinds.DATASEC and btf.string(words[at]).startswith("?"):
            found.add("qmark_datasec")
    return frozenset(found)


def sanitise(btf: Btf, features: Collection[str]) -> bytes:
    """Return the BTF's bytes with every kind replaced that a kernel with just these features does not know."""
    editor = Editor(btf)
    words, offsets = editor.words, btf.words()[1]
    placeholder = 0
    for at in offsets:
        kind = words[at + 1] >> 24 & 0x7F
        if kind == kinds.ENUM64 and "enum64" not in features and not placeholder:
            placeholder = editor.add_int("enum64_placeholder", 1)
    for number, at in enumerate(offsets, btf.first):
        kind = words[at + 1] >> 24 & 0x7F
        for feature, replace in _REPLACEMENTS.get(kind, ()):
            if feature not in features and replace(editor, btf, number, at, placeholder):
                break
    return editor.image()


_NEEDS = {
    kinds.FUNC: ("func",), kinds.FUNC_PROTO: ("func",), kinds.VAR: ("datasec",), kinds.DATASEC: ("datasec",),
    kinds.FLOAT: ("float",), kinds.DECL_TAG: ("decl_tag",), kinds.TYPE_TAG: ("type_tag",), kinds.ENUM64: ("enum64",),
}  # fmt: skip

_Replacement = Callable[[Editor, "Btf", int, int, int], bool]


def _to_int(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    """A var or decl_tag becomes an int of one byte: more could be larger than what it stands for."""
    editor.words[at + 1 : at + 4] = type(editor.words)("I", (kinds.INT << 24, 1, 8))
    return True


def _datasec_to_struct(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    """A datasec becomes a struct with its variables as members; C has no dots in names."""
    words = editor.words
    count = words[at + 1] & 0xFFFFFF
    words[at] = editor.string(btf.string(words[at]).replace(".", "_").replace("?", "_"))
    words[at + 1] = kinds.STRUCT << 24 | count
    original = btf.words()[0]
    for item in range(at + 3, at + 3 + 3 * count, 3):
        variable, offset, _ = words[item : item + 3]
        btf.kind(variable)  # one that is not there is no type that was added meanwhile
        name = original[editor.at(variable)] if variable >= btf.first else 0
        words[item : item + 3] = type(words)("I", (name, variable, offset * 8 & 0xFFFFFFFF))
    return True


def _rename_datasec(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    name = btf.string(editor.words[at])
    if name.startswith("?"):
        editor.words[at] = editor.string("_" + name[1:])
    return True


def _proto_to_enum(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    count = editor.words[at + 1] & 0xFFFFFF
    editor.words[at + 1] = kinds.ENUM << 24 | count
    editor.words[at + 2] = 4
    return True


def _func_to_typedef(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    editor.words[at + 1] = kinds.TYPEDEF << 24
    return True


def _func_to_static(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    editor.words[at + 1] = kinds.FUNC << 24
    return True


def _float_to_struct(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    """A float becomes an empty struct of its size, without a name: ``float`` is none for a struct."""
    editor.words[at] = 0
    editor.words[at + 1] = kinds.STRUCT << 24
    return True


def _tag_to_const(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    editor.words[at] = 0
    editor.words[at + 1] = kinds.CONST << 24
    return True


def _clear_sign(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    editor.words[at + 1] &= 0x7FFFFFFF
    return True


def _enum64_to_union(editor: Editor, btf: Btf, number: int, at: int, placeholder: int) -> bool:
    """An enum64 becomes a union with its values' names as members."""
    words = editor.words
    count = words[at + 1] & 0xFFFFFF
    words[at + 1] = kinds.UNION << 24 | count
    for item in range(at + 3, at + 3 + 3 * count, 3):
        words[item + 1] = placeholder
        words[item + 2] = 0
    return True


# By kind: what to do where a feature is missing; the first that applies is taken.
_REPLACEMENTS: dict[int, tuple[tuple[str, _Replacement], ...]] = {
    kinds.VAR: (("datasec", _to_int),),
    kinds.DECL_TAG: (("decl_tag", _to_int),),
    kinds.DATASEC: (("datasec", _datasec_to_struct), ("qmark_datasec", _rename_datasec)),
    kinds.FUNC_PROTO: (("func", _proto_to_enum),),
    kinds.FUNC: (("func", _func_to_typedef), ("func_global", _func_to_static)),
    kinds.FLOAT: (("float", _float_to_struct),),
    kinds.TYPE_TAG: (("type_tag", _tag_to_const),),
    kinds.ENUM: (("enum64", _clear_sign),),
    kinds.ENUM64: (("enum64", _enum64_to_union),),
}


class Probe:
    """A small BTF: its strings, and the words of its types."""

    def __init__(self, strings: bytes, *words: int) -> None:
        self._strings, self._words = strings, words

    def image(self, byteorder: str) -> bytes:
        """Return it as a machine of this byte order (``little``, ``big``) takes it."""
        order = "<" if byteorder == "little" else ">"
        return header.image(byteorder, struct.pack(f"{order}{len(self._words)}I", *self._words), self._strings)


_INT = (0, kinds.INT << 24, 4, 1 << 24 | 32)  # a signed int of 32 bits, type 1 of most probes
_PROTO = (0, kinds.FUNC_PROTO << 24 | 1, 0, 3, 1)  # void (int a), type 2

LEAST = Probe(b"\0int\0", 1, kinds.INT << 24, 4, 1 << 24 | 32)
"""The smallest BTF of all: type 1 is an int of 4 bytes."""

# The smallest BTF with each feature: a kernel that has the feature loads it.
PROBES = {
    "func": Probe(b"\0x\0a\0", 1, kinds.INT << 24, 4, 1 << 24 | 32, *_PROTO, 1, kinds.FUNC << 24, 2),
    "datasec": Probe(
        b"\0x\0.data\0", *_INT, 1, kinds.VAR << 24, 1, 0, 3, kinds.DATASEC << 24 | 1, 4, 2, 0, 4
    ),
    "func_global": Probe(b"\0x\0a\0", 1, kinds.INT << 24, 4, 1 << 24 | 32, *_PROTO, 1, kinds.FUNC << 24 | 1, 2),
    "float": Probe(b"\0float\0", 1, kinds.FLOAT << 24, 4),
    "decl_tag": Probe(
        b"\0tag\0", *_INT, 1, kinds.VAR << 24, 1, 0, 1, kinds.DECL_TAG << 24, 2, 0xFFFFFFFF
    ),
    "type_tag": Probe(b"\0tag\0", *_INT, 1, kinds.TYPE_TAG << 24, 1, 0, kinds.PTR << 24, 2),
    "enum64": Probe(b"\0enum64\0", 1, kinds.ENUM64 << 24, 8),
    "qmark_datasec": Probe(
        b"\0x\0?.data\0", *_INT, 1, kinds.VAR << 24, 1, 0, 3, kinds.DATASEC << 24 | 1, 4, 2, 0, 4
    ),
}  # fmt: skip
