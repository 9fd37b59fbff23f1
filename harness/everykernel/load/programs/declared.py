"""An object's BTF as the kernel takes it: externs become what it knows.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import Btf, SizeUnknown, kinds
from everykernel.btf.edit import Editor

if TYPE_CHECKING:
    from collections.abc import Mapping

_GLOBAL = 1  # index of btf.kinds.LINKAGES


def for_kernel(btf: Btf, places: Mapping[str, int], size: int) -> Btf:
    """Return an object's BTF in which externs are what the kernel takes; the same BTF if there are none.

    The kernel knows neither extern variables nor functions in a datasec. libbpf puts dummy variables there; here
    ``.ksyms`` becomes a union of ints with the externs' names, which no kernel refuses and nothing refers to.
    """
    secs = {name: btf.find(name, "datasec") for name in (".kconfig", ".ksyms")}
    if not any(secs.values()):
        return btf
    editor = Editor(btf)
    words = editor.words
    integer = editor.add_int("int", 4)
    if secs[".kconfig"]:
        variables = btf.type(secs[".kconfig"]).variables  # type: ignore[union-attr]
        editor.set_section(secs[".kconfig"], size, {v.type: places.get(btf.type(v.type).name, 0) for v in variables})
        for variable in variables:
            editor.set_linkage(variable.type, _GLOBAL)
    if secs[".ksyms"]:
        at = editor.at(secs[".ksyms"])
        count = words[at + 1] & 0xFFFFFF
        words[at] = editor.string("_ksyms")
        words[at + 1], words[at + 2] = kinds.UNION << 24 | count, 4
        for item in range(at + 3, at + 3 + 3 * count, 3):
            _make_known(editor, btf, words[item], integer)
            words[item : item + 3] = type(words)("I", (words[editor.at(words[item])], integer, 0))
    return Btf.parse(editor.image(), name=btf.name, pointer_size=btf.pointer_size)


def _make_known(editor: Editor, btf: Btf, number: int, integer: int) -> None:
    """Turn an extern variable or function into a global one that the kernel takes."""
    words = editor.words
    found = btf.type(number)
    editor.set_linkage(number, _GLOBAL)
    if isinstance(found, kinds.Var):
        try:
            btf.size_of(found.type)
        except SizeUnknown:
            words[editor.at(number) + 2] = integer
    elif isinstance(found, kinds.Func):
        at = editor.at(found.type)
        for item in range(at + 3, at + 3 + 2 * (words[at + 1] & 0xFFFFFF), 2):
            if words[item + 1] and not words[item]:
                words[item] = editor.string("arg")  # the kernel wants names for a function's parameters
