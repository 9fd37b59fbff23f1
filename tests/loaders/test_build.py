"""Adapters are built by the toolchain that is there, or not at all, and found again by all that decides them."""

from __future__ import annotations

import re
import stat
import struct
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from everykernel import cache, folders
from everykernel.architectures import ARCHITECTURES, DEFAULT
from everykernel.errors import HarnessError, ToolMissing, UsageError
from everykernel.loaders import adapter, build, names, sysroot
from everykernel.loaders.adapter import Adapter, Wanted
from everykernel.loaders.program import built_for
from everykernel.loaders.table import LOADERS, Loader, Tool

SOURCES = folders.package() / "loaders"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))


def tool(folder: Path, said: str, name: str = "builder", code: str = "exit 0") -> Tool:
    """A tool that says its version, and otherwise does what ``code`` says."""
    program = folder / name
    program.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{said}"; else {code}; fi\n')
    program.chmod(stat.S_IRWXU)
    return Tool((str(program),), ("--version",), re.compile(r"builder (\d+)\.(\d+)"), (1, 98), "install a newer one")


def row(folder: Path, said: str = "builder 1.98", code: str = "exit 0") -> Loader:
    """A row whose tool is `tool`, of the sources of ebpf-go."""
    made = tool(folder, said, code=code)
    targets = {"x86_64": "amd64", "arm64": "arm"}
    return Loader("ebpf-go", "a library", "1.0", made, targets, ("{tool}", "build", "{target}"), "made-{target}")


def test_the_table_has_the_names_and_the_sources_of_all() -> None:
    """Each real loader has a row of its name and a folder; what it pins is what its manifest pins."""
    assert tuple(LOADERS) == names.REAL
    for name in names.REAL:
        assert (SOURCES / name).is_dir()
        assert tuple(LOADERS[name].targets) == names.ARCHES[name]
    assert f"cilium/ebpf v{LOADERS['ebpf-go'].version}\n" in (SOURCES / "ebpf-go/go.mod").read_text()
    manifest = tomllib.loads((SOURCES / "aya/Cargo.toml").read_text())
    assert manifest["dependencies"]["aya"] == f"={LOADERS['aya'].version}"
    assert LOADERS["aya"].program.endswith(f"/{manifest['package']['name']}")
    assert {one.targets["arm64"] for one in LOADERS.values()} == {
        "aarch64-linux-gnu",
        "arm64",
        "aarch64-unknown-linux-musl",
    }


def test_a_missing_tool_is_told_with_what_to_install(tmp_path: Path) -> None:
    """One line: which loader, what is missing, what to do."""
    lacking = replace(tool(tmp_path, ""), names=("no-such-builder",))
    with pytest.raises(ToolMissing) as error:
        build.find(lacking, tmp_path, "aya", lacking.remedy)
    assert str(error.value) == "loader aya: no-such-builder is not installed [install a newer one]"


@pytest.mark.parametrize("said", ["builder 1.97.3 (of last year)", "builder 0.99", "something else"])
def test_a_tool_that_is_too_old_is_not_taken(tmp_path: Path, said: str) -> None:
    """It is told what it says, and what is wanted."""
    with pytest.raises(ToolMissing) as error:
        build.find(tool(tmp_path, said), tmp_path, "aya", "install a newer one")
    assert str(error.value) == (
        f"loader aya: {tmp_path}/builder says {said!r}, which is not 1.98 or newer [install a newer one]"
    )


def test_the_first_tool_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    """An old one before it is passed over."""
    old, new = tool(tmp_path, "builder 1.2", "old"), tool(tmp_path, "builder 2.0 (new)", "new")
    found = build.find(replace(new, names=(*old.names, *new.names)), tmp_path, "aya", "")
    assert found == build.Toolchain(str(tmp_path / "new"), "builder 2.0 (new)")


