"""The object that is rehearsed in each guest: what is committed is what its source comes to, and it leaves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from everykernel import folders
from everykernel.architectures import ARCHITECTURES
from everykernel.compile import Job, compile_one
from everykernel.object import ObjectSpec, read

FIRST = folders.package() / "guest" / "first"
ENDS = {"x86_64": ".bpfel", "s390x": ".bpfeb"}  # of an architecture of that byte order


def _shape(spec: ObjectSpec) -> object:
    """Return what two compilers agree on."""
    programs = [(program.name, program.section) for program in spec.programs]
    maps = [(one.name, one.type, one.key_size, one.value_size, one.max_entries) for one in spec.maps.values()]
    data = [(section.name, len(section.data)) for section in spec.data.values()]
    return spec.byteorder, spec.license, sorted(programs), sorted(maps), sorted(data), sorted(spec.externs)


@pytest.mark.parametrize("arch", ENDS)
def test_it_is_what_its_source_comes_to(arch: str, tmp_path: Path) -> None:
    """To write it anew: copy what this makes (the first is of clang 19)."""
    source, made = tmp_path / "first.bpf.c", tmp_path / "first.bpf.o"
    shutil.copy(FIRST / source.name, source)
    compile_one(Job(source, ARCHITECTURES[arch], made))
    committed = read((FIRST / f"first{ENDS[arch]}").read_bytes(), "first.bpf.o")
    assert _shape(committed) == _shape(read(made.read_bytes(), "first.bpf.o"))
