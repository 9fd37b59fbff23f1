"""Kernels of the cache are whole, or had anew; each of Debian's three layouts gives the same shape."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from everykernel import cache, kernels
from everykernel.errors import CacheError, DownloadError
from everykernel.kernels import Kernel, store, unpacked
from everykernel.kernels.debian import Archive

from .archive import BTF, CATALOGUE, Server, TestTrust, TinyArchive, deb, kernel_image
from .test_download import Recorder
from .test_resolver import OFFLINE


def fetch(tiny: TinyArchive, spec: str) -> Kernel:
    return kernels.resolve(spec, archive=tiny.archive())[0].fetch()


def test_a_kernel_of_the_first_layout(tiny: TinyArchive, cache_root: Path) -> None:
    """Up to 6.18 one package holds all: image, modules and configuration."""
    kernel = fetch(tiny, "6.1")
    folder = cache_root / "kernels" / "x86_64-6.1.0-56-cloud-amd64_6.1.192-2"
    assert kernel.image == folder / "vmlinuz"
    assert kernel.image.read_bytes() == kernel_image(kernel.release)
    assert kernel.modules == folder / "lib/modules/6.1.0-56-cloud-amd64"
    assert (kernel.modules / "kernel/a.ko").read_bytes() == b"a module"
    assert kernel.config is not None
    assert kernel.config.read_bytes() == b"CONFIG_BPF=y\n"
    assert (kernel.source, kernel.signed, kernel.notes) == ("debian:stable-security", "gpgv", ())
    assert kernels.btf(kernel) == BTF
    assert not list((cache_root / "packages").iterdir()), "a package is not kept once it is unpacked"


def test_a_lonely_binary_says_what_it_lacks(tiny: TinyArchive) -> None:
    """From 6.19 to 7.1 there are neither modules nor configuration, and the record says so."""
    kernel = fetch(tiny, "7.1")
    assert (kernel.modules, kernel.config) == (None, None)
    assert kernel.notes == (
        "no modules: Debian's signed index has no linux-modules-7.1.13+deb13-cloud-amd64",
        "no build configuration: none of the packages in Debian's signed index holds it",
    )
    assert kernels.btf(kernel) == BTF


def test_the_split_layout(tiny: TinyArchive) -> None:
    """From 7.2 on three packages make one kernel."""
    kernel = fetch(tiny, "7.3")
    assert kernel.image.read_bytes() == kernel_image(kernel.release)
    assert kernel.modules is not None
    assert [path.name for path in kernel.modules.rglob("*") if path.is_file()] == ["a.ko.xz"]
    assert kernel.config is not None
    assert kernel.config.read_bytes() == b"C=y\n"
    assert kernel.notes == ()


def test_a_kernel_without_btf(tiny: TinyArchive) -> None:
    """i386's kernel has no BTF, and is not asked to be booted to find out."""
    kernel = fetch(tiny, "6.1/i386")
    assert kernel.arch.name == "i386"
    assert kernels.btf(kernel) is None


def test_a_cached_kernel_is_not_downloaded_again(tiny: TinyArchive) -> None:
    """The second time nothing is asked."""
    first = fetch(tiny, "6.1")
    tiny.server.paths()
    assert fetch(tiny, "6.1") == first
    assert tiny.server.paths() == []


def damage_image(folder: Path) -> str:
    path = folder / "vmlinuz"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])
    return f"vmlinuz has {size - 5} bytes instead of {size}"


def damage_bytes(folder: Path) -> str:
    path = folder / "vmlinuz"
    path.write_bytes(path.read_bytes()[:-5] + b"xxxxx")
    return "vmlinuz is corrupted (SHA-256)"


def damage_module(folder: Path) -> str:
    next(folder.rglob("a.ko")).unlink()
    return "lib/modules/6.1.0-56-cloud-amd64/kernel/a.ko is missing"


