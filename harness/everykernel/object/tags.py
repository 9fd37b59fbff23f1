"""Declaration tags that a loader acts on: the function that catches a program's exceptions.

The rule is libbpf 1.7's (bpf_prog_assign_exc_cb): ``__exception_cb(name)`` on a program is a btf_decl_tag with the
function's name in it; nothing calls that function, and it goes to the kernel with the program.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.dataclass import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf import Btf
    from everykernel.object.spec import Function

_EXCEPTION = "exception_callback:"
CONTEXT = "arg:ctx"


def tags(btf: Btf, prefix: str) -> Iterator[kinds.DeclTag]:
    """Yield the declaration tags whose text begins so."""
    if prefix.encode() not in btf.strings()[-1].data:
        return
    words, offsets = btf.words()
    for number, at in enumerate(offsets, btf.first):
        if words[at + 1] >> 24 & 0x7F == kinds.DECL_TAG:
            found = btf.type(number)
            if isinstance(found, kinds.DeclTag) and found.name.startswith(prefix):
                yield found


def with_exceptions(code: list[Function], btf: Btf) -> list[Function]:
    """Return the functions, those that have one with the name of the function that catches their exceptions."""
    callbacks = {
        btf.type(tag.type).name: tag.name[len(_EXCEPTION) :] for tag in tags(btf, _EXCEPTION) if tag.component == -1
    }
    return [replace(f, exception=callbacks[f.name]) if f.name in callbacks else f for f in code]
