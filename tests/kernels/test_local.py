"""A path to an image or a build directory is a kernel too."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel import kernels
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import UnknownKernel, UsageError
from everykernel.kernels import Kernel
from everykernel.kernels.debian import Archive

from .archive import BTF, bzimage, kernel_image

RELEASE = "6.8.0-custom"


def fetch(path: Path) -> Kernel:
    (one,) = kernels.resolve(str(path), archive=Archive())
    return one.fetch()


def test_an_image(tmp_path: Path) -> None:
    """An image tells its release, architecture and BTF; nothing vouches for it."""
    (tmp_path / "bzImage").write_bytes(kernel_image(RELEASE))
    kernel = fetch(tmp_path / "bzImage")
    assert (kernel.release, kernel.series, kernel.arch.name) == (RELEASE, "6.8", "x86_64")
    assert (kernel.image, kernel.source, kernel.signed) == (tmp_path / "bzImage", f"path:{tmp_path}/bzImage", "none")
    assert (kernel.modules, kernel.config) == (None, None)
    assert kernel.notes == (f"no modules found (put them into {tmp_path}/lib/modules/{RELEASE})",)
    assert kernel.sha256 == kernel.digest
    assert kernels.btf(kernel) == BTF
    assert kernels.btf(kernel) == BTF


def test_a_build_directory(tmp_path: Path) -> None:
    """A build directory gives its image, its configuration, and the modules that were installed into it."""
    (tmp_path / "arch/x86/boot").mkdir(parents=True)
    (tmp_path / "arch/x86/boot/bzImage").write_bytes(kernel_image(RELEASE, btf=False))
    (tmp_path / ".config").write_text("CONFIG_BPF=y\n")
    modules = tmp_path / "lib/modules" / RELEASE
    modules.mkdir(parents=True)
    kernel = fetch(tmp_path)
    assert (kernel.modules, kernel.config, kernel.notes) == (modules, tmp_path / ".config", ())
    assert kernels.btf(kernel) is None


@pytest.mark.parametrize("given", ["vmlinuz", "."])
def test_an_image_among_its_modules(tmp_path: Path, given: str) -> None:
    """Newer packages keep the image in the folder of its modules, with the configuration beside it."""
    folder = tmp_path / "usr/lib/modules" / RELEASE
    (folder / "kernel").mkdir(parents=True)
    (folder / "vmlinuz").write_bytes(kernel_image(RELEASE))
    (folder / "config").write_text("CONFIG_BPF=y\n")
    kernel = fetch(folder / given)
    assert (kernel.image, kernel.modules, kernel.notes) == (folder / "vmlinuz", folder, ())
    assert kernel.config == folder / "config"


@pytest.mark.parametrize("modules", ["lib/modules", "usr/lib/modules"])
def test_an_image_in_boot(tmp_path: Path, modules: str) -> None:
    """An image in boot/ has its modules in the folder beside that, with usr or without."""
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / f"vmlinuz-{RELEASE}").write_bytes(kernel_image(RELEASE))
    (tmp_path / modules / RELEASE).mkdir(parents=True)
    kernel = fetch(tmp_path / "boot" / f"vmlinuz-{RELEASE}")
    assert (kernel.modules, kernel.notes) == (tmp_path / modules / RELEASE, ())


def test_an_image_of_i386(tmp_path: Path) -> None:
    """The architecture is the image's own."""
    (tmp_path / "x").write_bytes(bzimage(RELEASE, b"\x7fELF", wide=False))
    assert fetch(tmp_path / "x").arch.name == "i386"


def test_an_image_that_cannot_be_decompressed_has_no_known_btf(tmp_path: Path) -> None:
    """It may boot all the same."""
    (tmp_path / "x").write_bytes(bzimage(RELEASE, b"unknown compression"))
    assert kernels.btf(fetch(tmp_path / "x")) is None


def test_nothing_there(tmp_path: Path) -> None:
    """A path without anything is an unknown kernel."""
    with pytest.raises(UnknownKernel) as caught:
        fetch(tmp_path / "x")
    assert str(caught.value) == (
        f"{tmp_path}/x: No such file or directory [look at the path; it starts at the current folder]"
    )


def test_a_directory_without_a_build(tmp_path: Path) -> None:
    """A directory that holds no image says what would make one."""
    with pytest.raises(UnknownKernel) as caught:
        fetch(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the directory has no bootable kernel image "
        "[build one there (make bzImage gives arch/x86/boot/bzImage), or give the image's own path]"
    )


def test_another_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that we cannot run is refused before anything boots."""
    (tmp_path / "Image").write_bytes(bytes(56) + b"ARM\x64" + b"Linux version 6.12.1 (x)")
    monkeypatch.setattr("everykernel.kernels.local.ARCHITECTURES", {"x86_64": ARCHITECTURES["x86_64"]})
    with pytest.raises(UsageError) as caught:
        fetch(tmp_path / "Image")
    assert str(caught.value) == (
        f"{tmp_path}/Image: is a kernel for aarch64, which is not supported [the architectures are x86_64]"
    )


def test_a_release_that_leads_elsewhere_stops_before_anything_is_written(tmp_path: Path, cache_root: Path) -> None:
    """An image that names its release /../../x writes nothing, inside the cache or outside."""
    (tmp_path / "bzImage").write_bytes(kernel_image("/../../x"))
    with pytest.raises(UsageError) as caught:
        fetch(tmp_path / "bzImage")
    assert str(caught.value) == (
        f"{tmp_path}/bzImage: '/../../x' is no name for a kernel's release [build it with a sound LOCALVERSION]"
    )
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["bzImage"]
    assert not list(cache_root.glob("*/*"))


def test_a_device_is_no_image() -> None:
    """What has no end is not read."""
    with pytest.raises(UsageError) as caught:
        fetch(Path("/dev/zero"))
    assert str(caught.value) == "/dev/zero: is no regular file [give a bzImage, vmlinuz or Image]"


def test_a_file_that_no_image_can_be_is_not_read(tmp_path: Path) -> None:
    """A file of a terabyte (all of it a hole) is an error at once."""
    with (tmp_path / "bzImage").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="has more than 1024 MiB, which no kernel image has"):
        fetch(tmp_path / "bzImage")
