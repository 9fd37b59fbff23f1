"""A kernel of each source whose packages are not Debian's boots, with modules that are compressed as vendors do."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from everykernel import kernels
from everykernel.kernels import store
from everykernel.kernels.model import Kernel
from everykernel.kernels.sources.arch import Arch
from everykernel.kernels.sources.oci import Oci
from everykernel.kernels.sources.protocol import Source
from everykernel.machine import Machines

from ..kernels import vendors
from ..kernels.archive import Server
from ..kernels.published import Signer, serve
from ..kernels.test_vendors import rpms

pytestmark = pytest.mark.vm

FOLDERS = ("drivers/virtio", "drivers/char", "drivers/block", "net/9p", "fs/9p")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.make(tmp_path_factory.mktemp("gpg") / "ours", "ours")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def files(kernel: Kernel, suffix: str, pack: Callable[[bytes], bytes]) -> dict[str, bytes | Path]:
    """A Debian kernel's files where Fedora has them, with its modules for virtio compressed."""
    assert kernel.modules is not None
    top = f"usr/lib/modules/{kernel.release}"
    found: dict[str, bytes | Path] = {f"{top}/vmlinuz": kernel.image}
    for path in kernel.modules.rglob("*.ko*"):
        below = path.relative_to(kernel.modules)
        if any(f"kernel/{folder}" in str(below) for folder in FOLDERS):
            plain = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
            found[f"{top}/{below.with_name(below.name.removesuffix('.xz'))}{suffix}"] = pack(plain)
    builtin = kernel.modules / "modules.builtin"
    if builtin.exists():
        found[f"{top}/modules.builtin"] = builtin
    assert any("virtio_console.ko" in name for name in found)
    return found


def rpm(linux: Kernel, folder: Path, server: Server, signer: Signer) -> tuple[str, Source]:
    version, _, release = linux.release.partition("-")
    made = files(linux, ".xz", lambda data: lzma.compress(data, preset=0, check=lzma.CHECK_CRC32))
    vendors.rpm(folder, "kernel-core", version, release.replace("-", "."), made, key=signer, payload="w1.zstdio")
    serve(server, vendors.repository(folder, key=signer), "/9")
    return "rocky:9", rpms(server, signer.public, "index", uname="", series=[])


def arch(linux: Kernel, folder: Path, server: Server, signer: Signer) -> tuple[str, Source]:
    place = folder / "packages/l/linux"
    place.mkdir(parents=True)
    made = files(linux, ".zst", zstandard.ZstdCompressor(level=1).compress)
    vendors.pacman(place, "linux", f"{linux.series}.arch1-1", made, key=signer)
    serve(server, folder, "")
    return "arch:linux", Arch(signer.public, {"EVERYKERNEL_ARCH_MIRROR": server.url})


def image(linux: Kernel, folder: Path, server: Server, signer: Signer) -> tuple[str, Source]:
    made = files(linux, ".gz", lambda data: gzip.compress(data, 1))
    layout = vendors.image(folder / "layout", [{"boot/vmlinuz": linux.image, **made}])
    return f"oci:{layout}:one", Oci({})


@pytest.mark.parametrize("make", [rpm, arch, image])
def test_it_boots(
    make: Callable[[Kernel, Path, Server, Signer], tuple[str, Source]],
    linux: Kernel,
    machines: Machines,
    tmp_path: Path,
    server: Server,
    signer: Signer,
) -> None:
    """What was fetched boots as what it says, and the channel's modules are loaded from their compressed files."""
    folder = tmp_path / "made"
    folder.mkdir()
    spec, source = make(linux, folder, server, signer)
    kernel = kernels.resolve(spec, sources=[source])[0].fetch()
    try:
        assert kernel.modules is not None
        assert not list(kernel.modules.rglob("*.ko"))
        with machines.start(kernel) as guest:
            assert guest.facts.release == linux.release
    finally:
        for one in store.stored():
            if one.record["source"] == kernel.source:
                store.remove(one)
