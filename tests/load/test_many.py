"""Which functions a pattern names for trampolines of many functions: libbpf 1.8's rule."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer

from everykernel.load.attach.many import functions


def _functions() -> Writer:
    """Functions that differ in what they take and return."""
    types = Writer()
    integer = types.integer("int", signed=True)
    small = types.struct("small", 16, [("a", integer, 0)])
    large = types.struct("large", 24, [("a", integer, 0)])
    signatures = {
        "f_none": (0, []),
        "f_pointer": (integer, [("p", types.ptr(0))]),
        "f_small": (integer, [("s", small)]),
        "f_large": (integer, [("s", large)]),
        "f_returns_struct": (small, []),
        "f_variable": (integer, [("a", integer), ("", 0)]),
        "f_12": (integer, [(f"a{n}", integer) for n in range(12)]),
        "f_13": (integer, [(f"a{n}", integer) for n in range(13)]),
        "g[1]": (integer, []),
    }
    for name, (result, parameters) in signatures.items():
        types.func(name, types.func_proto(result, parameters))
    types.struct("f_struct", 4, [("a", integer, 0)])
    return types


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("f_*", {"f_none", "f_pointer", "f_small", "f_12"}),
        ("f_1?", {"f_12"}),
        ("f_none", {"f_none"}),
        ("none", set()),
        ("g[1]", {"g[1]"}),
        ("", set()),
    ],
)
def test_patterns(pattern: str, names: set[str]) -> None:
    """Only ``*`` and ``?`` are wild, and a function whose arguments trampolines do not pass is left out."""
    btf = _functions().btf()
    assert {btf.name_of(number) for number in functions(btf, pattern)} == names
