"""BTF is found in raw files, in ELF files, and by its magic."""

from __future__ import annotations

import pytest
from tests.btf.test_types import everything

from everykernel.btf import image
from everykernel.errors import BtfMalformed


def test_raw() -> None:
    """Raw BTF is what it is; anything else holds none."""
    data = everything().image()
    assert image.extract(data, name="f") == data
    assert image.extract(b"text", name="f") is None


def test_broken_elf() -> None:
    """Whatever the ELF reader stumbles over is one typed error."""
    with pytest.raises(BtfMalformed, match="f: is no readable ELF file: "):
        image.extract(b"\x7fELF\x02\x01\x01" + bytes(20), name="f")


@pytest.mark.parametrize("big", [False, True])
def test_search(big: bool) -> None:
    """In a flat image the BTF is found by its magic and a sound header; a stray magic is none."""
    data = everything(big=big).image()
    stray = data[:4] + b"\xff" * 40
    assert image.search(stray + b"pad" + data + stray) == data
    assert image.search(stray) is None
