"""A kernel's own part of the initramfs: its modules in loading order, uncompressed, and its configuration."""

from __future__ import annotations

import dataclasses
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
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".ko.xz": lzma.compress,
    ".ko.zst": zstandard.ZstdCompressor().compress,
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