@pytest.mark.parametrize("damage", [damage_image, damage_bytes, damage_module])
def test_a_damaged_kernel_is_fetched_again(tiny: TinyArchive, damage: object) -> None:
    """A truncated image, a corrupted one, a missing module: each is noticed, told and repaired."""
    kernel = fetch(tiny, "6.1")
    assert callable(damage)
    what = damage(kernel.image.parent)
    progress = Recorder()
    assert kernels.resolve("6.1", archive=tiny.archive())[0].fetch(progress) == kernel
    assert progress.notes == [f"{kernel.image.parent.name}: {what}: fetching it again"]
    assert kernel.image.read_bytes() == kernel_image(kernel.release)


def test_a_damaged_kernel_offline_is_a_clear_error(tiny: TinyArchive) -> None:
    """Without network the error names the file, the damage, why it cannot be repaired, and what to do."""
    kernel = fetch(tiny, "6.1")
    damage_image(kernel.image.parent)
    tiny.server.stop()
    archive = Archive(catalogue=CATALOGUE, mirror=OFFLINE, trust=TestTrust("gpgv", ()))
    with pytest.raises(DownloadError) as caught:
        kernels.resolve("6.1", archive=archive)[0].fetch()
    text = str(caught.value)
    assert text.startswith(f"{kernel.image.parent}: vmlinuz has ")
    assert "and it cannot be had again" in text
    assert "Connection refused" in text
    assert text.endswith("set EVERYKERNEL_DEBIAN_MIRROR to a mirror in reach]")


def test_a_package_without_an_image_is_refused(tiny: TinyArchive) -> None:
    """A package that does not hold what its name says is an error, and leaves nothing behind."""
    name = "linux-image-6.1.0-99-cloud-amd64"
    tiny.add("stable-security", name, "6.1.999-1", deb({"./usr/share/doc/x": b""}))
    tiny.publish()
    with pytest.raises(DownloadError) as caught:
        fetch(tiny, "6.1")
    assert str(caught.value) == f"{name}: holds no kernel image for 6.1.0-99-cloud-amd64"
    assert store.stored() == []