def test_what_decides_an_adapter_decides_its_entry_in_the_cache(tmp_path: Path) -> None:
    """Sources, pinned versions, command, toolchain and architecture: each changes the key, nothing else does."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "main.c").write_text("int main;")
    mine, chain = row(tmp_path), build.Toolchain("/a/builder", "builder 1.98")
    first = build.digest(mine, sources, chain)
    assert build.digest(mine, sources, replace(chain, path="/b/builder")) == first
    (sources / "target").mkdir()
    (sources / "target" / "litter").write_text("x")
    assert build.digest(mine, sources, chain) == first
    others = [
        build.digest(mine, sources, replace(chain, said="builder 1.99")),
        build.digest(replace(mine, version="1.1"), sources, chain),
        build.digest(replace(mine, pinned="x"), sources, chain),
        build.digest(replace(mine, command=("{tool}",)), sources, chain),
        build.digest(replace(mine, environment={"A": "b"}), sources, chain),
        build.digest(mine, sources, chain, ARCHITECTURES["arm64"]),
    ]
    (sources / "main.c").write_text("int main();")
    others.append(build.digest(mine, sources, chain))
    assert len({first, *others}) == 8


def test_an_adapter_is_built_once(tmp_path: Path) -> None:
    """What the command makes is kept in the cache, executable; a second call builds nothing."""
    made = tmp_path / "made"
    made.write_bytes(static_program())
    told: list[str] = []
    loader = row(tmp_path, code=f"cp {made} made-amd64; echo x >> {tmp_path}/builds")
    first = build.build(loader, tell=told.append)
    assert build.build(loader, tell=told.append) == first
    assert first.toolchain == "builder 1.98"
    assert first.program.read_bytes() == made.read_bytes()
    assert first.program.stat().st_mode & stat.S_IXUSR
    assert first.program.parent.parent == cache.folder("loaders")
    assert (tmp_path / "builds").read_text() == "x\n"
    assert told == ["loader ebpf-go: building its adapter, a library 1.0, once"]


def test_an_adapter_is_built_for_an_architecture(tmp_path: Path) -> None:
    """By its own target, beside the others; what it makes has to be a program for it."""
    made = tmp_path / "made"
    made.write_bytes(static_program(machine=183))
    told: list[str] = []
    loader = row(tmp_path, code=f"test $2 = arm || exit 1; cp {made} made-arm")
    built = build.build(loader, ARCHITECTURES["arm64"], told.append)
    assert built_for(built.program.read_bytes()) == "arm64"
    assert told == ["loader ebpf-go: building its adapter for arm64, a library 1.0, once"]
    with pytest.raises(HarnessError, match="made no static program for Linux on x86_64"):
        build.build(row(tmp_path, code=f"cp {made} made-amd64"))
    with pytest.raises(ToolMissing) as error:
        build.build(replace(loader, nowhere_else="nobody ported it"), ARCHITECTURES["s390x"])
    assert str(error.value) == "loader ebpf-go: there is none for s390x: nobody ported it"


def test_what_another_machine_needs_is_told(tmp_path: Path) -> None:
    """Where the build fails for it: the remedy is that of building for it."""
    loader = row(tmp_path, code="echo 'error: no linker' >&2; exit 1")
    loader = replace(loader, tool=replace(loader.tool, remedy="get {target}", across="get lld"))
    foreign = next(one for one in (DEFAULT, ARCHITECTURES["arm64"]) if sysroot.is_foreign(one))
    with pytest.raises(ToolMissing) as error:
        build.build(loader, foreign)
    assert str(error.value) == "loader ebpf-go: cannot be built: error: no linker [get lld]"
    own = next(one for one in (DEFAULT, ARCHITECTURES["arm64"]) if not sysroot.is_foreign(one))
    with pytest.raises(ToolMissing) as error:
        build.build(loader, own)
    assert f"[get {loader.targets[own.name]}]" in str(error.value)


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The compiler's first error is told, and what may be missing; no entry is made."""
    loader = row(tmp_path, code="echo 'note: so'; echo 'main.c:1: error: no libelf' >&2; exit 1")
    with pytest.raises(ToolMissing) as error:
        build.build(loader)
    assert str(error.value) == "loader ebpf-go: cannot be built: main.c:1: error: no libelf [install a newer one]"
    assert not list(cache.folder("loaders").iterdir())


def test_a_program_that_is_not_static_is_none(tmp_path: Path) -> None:
    """It could not run in a guest."""
    with pytest.raises(HarnessError, match="made no static program"):
        build.build(row(tmp_path, code="echo '#!/bin/sh' > made-amd64"))
    assert not list(cache.folder("loaders").iterdir())


