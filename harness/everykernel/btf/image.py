"""BTF inside other files: raw BTF, or the .BTF section of an ELF file (an object, vmlinux, a kernel module).

Compressed kernel images are opened by `everykernel.kernels`, which then calls this.

This module travels to the guest: standard library only, Python 3.9 (pyelftools where an ELF file is read).
"""

from __future__ import annotations

import io
from typing import Optional

from everykernel.btf import header
from everykernel.errors import BtfMalformed

_LOOK_ALIKES = 10_000  # in a sound kernel the four bytes of a magic stand nowhere else but by chance, one in 4 GiB
_MAGICS = (b"\x9f\xeb\x01\x00", b"\xeb\x9f\x01\x00")  # with version 1 and no flags


def is_raw(data: bytes) -> bool:
    """Return whether the bytes start like raw BTF."""
    return data[:4] in _MAGICS


def extract(data: bytes, *, name: str) -> Optional[bytes]:
    """Return the raw BTF that a file's bytes hold, or None if they hold none.

    Raises BtfMalformed for an ELF file that cannot be read.
    """
    if is_raw(data):
        return data
    if data[:4] == b"\x7fELF":
        return section(data, ".BTF", name=name)
    return None


def section(data: bytes, wanted: str, *, name: str) -> Optional[bytes]:
    """Return the contents of an ELF file's section, or None; raise BtfMalformed for a file that cannot be read."""
    from elftools.elf.elffile import ELFFile

    try:
        found = ELFFile(io.BytesIO(data)).get_section_by_name(wanted)
        return bytes(found.data()) if found is not None else None
    except Exception as e:  # pyelftools raises whatever a broken file leads it to
        raise BtfMalformed(f"is no readable ELF file: {type(e).__name__}: {e}", where=name) from e


def search(data: bytes) -> Optional[bytes]:
    """Return the BTF found by its magic anywhere in the bytes (an arm64 Image is no ELF file), or None.

    The longest one that has a sound header and ends inside the data is taken, of the first `_LOOK_ALIKES`.
    """
    best = (0, 0)
    view = memoryview(data)  # nothing is copied but the one that is returned
    for magic in _MAGICS:
        at = data.find(magic)
        for _ in range(_LOOK_ALIKES):
            if at < 0:
                break
            end = _end(view, at)
            if end - at > best[1] - best[0]:
                best = (at, end)
            at = data.find(magic, at + 1)
    return data[best[0] : best[1]] if best[1] else None


def _end(data: memoryview, at: int) -> int:
    """Return where the BTF ends whose header is at an offset, the offset itself where there is none."""
    order = "little" if data[at] == 0x9F else "big"
    fields = [int.from_bytes(data[at + i : at + i + 4], order) for i in range(4, 24, 4)]  # type: ignore[arg-type]
    length, type_off, type_len, str_off, str_len = fields
    end = at + length + str_off + str_len
    # A vmlinux has its strings right behind its types; a few bytes that look like a magic do not.
    if not (header.MIN_HEADER <= length <= 256 and type_off % 4 == 0 and type_len and str_len and end <= len(data)):
        return at
    try:
        header.parse(data[at:end], name="")
    except BtfMalformed:
        return at
    return end
