"""The first releases that messages name are those of real kernels."""

from __future__ import annotations

import re

import pytest

from everykernel import kernels
from everykernel.btf import Btf, Enum
from everykernel.load.kernel import releases
from everykernel.load.kernel.helpers import HELPERS
from everykernel.object.maps import MAP_TYPES
from everykernel.object.sections import ATTACH_TYPES, PROGRAM_TYPES

pytestmark = pytest.mark.vm

ENUMS = {
    "helper": ("bpf_func_id", HELPERS),
    "map": ("bpf_map_type", MAP_TYPES),
    "program": ("bpf_prog_type", PROGRAM_TYPES),
    "attach": ("bpf_attach_type", ATTACH_TYPES),
}


def _numbers(release: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)", release)
    assert found is not None
    return tuple(map(int, found.groups()))


@pytest.mark.parametrize("series", ["5.10", "6.1", "6.12", "6.18", "7.3"])
def test_kernels_have_what_their_release_has(series: str) -> None:
    """A kernel's own enums hold a number if the table says that its release has it, and only then.

    The table is of upstream, and so are these kernels as far as their enums go; of a vendor's with backports no such
    thing is so, and nothing but this test compares a release with the table.
    """
    (resolved,) = kernels.resolve([series])
    raw = kernels.btf(resolved.fetch())
    assert raw is not None
    btf = Btf.parse(raw)
    for kind, (enum, names) in ENUMS.items():
        number = btf.find(enum, "enum")
        assert number is not None
        found = btf.type(number)
        assert isinstance(found, Enum)
        there = {value.value for value in found.values if not value.name.startswith("__")}
        for index, name in enumerate(names):
            first = releases.first(kind, index)
            expected = not first or _numbers(first) <= _numbers(resolved.release)
            assert (index in there) == expected, f"{kind} {name}: {first}"