def static_program(*segments: int, machine: int = 62) -> bytes:
    """The head of a program for a 64-bit little-endian machine (x86_64) with segments of these types (1: PT_LOAD)."""
    kinds = segments or (1,)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    fields = (2, machine, 1, 0, 64, 0, 0, 64, 56, len(kinds), 64, 0, 0)
    packed = struct.pack("<HHIQQQIHHHHHH", *fields)
    return head + packed + b"".join(kind.to_bytes(4, "little").ljust(56, b"\0") for kind in kinds)


def test_static_programs_are_told_from_others() -> None:
    """A program that asks for an interpreter, of an unknown machine, cut off, or no program at all, is none."""
    whole = static_program(1, 2)
    assert built_for(whole) == "x86_64"
    assert built_for(static_program(machine=183)) == "arm64"
    for other in (static_program(1, 3), whole[:-1], static_program(machine=99), b"#!/bin/sh\n", b""):
        assert built_for(other) == ""


def test_programs_of_other_widths_and_byte_orders_are_known() -> None:
    """Of 32 bits, and big-endian: the numbers of an ELF file are the machine's own."""
    big = b"\x7fELF\x02\x02\x01".ljust(16, b"\0")
    big += struct.pack(">HHIQQQIHHHHHH", 2, 22, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0) + bytes((0, 0, 0, 1)).ljust(
        56, b"\0"
    )
    assert built_for(big) == "s390x"
    assert built_for(big[:64] + bytes((0, 0, 0, 3)).ljust(56, b"\0")) == ""
    narrow = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    narrow += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 1, 40, 0, 0) + b"\1".ljust(32, b"\0")
    assert built_for(narrow) == "i386"


def test_loaders_are_named_with_commas(tmp_path: Path) -> None:
    """Names, each once, and a user's own adapter by its path."""
    mine = tmp_path / "mine"
    mine.write_bytes(static_program())
    assert adapter.parse("own, libbpf,own") == [Wanted("own"), Wanted("libbpf")]
    assert adapter.parse(f"mine={mine}") == [Wanted("mine", mine)]
    [made] = adapter.prepare([Wanted("mine", mine)])
    assert made is not None
    assert (made.name, made.again, made.skipped) == ("mine", f"mine={mine}", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("libpf", "--loader: unknown loader 'libpf' [did you mean 'libbpf'?]"),
        ("zzz", "--loader: unknown loader 'zzz' [known: own, libbpf, ebpf-go, aya, or NAME=PATH]"),
        ("", "--loader: no loader was named [own, libbpf, ebpf-go, aya, or NAME=PATH]"),
        ("own=/bin/sh", "--loader: 'own' is no name for a loader of your own [lower-case letters, digits, - and .]"),
        ("Mine=/bin/sh", "--loader: 'Mine' is no name for a loader of your own [lower-case letters, digits, - and .]"),
        ("mine=/no/such", "/no/such: loader 'mine': there is no such file"),
        (
            "mine=/bin/sh",
            "/bin/sh: loader 'mine' is no static Linux program of a known architecture [link it statically]",
        ),
    ],
)
def test_what_is_no_loader_is_told(text: str, why: str) -> None:
    """One line says what is wrong with it, and what there is."""
    with pytest.raises(UsageError) as error:
        adapter.parse(text)
    assert str(error.value) == why


def test_a_loader_without_its_toolchain_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is there, with the reason, and has no program."""
    monkeypatch.setitem(LOADERS, "aya", replace(LOADERS["aya"], tool=tool(tmp_path, "builder 1.2")))
    [found] = adapter.prepare([Wanted("aya")])
    assert found == Adapter("aya", version="0.16.0", skipped=found.skipped if found else "")
    assert found is not None
    assert "which is not 1.98 or newer" in found.skipped


def test_a_loader_is_skipped_where_there_is_none_for_the_machine() -> None:
    """aya on s390x: one line, with the reason."""
    [found] = adapter.prepare([Wanted("aya")], arches=["s390x"])
    assert found is not None
    assert (found.arch, found.program) == ("s390x", Path())
    assert found.skipped == (
        "loader aya: there is none for s390x: rustup has no standard library for a musl target there"
    )
