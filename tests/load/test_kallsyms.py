"""Addresses of symbols in the form of /proc/kallsyms."""

from __future__ import annotations

import pytest

from everykernel.load.kernel.symbols import addresses

TEXT = b"""ffffffff81000000 T _stext
ffffffff81000010 t start_it
ffffffff81000020 T start
ffffffff81000030 t twice
ffffffff81000040 t twice
ffffffff81000040 t twice
ffffffff81000050 d hidden.llvm.123
ffffffff81000060 t code.llvm.456
ffffffffc0000000 t start\t[module]
ffffffffc0000010 r of_module\t[module]
"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("_stext", [0xFFFFFFFF81000000]),
        ("start", [0xFFFFFFFF81000020, 0xFFFFFFFFC0000000]),
        ("twice", [0xFFFFFFFF81000030, 0xFFFFFFFF81000040]),
        ("hidden", [0xFFFFFFFF81000050]),
        ("code", []),
        ("of_module", [0xFFFFFFFFC0000010]),
        ("[module]", []),
        ("T", []),
        ("nothing", []),
    ],
)
def test_addresses(name: str, found: list[int]) -> None:
    """Whole names only, of the kernel and its modules, each address once; compilers' endings of variables aside."""
    assert addresses(TEXT, name) == found
