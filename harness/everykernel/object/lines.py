"""Where in the source an instruction came from, as the object's line info tells it.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.errors import BtfMalformed
from everykernel.object.spec import INSN

if TYPE_CHECKING:
    from typing import Optional

    from everykernel.btf import Btf
    from everykernel.object.spec import Function


def place(btf: Optional[Btf], function: Function, insn: int) -> tuple[str, str]:
    """Return where an instruction of a function comes from, ``file:line``, and the line's text; "" where nothing tells.

    Raises BtfMalformed for a name that is not in the object's strings.
    """
    offset, found = function.start + INSN * insn, None
    for line in function.line_info:
        if line.insn_off > offset:
            break
        if line.line_col >> 10:  # line 0 stands for no line
            found = line
    if found is None or btf is None:
        return "", ""
    return f"{btf.string(found.file_off)}:{found.line_col >> 10}", " ".join(btf.string(found.line_off).split())


def file_line(btf: Optional[Btf], function: Function, insn: int) -> str:
    """Return ``file:line`` of an instruction; "" where nothing tells, or what tells is damaged."""
    try:
        return place(btf, function, insn)[0]
    except BtfMalformed:  # the object loads without
        return ""
