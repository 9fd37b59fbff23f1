"""The layout of the public BTF archive, written and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.btfwriter import Writer

from everykernel.architectures import ARCHITECTURES
from everykernel.cli import archive
from everykernel.errors import HarnessError
from everykernel.kernels import btfhub
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supply

X86 = ARCHITECTURES["x86_64"]
RELEASE = "6.1.0-56-cloud-amd64"


def _kernel(source: str, spec: str = "6.1") -> Kernel:
    nothing = Path("nothing")
    return Kernel(spec, X86, RELEASE, nothing, None, None, "", source, "none")


def _btf(name: str) -> bytes:
    writer = Writer()
    writer.integer(name, 4)
    return writer.image()


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("debian:bookworm", "debian/12/x86_64"),
        ("debian:bookworm-security", "debian/12/x86_64"),
        ("debian:trixie-backports", "debian/13/x86_64"),
        ("debian:sid", "debian/sid/x86_64"),
        ("ubuntu:noble-updates", "ubuntu/24.04/x86_64"),
        ("amzn:2023", "amzn/2023/x86_64"),
        ("amazon:2023", "amzn/2023/x86_64"),
        ("oracle:9", "ol/9/x86_64"),
        ("alma:9", "almalinux/9/x86_64"),
        ("leap:15.6", "opensuse-leap/15.6/x86_64"),
        ("path:/boot/vmlinuz", "x86_64"),
    ],
)
def test_where_a_kernel_stands(source: str, folder: str) -> None:
    """By os-release's names, whatever suite the package came from; a kernel of no distribution by architecture."""
    assert str(btfhub.place(source, X86, RELEASE)) == f"{folder}/{RELEASE}.btf"


@pytest.mark.parametrize("source", ["debian:../../etc", "../x:12"])
def test_a_source_leads_nowhere_else(source: str) -> None:
    """What is no name is refused."""
    with pytest.raises(HarnessError, match="is no name for a source's distribution and version"):
        btfhub.folder(source, X86)


@pytest.mark.parametrize("source", ["debian:bookworm-security", "amazon:2023", "path:/boot/vmlinuz"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_written_is_read_back(source: str, packed: bool, tmp_path: Path) -> None:
    """`--btf` finds the kernel's file; another run in the other form leaves no stale one behind."""
    kernel = _kernel(source)
    archive.write(tmp_path, kernel, _btf("old"), packed=not packed)
    path = archive.write(tmp_path, kernel, _btf("new"), packed=packed)
    assert path.name == f"{RELEASE}.btf" + (".tar.xz" if packed else "")
    found = Supply.parse(str(tmp_path)).find(RELEASE, X86, source)
    assert found is not None
    assert found.data == _btf("new")
    assert Supply.parse(str(tmp_path)).find("6.1.0-1-amd64", X86, source) is None


def test_all_places() -> None:
    """The archive's own name and form come first, then the other forms and names of an architecture."""
    top = "debian/12"
    assert [str(one) for one in btfhub.places("debian:bookworm", ARCHITECTURES["i386"], "6.1.0")] == [
        f"{top}/i386/6.1.0.btf.tar.xz",
        f"{top}/i386/6.1.0.btf",
        f"{top}/i686/6.1.0.btf.tar.xz",
        f"{top}/i686/6.1.0.btf",
    ]
    with pytest.raises(HarnessError, match="is no name for a kernel's release"):
        btfhub.places("debian:bookworm", X86, "../x")


def test_a_folder_serves_a_distribution_by_the_archives_name(tmp_path: Path) -> None:
    """Of several distributions' files for one release, those of a source's own count, whatever the source is called."""
    for distribution in ("amzn", "other"):
        archive.write(tmp_path, _kernel(f"{distribution}:2023"), _btf(distribution), packed=True)
    found = Supply.parse(str(tmp_path)).find(RELEASE, X86, "amazon:2023")
    assert found is not None
    assert found.data == _btf("amzn")


def test_packing_gives_the_same_bytes() -> None:
    """No time, no owner."""
    assert btfhub.pack("x.btf", b"data") == btfhub.pack("x.btf", b"data")
