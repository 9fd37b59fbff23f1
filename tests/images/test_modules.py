"""A kernel's own part of the initramfs: its modules in loading order, uncompressed, and its configuration."""

from __future__ import annotations

import dataclasses
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from tests.images.test_cpio import members

from everykernel import cache
from everykernel.errors import KernelModuleMissing
from everykernel.images import modules
from everykernel.kernels.model import Kernel
from everykernel.machine.fake import kernel

# name: (its file's suffix, the names in its depends= field, as kbuild writes them)
TREE = {
    "virtio_pci": (".ko", "virtio,virtio_ring"),
    "virtio_ring": (".ko.xz", "virtio"),
    "virtio": (".ko.zst", ""),
    "virtio_console": (".ko", "virtio,virtio_ring"),
    "snd-dummy": (".ko.xz", "soundcore"),
    "soundcore": (".ko", ""),
}
zstd = zstandard.ZstdCompressor().compress
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".ko.xz": lzma.compress,
    ".ko.zst": zstd,
}


def elf(name: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + TREE[name][1].encode() + b"\0name=" + name.encode() + b"\0"


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    root = tmp_path / "lib/modules/6.1.0-test"
    (root / "kernel/drivers").mkdir(parents=True)
    for name, (suffix, _) in TREE.items():
        (root / "kernel/drivers" / f"{name}{suffix}").write_bytes(PACKED[suffix](elf(name)))
    (root / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    (tmp_path / "config").write_text("CONFIG_BPF=y\n")
    return dataclasses.replace(kernel(release="6.1.0-test"), modules=root, config=tmp_path / "config")


def test_dependencies_come_first(linux: Kernel) -> None:
    """Each module is listed once, after all that it depends on."""
    names = [path.name.split(".")[0] for path in modules.Tree(linux).order(["virtio_pci", "virtio_console"])]
    assert names == ["virtio", "virtio_ring", "virtio_pci", "virtio_console"]


def test_the_portable_one_of_an_algorithm_comes_before_who_wants_it(linux: Kernel) -> None:
    """libcrc32c says `softdep=pre: crc32c`, and cannot be loaded before something has it; what is no file is let be."""
    assert linux.modules is not None
    folder = linux.modules / "kernel"
    says = {"libcrc32c": "pre: crc32c aes-x post: zzz", "crc32c_generic": "pre: crc32c"}
    for name, soft in says.items():
        (folder / f"{name}.ko").write_bytes(f"\x7fELF\0softdep={soft}\0depends=\0name={name}\0".encode())
    (folder / "zzz_generic.ko").write_bytes(b"\x7fELF\0depends=\0")
    found = [path.name for path in modules.Tree(linux).order(["libcrc32c"])]
    assert found == ["crc32c_generic.ko", "libcrc32c.ko"]
    assert modules.prefers(b"\0softdep=post: a\0") == []


def test_names_may_have_either_dash(linux: Kernel) -> None:
    """snd-dummy and snd_dummy are one module, as for modprobe."""
    for name in ("snd-dummy", "snd_dummy"):
        assert [path.name for path in modules.Tree(linux).order([name])] == ["soundcore.ko", "snd-dummy.ko.xz"]


def test_what_is_built_in_is_there(linux: Kernel) -> None:
    """Asking for a built-in module is no error, and loads nothing."""
    assert modules.Tree(linux).order(["ext4"]) == []


def test_a_module_that_is_not_there(linux: Kernel) -> None:
    """The error says whether this kernel lacks the module, or comes without any."""
    with pytest.raises(KernelModuleMissing, match=r"6\.1: this kernel has no module 'nope' \[ask for another flavour"):
        modules.modules_cpio(linux, ["nope"])
    bare = dataclasses.replace(linux, modules=None)
    with pytest.raises(KernelModuleMissing, match=r"6\.1: module 'nope' was asked for, and this kernel comes without"):
        modules.modules_cpio(bare, ["nope"])


def test_the_archive(linux: Kernel) -> None:
    """Modules are uncompressed, listed in order for init, and known to modprobe; the configuration is in /boot."""
    found = members(modules.modules_cpio(linux, ["snd_dummy"], [("kernel.pid_max", "4242")]).read_bytes())
    base = "lib/modules/6.1.0-test"
    assert found[f"{base}/kernel/drivers/virtio.ko"][2] == elf("virtio")
    assert found[f"{base}/kernel/drivers/snd-dummy.ko"][2] == elf("snd-dummy")
    assert found["everykernel/modules"][2].decode().splitlines() == [
        f"/{base}/kernel/drivers/{name}.ko"
        for name in ("virtio", "virtio_ring", "virtio_pci", "virtio_console", "soundcore", "snd-dummy")
    ]
    assert found["everykernel/sysctls"][2] == b"kernel.pid_max=4242\n"
    listed = found[f"{base}/modules.dep"][2].decode().splitlines()
    assert "kernel/drivers/virtio.ko:" in listed
    assert "kernel/drivers/virtio_ring.ko: kernel/drivers/virtio.ko" in listed
    assert found["boot/config-6.1.0-test"][2] == b"CONFIG_BPF=y\n"


def test_a_kernel_without_modules_or_configuration(linux: Kernel) -> None:
    """Nothing is needed where virtio is built in; the lists are there, empty."""
    found = members(modules.modules_cpio(dataclasses.replace(linux, modules=None, config=None)).read_bytes())
    assert found["everykernel/modules"][2] == b""
    assert not any(path.startswith("boot/") for path in found)


def test_it_is_made_once(linux: Kernel) -> None:
    """The same request gives the same file; a changed module another."""
    first = modules.modules_cpio(linux)
    assert modules.modules_cpio(linux) == first
    assert modules.modules_cpio(linux, ["snd_dummy"]) != first
    assert linux.modules is not None
    (linux.modules / "kernel/drivers/virtio_pci.ko").write_bytes(elf("virtio_pci") + b"changed")
    assert modules.modules_cpio(linux) != first


def plant(linux: Kernel, name: str, depends: str, pack: Callable[[bytes], bytes] = bytes, suffix: str = ".ko") -> Path:
    """Put one more module into the kernel's folder."""
    assert linux.modules is not None
    path = linux.modules / "kernel" / f"{name}{suffix}"
    path.write_bytes(pack(b"\x7fELF\0depends=" + depends.encode("latin-1") + b"\0"))
    return path


def test_modules_that_depend_on_themselves_are_refused(linux: Kernel) -> None:
    """A circle of dependencies is one line that names it, as depmod refuses it."""
    plant(linux, "a", "b,virtio")
    plant(linux, "b", "c")
    path = plant(linux, "c", "b")
    with pytest.raises(KernelModuleMissing) as caught:
        modules.modules_cpio(linux, ["a"])
    assert str(caught.value) == (
        f"{path.with_name('b.ko')}: this module depends on itself (b → c → b) "
        "[everykernel kernels remove it and fetch it again, or build it again]"
    )
    plant(linux, "self", "self")
    with pytest.raises(KernelModuleMissing, match=r"depends on itself \(self → self\)"):
        modules.modules_cpio(linux, ["self"])


def test_a_chain_may_be_as_long_as_there_are_modules(linux: Kernel) -> None:
    """Two thousand modules in a row are put into order, each read once; a circle of them is cut where it is shown."""
    for number in range(2000):
        plant(linux, f"m{number}", f"m{number + 1}" if number < 1999 else "")
    order = [path.stem for path in modules.Tree(linux).order(["m0"])]
    assert order == [f"m{number}" for number in reversed(range(2000))]
    plant(linux, "m1999", "m0")
    with pytest.raises(KernelModuleMissing, match=r"\(m0 → m1 → m2 → m3 → … → m1996 → m1997 → m1998 → m1999 → m0\)"):
        modules.Tree(linux).order(["m0"])


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".ko.xz", lambda data: lzma.compress(data, preset=0)),
        (".ko.gz", gzip.compress),
        (".ko.zst", zstd),
        (".ko", bytes),
    ],
)
def test_a_module_that_is_a_bomb_is_refused(
    linux: Kernel, suffix: str, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that unpacks to more than any module has is one line; so is one that is damaged."""
    monkeypatch.setattr(modules, "LARGEST", 1 << 20)
    path = plant(linux, "bomb", "", lambda data: pack(data + bytes(2 << 20)), suffix)
    with pytest.raises(KernelModuleMissing) as caught:
        modules.modules_cpio(linux, ["bomb"])
    assert str(caught.value).startswith(f"{path}: this module cannot be read: it ")
    assert "more than 1 MiB" in str(caught.value)
    if suffix != ".ko":
        path.write_bytes(pack(b"\x7fELF")[:-3])
        with pytest.raises(KernelModuleMissing, match="this module cannot be read: "):
            modules.modules_cpio(linux, ["bomb"])


def test_all_modules_together_have_a_ceiling(linux: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many modules that are large are as bad as one that is larger."""
    monkeypatch.setattr(modules, "ALL_LARGEST", 3 << 20)
    plant(linux, "big1", "", lambda data: data + bytes(2 << 20))
    plant(linux, "big2", "big1", lambda data: data + bytes(2 << 20))
    modules.modules_cpio(linux, ["big1"])
    with pytest.raises(KernelModuleMissing, match="this module and those that it needs have more than 3 MiB"):
        modules.modules_cpio(linux, ["big2"])


def test_what_a_module_depends_on_may_be_anything(linux: Kernel) -> None:
    """Names that are no text are modules that are not there; a field that is longer than any is none."""
    plant(linux, "odd", "\xff\xfe/../x")
    with pytest.raises(KernelModuleMissing, match=r"6\.1: '\\xff\\xfe/../x' is no name for a module \["):
        modules.modules_cpio(linux, ["odd"])
    assert modules.depends(b"\0depends=" + b"a," * 40_000 + b"\0") == []


@pytest.mark.parametrize("name", ["a\nb", "a b", "ä"])
def test_a_modules_file_has_a_name(linux: Kernel, name: str) -> None:
    """A module, or a folder of modules, that would become two lines of the list in the guest is refused."""
    plant(linux, name, "")
    with pytest.raises(KernelModuleMissing, match="is no name for a module "):
        modules.modules_cpio(linux, [name])
    assert linux.modules is not None
    (linux.modules / "kernel" / name).mkdir()
    plant(linux, f"{name}/sound", "")
    with pytest.raises(KernelModuleMissing, match="is no name for a module's file "):
        modules.modules_cpio(linux, ["sound"])
