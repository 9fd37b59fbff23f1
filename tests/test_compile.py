"""Compiling the cases' BPF programs."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from everykernel import compile as compiler
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import CompileFailed, HarnessError, ToolMissing, UsageError

SOURCE = """\
// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include <everykernel.h>
#include "limit.h"
SEC("socket") int prog(struct __sk_buff *skb) { EK_ASSERT(skb->len < LIMIT); return sizeof(ek_long); }
char LICENSE[] SEC("license") = "Dual MIT/GPL";
"""


@pytest.fixture
def case(tmp_path: Path) -> Path:
    folder = tmp_path / "set of cases" / "one"
    folder.mkdir(parents=True)
    (folder / "case.toml").write_text('object = "build/{arch}/prog.bpf.o"\n')
    (folder / "prog.bpf.c").write_text(SOURCE)
    (folder / "limit.h").write_text("#define LIMIT 100\n")
    return folder


def compiled(case: Path) -> list[bool]:
    return [result.compiled for result in compiler.compile_all(compiler.jobs([str(case)]))]


def target(case: Path, arch: str = "x86_64") -> Path:
    return case / "build" / arch / "prog.bpf.o"


def test_an_object_for_each_architecture(case: Path) -> None:
    """Each architecture of the table gets an object, each with its target's own types."""
    assert compiled(case) == [True] * len(ARCHITECTURES)
    objects = {arch: target(case, arch).read_bytes() for arch in ARCHITECTURES}
    assert objects["x86_64"] != objects["i386"]  # sizeof(ek_long)


def test_objects_hold_btf_and_no_dwarf(case: Path) -> None:
    """An object has BTF with line information relative to the cases' folder, and no DWARF."""
    compiled(case)
    data = target(case).read_bytes()
    sections = {section.name for section in ELFFile(io.BytesIO(data)).iter_sections()}
    assert {".BTF", ".BTF.ext"} <= sections
    assert not {name for name in sections if name.startswith(".debug")}
    assert b"\0set of cases/one/prog.bpf.c\0" in data
    assert str(case).encode() not in data


def test_unchanged_is_not_compiled_again(case: Path) -> None:
    """What is up to date is left alone, file and all."""
    compiled(case)
    before = target(case).stat()
    assert compiled(case) == [False] * len(ARCHITECTURES)
    assert target(case).stat().st_ino == before.st_ino


@pytest.mark.parametrize("change", ["source", "header", "object", "record", "compiler"])
def test_changed_is_compiled_again(case: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing source or header, losing object or record, or another compiler makes an object stale."""
    compiled(case)
    record = target(case).with_name("prog.bpf.o.json")
    if change == "source":
        (case / "prog.bpf.c").write_text(SOURCE + "int more;\n")
    elif change == "header":
        (case / "limit.h").write_text("#define LIMIT 200\n")
    elif change == "object":
        target(case).unlink()
    elif change == "record":
        record.write_text("{")
    else:
        monkeypatch.setattr(compiler, "_version", lambda compiler: "clang version 99")
    assert compiled(case)[0]
    assert json.loads(record.read_text())["files"]


def test_touched_is_not_changed(case: Path) -> None:
    """A newer time stamp alone compiles nothing: a fresh clone with a kept build folder stays up to date."""
    compiled(case)
    os.utime(case / "prog.bpf.c")
    assert compiled(case) == [False] * len(ARCHITECTURES)


def test_a_refused_source_leaves_no_object(case: Path) -> None:
    """The error says where and why, and no object of an older source is left to be taken for the new one's."""
    compiled(case)
    (case / "prog.bpf.c").write_text(SOURCE.replace("skb->len", "skb->length"))
    with pytest.raises(CompileFailed) as caught:
        compiled(case)
    text = str(caught.value)
    assert text.startswith(f"{case / 'prog.bpf.c'}: clang")
    assert "refused it for x86_64: " in text
    assert "set of cases/one/prog.bpf.c:4:" in text
    assert "no member named 'length'" in text
    assert text.endswith(f"(and {len(ARCHITECTURES) - 1} more objects failed)")
    assert "no member named 'length'" in caught.value.output
    assert [path.name for path in (case / "build" / "x86_64").iterdir()] == []


def test_one_failure_does_not_stop_the_others(case: Path) -> None:
    """Sources beside a refused one are compiled all the same."""
    (case / "broken.bpf.c").write_text("no C\n")
    with pytest.raises(CompileFailed):
        compiled(case)
    assert target(case).is_file()


@pytest.mark.parametrize("release", range(19, 24))
def test_each_release_of_the_compiler_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: int) -> None:
    """A machine that has one release of LLVM, by Debian's names, needs no other."""
    for name in (f"clang-{release}", f"llvm-strip-{release}"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for names, name in ((compiler.COMPILERS, "clang"), (compiler.STRIPPERS, "llvm-strip")):
        assert compiler._tool.__wrapped__(names) == str(tmp_path / f"{name}-{release}")


def test_a_missing_compiler_names_the_remedy(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without clang the error says what to install."""
    monkeypatch.setattr(compiler, "COMPILERS", ("clang-none",))
    with pytest.raises(ToolMissing) as caught:
        compiled(case)
    assert str(caught.value) == "none of clang-none is installed [install clang-19 and llvm-19]"


def test_a_folder_that_cannot_be_written_is_told(case: Path) -> None:
    """Objects that have nowhere to go end in one line, not in a traceback."""
    (case / "build").write_text("a file where the folder should be")
    with pytest.raises(HarnessError) as caught:
        compiled(case)
    assert str(caught.value).startswith(f"{case / 'build' / 'x86_64'}: cannot be written: ")


def test_an_old_compiler_is_refused(tmp_path: Path) -> None:
    """A clang that cannot make what cases need is named, with the remedy."""
    old = tmp_path / "clang"
    old.write_text("#!/bin/sh\necho Debian clang version 14.0.6\n")
    old.chmod(0o755)
    with pytest.raises(ToolMissing) as caught:
        compiler._version(str(old))
    assert str(caught.value) == f"{old}: 'Debian clang version 14.0.6' is not clang 16 or newer [install clang-19]"


def test_an_unknown_case_is_a_usage_error(case: Path) -> None:
    """A case that is not there is named."""
    with pytest.raises(UsageError) as caught:
        compiler.jobs(["two"], folder=case.parent)
    assert str(caught.value) == f"{case.parent}: no case 'two' [a case is a folder with a case.toml]"


def test_cases_by_name_or_path(case: Path) -> None:
    """A case is named by its folder's name, its path, or the path of its case.toml."""
    for name in ("one", str(case), str(case / "case.toml")):
        assert {job.source for job in compiler.jobs([name], folder=case.parent)} == {case / "prog.bpf.c"}
