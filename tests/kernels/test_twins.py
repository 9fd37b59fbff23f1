"""Twins: what they are configured with, when they have to be built again, and that make, gcc and pahole build them.

The source that is built here is a tiny one, whose Makefile has the two targets of a kernel's that are used. Real ones
are built by ``nox -s twins``.
"""

from __future__ import annotations

import io
import json
import platform
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from everykernel import cache, kernels
from everykernel.errors import CacheError, DownloadError, HarnessError, ToolMissing, UnknownKernel, UsageError
from everykernel.kernels import supplied
from everykernel.kernels.debian import Archive
from everykernel.kernels.twins import build, kconfig, kept, parts, tree
from everykernel.kernels.twins.kept import Twin

from .archive import Server, TinyArchive, deb, kernel_image

RELEASE = "6.1.7-twin"
MAKEFILE = """\
allnoconfig:
\tcp $(KCONFIG_ALLCONFIG) .config
\techo again >> configured
bzImage:
\tgcc -g -c twin.c -o vmlinux
\tmkdir -p arch/x86/boot && cp image arch/x86/boot/bzImage
\techo kernel/a.ko > modules.builtin
"""


def source(makefile: str, image: bytes) -> bytes:
    """Debian's package with a kernel's source, in which only what is built is missing."""
    files = {
        "Makefile": makefile.encode(),
        "twin.c": b"struct task { int pid; long start; };\nstruct task current;\n",
        "image": image,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz", preset=0) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"linux-source-6.1/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return deb({"./usr/share/doc/linux-source-6.1/copyright": b"", "./usr/src/linux-source-6.1.tar.xz": out.getvalue()})


def published(server: Server, makefile: str = MAKEFILE, image: bytes = b"") -> Archive:
    tiny = TinyArchive(server)
    tiny.add("stable", "linux-source-6.1", "6.1.7-1", source(makefile, image or kernel_image(RELEASE)))
    tiny.add("stable-security", "hello", "1", b"")
    tiny.publish()
    return tiny.archive()


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins of 6.1 are built of what the tiny archive has."""
    row = parts.Row("6.1", "linux-source-6.1", ("stable-security", "stable"), 30)
    monkeypatch.setattr(parts, "rows", lambda: {"6.1": row})


@pytest.fixture
def archive(server: Server) -> Archive:
    return published(server)


def built(archive: Archive) -> list[Twin]:
    return build.build(build.plan("6.1", archive), archive, jobs=1)


# ------------------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_twins_ask_for_one_difference(series: str) -> None:
    """What the fragments of the two ask for differs in CONFIG_DEBUG_INFO_BTF and in nothing else."""
    there, here = (kconfig.read(kconfig.wanted(series, part)) for part in (parts.WITH, parts.WITHOUT))
    assert kconfig.differences(there, here) == {"CONFIG_DEBUG_INFO_BTF": ("y", "n")}


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_both_have_what_the_proof_and_the_third_column_need(series: str) -> None:
    """Each tells its configuration, and has the debug information of which pahole makes BTF."""
    for part in (parts.WITH, parts.WITHOUT):
        asked = kconfig.read(kconfig.wanted(series, part))
        assert asked["CONFIG_IKCONFIG_PROC"] == asked["CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT"] == "y"


def test_a_configuration_is_read() -> None:
    """Switches, numbers and texts are read; the last line that names an option counts, and comments do not."""
    text = '# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="a b"\nCONFIG_A=8\n# CONFIG_D=y\n# end of CONFIG\n'
    assert kconfig.read(text) == {"CONFIG_A": "8", "CONFIG_B": "y", "CONFIG_C": '"a b"'}


def test_what_is_not_there_is_not_set() -> None:
    """An option that one side cannot have (its dependency is off) is no difference to one that is not set."""
    one = {"CONFIG_A": "y", "CONFIG_ONLY_WITH_A": "n", "CONFIG_B": "m"}
    assert kconfig.differences(one, {"CONFIG_B": "y"}) == {"CONFIG_A": ("y", "n"), "CONFIG_B": ("m", "y")}
    assert kconfig.unmet({"CONFIG_A": "y", "CONFIG_C": "n", "CONFIG_B": "y"}, one) == ["CONFIG_B=y"]


# ---------------------------------------------------------------------------------------------------------- the cache


def test_what_decides_a_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source, fragments, part and tools each give another twin; a comment in a fragment does not."""
    text = kconfig.wanted("6.1", parts.WITH)
    same = kept.key("6.1", parts.WITH, "aa", "gcc 12")
    assert len({same, *(kept.key("6.1", *one) for one in (("btf", "ab", "gcc 12"), ("btf", "aa", "gcc 13")))}) == 3
    assert kept.key("6.1", parts.WITHOUT, "aa", "gcc 12") != same
    monkeypatch.setattr(kconfig, "wanted", lambda series, part: f"# why\n{text}")
    assert kept.key("6.1", parts.WITH, "aa", "gcc 12") == same
    monkeypatch.setattr(kconfig, "wanted", lambda series, part: f"{text}CONFIG_MORE=y\n")
    assert kept.key("6.1", parts.WITH, "aa", "gcc 12") != same


def test_both_are_built_and_are_kernels_like_others(archive: Archive) -> None:
    """Make, gcc and pahole build both; specs then mean them, the third with the BTF of the second's own types."""
    assert [(twin.part, twin.release, twin.version) for twin in built(archive)] == [
        ("nobtf", RELEASE, "6.1.7-1"),
        ("btf", RELEASE, "6.1.7-1"),
    ]
    found = {one.spec: one.fetch() for one in kernels.resolve("6.1-btf,6.1-nobtf,6.1.7-supplied", archive=archive)}
    assert {spec: (one.source, one.flavour) for spec, one in found.items()} == {
        "6.1-btf": ("twins:linux-source-6.1", "btf"),
        "6.1-nobtf": ("twins:linux-source-6.1", "nobtf"),
        "6.1.7-supplied": ("twins:linux-source-6.1", "supplied"),
    }
    there, here, again = found.values()
    assert here.supplied is there.supplied is None
    assert again.supplied is not None
    assert again.supplied.name == f"{RELEASE}.btf"
    assert b"\0task\0" in supplied.read(again.supplied)
    assert kernels.btf(here) is None
    assert kernels.btf(again) == supplied.read(again.supplied)  # what relocate and explain look at
    assert (here.digest, here.image) == (again.digest, again.image)  # one kernel: one snapshot
    assert there.modules is not None
    assert (there.modules / "modules.builtin").read_text() == "kernel/a.ko\n"
    assert "CONFIG_DEBUG_INFO_BTF=y" in (there.config or Path()).read_text()
    assert here.notes[0].startswith("built here: linux-source-6.1 6.1.7-1, by gcc ")


def test_what_is_here_is_not_built_again(archive: Archive, server: Server) -> None:
    """A second build asks for nothing; of a tree nothing is left once both are kept."""
    first = built(archive)
    here = {path for path in cache.folder("twins").iterdir() if not path.name.startswith(".")}
    assert here == {twin.folder for twin in first}
    server.paths()
    planned = build.plan("6.1", archive)
    assert not planned.missing()
    assert build.build(planned, archive) == first
    assert not [path for path in server.paths() if path.endswith(".deb")]


def test_an_error_keeps_the_tree_and_the_next_build_goes_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the line that says why, and where the log is; what was unpacked and built is still there."""
    broken = MAKEFILE.replace("\tgcc", "\ttest -e mended || { echo 'twin.c:1: error: no such thing'; exit 1; }\n\tgcc")
    archive = published(server, broken)
    with pytest.raises(HarnessError, match=r"everykernel\.log: make bzImage: twin\.c:1: error: no such thing \[look"):
        built(archive)
    (top,) = cache.folder("twins").glob("linux-source-*")
    (top / "mended").touch()
    assert len(built(archive)) == 2
    assert not top.exists()


def test_a_twin_with_btf_has_some(server: Server) -> None:
    """A build that left BTF out, whatever the reason, is no twin."""
    archive = published(server, MAKEFILE, image=kernel_image(RELEASE, btf=False))
    with pytest.raises(HarnessError, match=r"^6\.1: its image has no BTF \[look at .*everykernel\.log\]$"):
        built(archive)


def test_a_source_that_does_not_have_what_is_asked_for(server: Server) -> None:
    """A fragment's option that the source drops is an error that names it, before anything is compiled."""
    archive = published(server, MAKEFILE.replace("\techo again", "\tsed -i /CONFIG_BPF_JIT=/d .config; echo again"))
    with pytest.raises(HarnessError, match=r"kernels/configs for 6\.1-nobtf: .* ask for: CONFIG_BPF_JIT=y$"):
        built(archive)


def test_the_newest_that_fits(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A series means its newest twin; a version that one alone; one that was built of other fragments is none."""
    newest = built(archive)[1]
    older = newest.folder.with_name("6.1-btf-0000000000000000")
    older.mkdir()
    replace(newest, version="6.1.6-9", folder=older).write()
    assert [one.version for one in kernels.resolve("6.1-btf,6.1.6-btf", archive=archive)] == ["6.1.7-1", "6.1.6-9"]
    with pytest.raises(UnknownKernel, match=r"6\.1\.5-btf: is not built on this machine, only of 6\.1\.7-1 \["):
        kernels.resolve("6.1.5-btf", archive=archive)
    text = kconfig.wanted("6.1", parts.WITH)
    monkeypatch.setattr(kconfig, "wanted", lambda series, part: f"{text}CONFIG_MORE=y\n")
    with pytest.raises(UnknownKernel, match=r"6\.1-btf: is not built on this machine \["):
        kernels.resolve("6.1-btf", archive=archive)


def test_an_image_that_was_changed_is_not_booted(archive: Archive) -> None:
    """What boots is what was built, or an error says what to do."""
    twin = built(archive)[1]
    (one,) = kernels.resolve("6.1-btf", archive=archive)
    (twin.folder / "vmlinuz").write_bytes(b"another")
    with pytest.raises(
        CacheError, match=r"vmlinuz: is corrupted \(SHA-256\) \[rm -r .*; everykernel kernels build 6\.1"
    ):
        one.fetch()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"format": 99, "series": "6.1"}', "no JSON"])
def test_a_record_that_cannot_be_read_is_no_twin(text: str, archive: Archive) -> None:
    """Whatever stands in the cache, a folder without a sound record is as good as none."""
    twin = built(archive)[1]
    (twin.folder / kept.RECORD).write_text(text)
    assert kept.at(twin.folder) is None
    with pytest.raises(UnknownKernel):
        kernels.resolve("6.1-btf", archive=archive)


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "6.1-nobtf",
            "6.1-nobtf: is not built on this machine "
            "[everykernel kernels build 6.1 builds both in about 30 minutes of a processor]",
        ),
        ("5.10-btf", "5.10-btf: twins are built of 6.1, for x86_64, without flavours [write 6.1-btf]"),
        ("6.1-btf/arm64", "6.1-btf/arm64: twins are built of 6.1, for x86_64, without flavours [write 6.1-btf]"),
        ("6.1-btf+rt", "6.1-btf+rt: twins are built of 6.1, for x86_64, without flavours [write 6.1-btf]"),
    ],
)
def test_one_line_says_how_a_twin_is_had(spec: str, said: str, archive: Archive) -> None:
    """A twin that is not here is told with the command that builds it; one that cannot be, with those that can."""
    with pytest.raises(UnknownKernel) as caught:
        kernels.resolve(spec, archive=archive)
    assert str(caught.value) == said


def test_removing_kernels_leaves_what_is_no_twin(archive: Archive) -> None:
    """6.1-btf does not stand for the kernels of a distribution, also not where kernels are removed."""
    (spec,) = kernels.parse("6.1-btf")
    built(archive)
    (one,) = kernels.resolve("6.1-btf", archive=archive)
    assert not spec.matches(one.fetch())


def test_no_twins_of_that_series(archive: Archive) -> None:
    """A series without a row is told, with those that have one."""
    with pytest.raises(UnknownKernel, match=r"^6\.8: no twins are built of this series \[there are those of 6\.1\]$"):
        build.plan("6.8", archive)


@pytest.mark.parametrize("gone", ["gcc", "flex"])
def test_a_tool_that_is_missing_is_told_before_anything_is_fetched(
    gone: str, archive: Archive, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kernel is built with is looked for first."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == gone else which(name))
    server.paths()
    with pytest.raises(ToolMissing, match=rf"^{gone}: is not installed \[apt-get install build-essential "):
        build.plan("6.1", archive)
    assert not server.paths()


def test_another_host_builds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler of another architecture's host does not build kernels for x86_64, and that is said."""
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ToolMissing, match=r"twins are built for x86_64, and this host is aarch64 \["):
        tree.tools()


def test_a_package_without_source(tmp_path: Path) -> None:
    """A package that holds something else is refused by name."""
    package = tmp_path / "hello.deb"
    package.write_bytes(deb({"./usr/bin/hello": b""}))
    (tmp_path / "top").mkdir()
    with pytest.raises(DownloadError, match=r"^hello\.deb: holds no kernel's source \["):
        tree.unpack(package, tmp_path / "top")


def test_what_the_option_stands_for() -> None:
    """``--twins`` names series; each is three columns."""
    assert parts.specs("6.1, 6.12") == [f"{one}-{part}" for one in ("6.1", "6.12") for part in parts.PARTS]
    with pytest.raises(UsageError, match=r"^--twins: no twins were named \[name some of 6\.1\]$"):
        parts.specs(" ,")


def test_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row of the catalogue's has the fragments of its parts."""
    monkeypatch.undo()
    assert list(parts.rows()) == ["6.1", "6.12"]
    for row in parts.rows().values():
        assert row.package == f"linux-source-{row.series}"
        assert all(
            path.is_file() for part in (parts.WITH, parts.WITHOUT) for path in kconfig.fragments(row.series, part)
        )


def test_records_are_whole(archive: Archive) -> None:
    """A record says what was built, of what, by what, and how long it took."""
    twin = built(archive)[0]
    record = json.loads((twin.folder / kept.RECORD).read_text())
    assert record.pop("format") == 1
    assert Twin(**record, folder=twin.folder) == twin
    assert record["tools"].count(";") == 2