def test_a_full_disk_while_unpacking(tiny: TinyArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up leaves no half kernel, and the error says what helps."""

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(CacheError, match="no space left for the cache"):
        fetch(tiny, "6.1")
    assert store.stored() == []


def test_parallel_runs_fetch_once(tiny: TinyArchive) -> None:
    """Runs that want the same kernel at once wait for one another."""
    found: list[Kernel] = []
    threads = [threading.Thread(target=lambda: found.append(fetch(tiny, "6.1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert len([path for path in tiny.server.paths() if path.endswith(".deb")]) == 1


def test_the_limit_removes_what_is_superseded(tiny: TinyArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new kernel pushes out the least recently used one, never one that this process has fetched."""
    for spec in ("6.1.99", "6.1.176"):
        fetch(tiny, spec)
    store.release_all()
    kept = fetch(tiny, "6.1.176")
    monkeypatch.setenv("EVERYKERNEL_CACHE_LIMIT", "0.000001")
    fetch(tiny, "6.12")
    left = {one.record["release"] for one in store.stored()}
    assert left == {"6.12.117+deb13-cloud-amd64", kept.release}


def test_superseded_kernels(tiny: TinyArchive) -> None:
    """The newest of each series, architecture and flavour is not superseded."""
    for spec in ("6.1.99", "6.1", "6.1+generic", "6.1/i386", "6.12"):
        fetch(tiny, spec)
    assert [one.record["release"] for one in store.superseded(store.stored())] == ["6.1.0-9-cloud-amd64"]


def test_removing(tiny: TinyArchive) -> None:
    """A removed kernel is gone; one that another process uses stays."""
    kernel = fetch(tiny, "6.1")
    (one,) = store.stored()
    store.release_all()
    with cache.using(one.folder):
        assert not store.remove(one)
    assert kernel.image.exists()
    assert store.remove(one)
    assert not kernel.image.parent.exists()


def test_a_record_of_another_format_is_no_kernel(tiny: TinyArchive, server: Server) -> None:
    """What an older everykernel left in the cache is had anew."""
    kernel = fetch(tiny, "6.1")
    record = kernel.image.with_name("kernel.json")
    record.write_text('{"format": 0}')
    assert store.stored() == []
    assert fetch(tiny, "6.1") == kernel


def other_process(program: str) -> subprocess.Popen[str]:
    """Start a process that shares the cache; it has said ``ready`` when this returns, and ends with its input."""
    lines = ["import sys, time", "from pathlib import Path", "from everykernel import cache", program]
    argv = [sys.executable, "-c", "\n".join(lines)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_kernel_that_another_process_uses_serves_here_too(tiny: TinyArchive) -> None:
    """Processes share a kernel for as long as they like."""
    kernel = fetch(tiny, "6.1")
    store.release_all()
    folder = str(kernel.image.parent)
    with other_process(f"with cache.using(Path({folder!r})): print('ready', flush=True); sys.stdin.read()") as other:
        assert fetch(tiny, "6.1") == kernel
        other.communicate("")


def test_a_kernel_that_another_process_makes_is_waited_for(tiny: TinyArchive) -> None:
    """While one process makes a kernel, another waits, and then has it."""
    name = "kernels/x86_64-6.1.0-56-cloud-amd64_6.1.192-2"
    with other_process(f"with cache.lock({name!r}): print('ready', flush=True); time.sleep(1.2)") as other:
        started = time.monotonic()
        assert fetch(tiny, "6.1").image.exists()
        assert time.monotonic() - started > 0.5
        other.communicate("")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["kernel/a", "kernel/a/b.ko"], "not a sound package: lib/modules/{}/kernel/a/b.ko is a file and a folder"),
        (["kernel/a/b.ko", "kernel/a"], "not a sound package: lib/modules/{}/kernel/a is a file and a folder"),
        (["kernel/a\nb.ko"], "'a\\nb.ko' is no name for a file of a kernel [it would lead out of its folder]"),
    ],
)
def test_a_package_whose_names_are_odd_leaves_nothing(tiny: TinyArchive, names: list[str], said: str) -> None:
    """A package that contradicts itself, or holds what is no name, is an error, and no part of it stays."""
    release = "6.1.0-99-cloud-amd64"
    files = {f"./boot/vmlinuz-{release}": kernel_image(release)}
    files |= {f"./lib/modules/{release}/{name}": b"x" for name in names}
    tiny.add("stable-security", f"linux-image-{release}", "6.1.999-1", deb(files))
    tiny.publish()
    (resolved,) = kernels.resolve("6.1", archive=tiny.archive())
    with pytest.raises(DownloadError) as caught:
        resolved.fetch()
    assert said.format(release) in str(caught.value)
    assert list(cache.folder("kernels").iterdir()) == []


def test_a_package_that_is_a_bomb_fills_no_disk(tiny: TinyArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel's package is unpacked as far as a kernel may go, and what was unpacked goes."""
    monkeypatch.setattr(unpacked, "_LARGEST", 4 << 20)
    release = "6.1.0-99-cloud-amd64"
    files = {f"./boot/vmlinuz-{release}": kernel_image(release), f"./lib/modules/{release}/a.ko": bytes(8 << 20)}
    tiny.add("stable-security", f"linux-image-{release}", "6.1.999-1", deb(files))
    tiny.publish()
    (resolved,) = kernels.resolve("6.1", archive=tiny.archive())
    with pytest.raises(DownloadError, match="not a sound package: it unpacks to more than 4 MiB"):
        resolved.fetch()
    assert list(cache.folder("kernels").iterdir()) == []


def test_a_kernel_that_a_spec_means_is_held_before_it_is_fetched(tiny: TinyArchive) -> None:
    """What was resolved is about to be used: making another kernel ready does not push it out of the cache."""
    fetch(tiny, "5.10")
    store.release_all()
    cache.let_go()
    (resolved,) = kernels.resolve("5.10", archive=tiny.archive())
    assert cache.prune(1) == []
    store.remove(store.stored()[0])
    assert store.stored() == []
    assert resolved.cached
